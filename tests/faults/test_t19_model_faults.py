from __future__ import annotations

import math

from tests.faults.t19_model_faults import OPENS_AFTER, breaker_of


def test_a_breaker_that_opens_after_five_and_probes_once_rested() -> None:
    assert breaker_of([0, 0.25, 0.25, 0.5, 0.5, 30.75, 61]) == (OPENS_AFTER, 0, 30.25)


def test_requests_that_were_under_way_count_as_before_and_those_at_rest_as_asked() -> None:
    before, at_rest, probe_s = breaker_of([0, 0.1, 0.1, 0.2, 0.3, 1.5, 8, 16, 30])

    assert (before, at_rest) == (6, 2)
    assert math.isclose(probe_s, 29.7)


def test_a_model_that_is_never_asked_again_was_never_probed() -> None:
    assert breaker_of([0, 0, 0, 0, 0]) == (5, 0, math.inf)
    assert breaker_of([0, 1]) == (2, 0, math.inf)
