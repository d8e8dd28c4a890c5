"""The command and its runner: which tests there are, and what becomes of one that fails or breaks down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.faults.__main__ import _options, is_right
from tests.faults.report import Figure, Result, Scale
from tests.faults.runner import Trial, modules, run_apart, run_here, trial_from
from tests.faults.sabotage import MECHANISMS


def module(*, breaks: bool = False) -> Any:
    """Return a test that loses a question when something is switched off."""

    async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
        if breaks:
            raise RuntimeError("no database")
        return Result(1, "test", scale.value, seed, [Figure("lost", "lost", float(sabotage is not None), at_most=0)])

    return SimpleNamespace(NUMBER=1, TITLE="test", SABOTAGES={"reaper": "lost"}, run=run)


def test_every_test_says_what_it_is_and_sabotages_what_can_be_sabotaged() -> None:
    for number, tested in modules().items():
        assert number == tested.NUMBER
        assert tested.TITLE
        assert callable(tested.run)
        assert set(tested.SABOTAGES) <= set(MECHANISMS)


def test_everything_that_can_be_switched_off_is_missed_by_some_test() -> None:
    assert set(MECHANISMS) == {name for tested in modules().values() for name in tested.SABOTAGES}


def test_a_sabotage_must_be_seen_by_the_figure_that_guards_it() -> None:
    seen = run_here(module(), Trial(1, Scale.SELFTEST, 7, "reaper"))
    unseen = run_here(module(), Trial(1, Scale.SELFTEST, 7))

    assert is_right(seen, "lost")
    assert not is_right(unseen, "lost")
    assert not is_right(seen, "duplicated")


def test_with_everything_on_a_test_must_hold() -> None:
    assert is_right(run_here(module(), Trial(1, Scale.SELFTEST, 7)), None)
    assert not is_right(run_here(module(breaks=True), Trial(1, Scale.SELFTEST, 7)), None)


def test_a_test_that_breaks_down_has_failed_and_says_where() -> None:
    result = run_here(module(breaks=True), Trial(1, Scale.QUICK, 7))

    assert not result.holds
    assert "RuntimeError: no database" in result.evidence[-1]


def test_a_process_that_leaves_no_result_has_failed_and_says_why() -> None:
    [(trial, result)] = run_apart([Trial(99, Scale.QUICK, 7)], at_once=1)

    assert trial.number == 99
    assert not result.holds
    assert "KeyError: 99" in result.evidence[-1]


def test_a_trial_survives_the_way_to_its_process() -> None:
    for trial in (Trial(1, Scale.QUICK, 7), Trial(20, Scale.FULL, 8, "reaper", 1.5)):
        assert trial_from(trial.arguments) == trial


def test_tests_are_chosen_by_number() -> None:
    assert _options(["--only", "1,5"]).only == [1, 5]
    assert _options(["--quick", "--seed", "3"]).seed == 3
