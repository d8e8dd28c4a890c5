"""What is written of the attacks' figures, and where."""

from __future__ import annotations

import pytest

from tests.attacks.report import BEGIN, END, PAGE, figures, last_line, with_figures
from tests.faults.report import Figure, Result


def result(value: float) -> Result:
    figure = Figure("tokens", "tokens we didn't build", value, at_most=0, of=5_000)
    return Result(13, "markup", "full", 7, [figure], seconds=60)


def test_the_last_line_says_whether_all_limits_hold() -> None:
    assert last_line([result(0)]) == "attacks: ok tests=1 t13_tokens=0"
    assert last_line([result(2)]) == "attacks: failed tests=1 failed_tests=13 t13_tokens=2"
    assert last_line([]) == "attacks: failed tests=0"


def test_figures_say_what_did_not_run() -> None:
    written = figures([result(0)], expected=[(13, "markup"), (14, "forged requests")], version="abc1234")

    assert "| 13. markup | tokens we didn't build | 0 of 5,000 (< 0.06 %) | ≤ 0 | ok |" in written
    assert "Recollect at abc1234" in written
    assert "- 14. forged requests" in written
    assert written.endswith("`attacks: ok tests=1 t13_tokens=0`")


def test_figures_replace_what_stands_between_the_marks_and_nothing_else() -> None:
    page = f"# Security\n\n{BEGIN}\n\nold\n\n{END}\n\n## After\n"

    written = with_figures(with_figures(page, "new"), "newer")

    assert written == f"# Security\n\n{BEGIN}\n\nnewer\n\n{END}\n\n## After\n"


def test_a_page_without_a_place_for_figures_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        with_figures("# Security\n", "new")


def test_the_page_has_a_place_for_figures() -> None:
    assert with_figures(PAGE.read_text(), "x")
