"""The command: which tests there are, and that every control is guarded by some test's figure."""

from __future__ import annotations

from types import ModuleType

from tests.attacks.__main__ import AT_ONCE, _options
from tests.attacks.runner import modules, run_apart
from tests.attacks.sabotage import CONTROLS
from tests.faults.report import Scale
from tests.faults.runner import Trial


def own_controls(tested: ModuleType) -> frozenset[str]:
    """Return what a test switches off by itself."""
    return getattr(tested, "OWN_CONTROLS", frozenset())


def test_every_test_says_what_it_is_and_switches_off_what_can_be() -> None:
    for number, tested in modules().items():
        assert number == tested.NUMBER
        assert tested.TITLE
        assert callable(tested.run)
        assert set(tested.SABOTAGES) <= set(CONTROLS) | own_controls(tested)


def test_every_control_that_can_be_switched_off_is_missed_by_some_test() -> None:
    missed = {name for tested in modules().values() for name in set(tested.SABOTAGES) - own_controls(tested)}
    assert set(CONTROLS) == missed


def test_a_process_that_leaves_no_result_has_failed_and_says_why() -> None:
    [(trial, result)] = run_apart([Trial(99, Scale.QUICK, 7)], at_once=1)

    assert trial.number == 99
    assert not result.holds
    assert "KeyError: 99" in result.evidence[-1]


def test_tests_are_chosen_by_number() -> None:
    assert _options(["--only", "13,14"]).only == [13, 14]
    assert _options(["--quick", "--seed", "3"]).seed == 3
    assert _options([]).at_once == AT_ONCE
