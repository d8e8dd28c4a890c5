"""What is reported, kept and published."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.faults.checker import Asked, History, Said, judge
from tests.faults.report import Figure, Result, code_version, figures_of, last_line, page, save, saved, table


def result(*figures: Figure, number: int = 1) -> Result:
    return Result(number, "kill -9", "full", 7, list(figures), seconds=60)


def none_lost(of: int = 1000, value: float = 0) -> Figure:
    return Figure("lost", "acknowledged, never answered", value, at_most=0, of=of)


def recovery(value: float) -> Figure:
    return Figure("recovery_s", "longest recovery", value, "s", at_most=15)


def test_none_of_a_thousand_is_shown_with_its_bound() -> None:
    assert none_lost().shown == "0 of 1,000 (< 0.3 %)"
    assert none_lost(100_000).shown == "0 of 100,000 (< 0.003 %)"
    assert none_lost(value=2).shown == "2 of 1,000"


def test_none_of_nothing_holds_nothing() -> None:
    assert not none_lost(0).holds


def test_a_limit_holds_or_is_missed() -> None:
    assert recovery(15).holds
    assert not recovery(15.1).holds
    assert not recovery(float("nan")).holds
    assert not Figure("fenced", "", 0, at_least=1).holds
    assert (recovery(15.1).verdict, recovery(1).verdict, Figure("n", "", 3).verdict) == ("MISSED", "ok", "")


def test_a_verdict_becomes_figures_of_which_the_faulty_ones_miss() -> None:
    asked = [Asked("C1", "1", "1"), Asked("C1", "2", "1")]
    figures = figures_of(judge(History(asked, [Said("C1", "3", "1", "C1:2")])))

    assert {figure.name for figure in figures if not figure.holds} == {"lost", "unanswered"}


def test_the_last_line_adds_up_and_names_the_tests_that_failed() -> None:
    good = last_line([result(none_lost(), recovery(4.25))])
    bad = last_line([result(none_lost(value=1), recovery(4)), result(none_lost(value=2), number=3)])

    assert good == "faults: ok tests=1 lost=0 duplicated=0 misordered=0 t1_recovery_s=4.25"
    assert bad == "faults: failed tests=2 lost=3 duplicated=0 misordered=0 failed_tests=1,3 t1_recovery_s=4"


def test_no_results_are_no_success() -> None:
    assert last_line([]).startswith("faults: failed")
    assert not result().holds


def test_the_table_has_a_row_a_figure() -> None:
    assert table([result(none_lost(), recovery(4))]).row_count == 2


def test_results_of_one_version_are_kept_and_merged(tmp_path: Path) -> None:
    save(result(recovery(20)), tmp_path, version="abc")
    save(result(recovery(3), number=5), tmp_path, version="abc")
    save(result(recovery(4)), tmp_path, version="abc")
    save(result(recovery(5), number=6), tmp_path, version="other")

    merged = saved(tmp_path, version="abc")

    assert [(r.number, r.figure("recovery_s").value) for r in merged] == [(1, 4), (5, 3)]


def test_the_page_shows_every_figure_and_says_what_did_not_run() -> None:
    text = page([result(none_lost(), recovery(4.2))], expected=[(1, "kill -9"), (5, "frozen")], version="abc")

    assert "| 1. kill -9 | acknowledged, never answered | 0 of 1,000 (< 0.3 %) | ≤ 0 | ok |" in text
    assert "|  | longest recovery | 4.20 s | ≤ 15 | ok |" in text
    assert "- 5. frozen" in text
    assert "at abc" in text


def test_a_version_is_the_last_commit_that_touched_the_code_and_says_when_it_is_dirty(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "a.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "code")
    clean = code_version(tmp_path)
    (tmp_path / "docs.md").write_text("2")
    git("add", ".")
    git("commit", "-m", "docs")
    after_docs = code_version(tmp_path)
    (tmp_path / "bot" / "a.py").write_text("3")

    assert after_docs == clean
    assert code_version(tmp_path) == f"{clean}-dirty"
