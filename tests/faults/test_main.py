"""The command: which tests there are, and what the self-test makes of them."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from tests.faults.__main__ import _options, _run, _self_test, modules
from tests.faults.report import Figure, Result, Scale
from tests.faults.sabotage import MECHANISMS


def module(*, holds_without: tuple[str, ...] = (), breaks: bool = False) -> Any:
    """Return a test that loses a question when its mechanism is off, unless that is in `holds_without`."""

    async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
        if breaks:
            raise RuntimeError("no database")
        lost = float(sabotage is not None and sabotage not in holds_without)
        return Result(1, "test", scale.value, seed, [Figure("lost", "lost", lost, at_most=0)], ["thread C1:1"])

    return SimpleNamespace(NUMBER=1, TITLE="test", SABOTAGES={"reaper": "lost", "audit": "lost"}, run=run)


def self_test(tested: Any) -> tuple[int, str, str]:
    out, aside = io.StringIO(), io.StringIO()
    code = _self_test({1: tested}, 7, Console(file=out, width=200), Console(file=aside, width=200))
    return code, out.getvalue().strip(), aside.getvalue()


def test_every_test_says_what_it_is_and_sabotages_what_can_be_sabotaged() -> None:
    for number, tested in modules().items():
        assert number == tested.NUMBER
        assert tested.TITLE
        assert callable(tested.run)
        assert set(tested.SABOTAGES) <= set(MECHANISMS)


def test_the_self_test_passes_when_every_sabotage_is_noticed() -> None:
    code, line, _ = self_test(module())

    assert (code, line) == (0, "faults-self-test: ok runs=3 wrong=none")


def test_the_self_test_fails_when_a_sabotage_goes_unnoticed() -> None:
    code, line, aside = self_test(module(holds_without=("audit",)))

    assert (code, line) == (1, "faults-self-test: failed runs=3 wrong=1:audit")
    assert "WRONG 1. test, without audit: lost" in aside


def test_the_self_test_fails_when_a_test_is_red_with_everything_on() -> None:
    code, line, _ = self_test(module(breaks=True))

    assert code == 1
    assert "wrong=1:on" in line


def test_a_test_that_breaks_down_has_failed_and_says_where() -> None:
    result = _run(module(breaks=True), Scale.QUICK, 7)

    assert not result.holds
    assert "RuntimeError: no database" in result.evidence[-1]


def test_tests_are_chosen_by_number() -> None:
    assert _options(["--only", "1,5"]).only == [1, 5]
    assert _options(["--quick", "--seed", "3"]).seed == 3
