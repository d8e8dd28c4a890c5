"""A model that keeps failing is left alone for a while, and found again by one call."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import InvalidRequest, ModelUnavailable
from bot.llm.breaker import Breaker


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("m", clock=clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(ModelUnavailable, match="down"), breaker.watching():
            raise ModelUnavailable("down")


def succeed(breaker: Breaker) -> None:
    with breaker.watching():
        pass


def refusal(breaker: Breaker) -> ModelUnavailable:
    """Return what a call gets that isn't let through."""
    with pytest.raises(ModelUnavailable, match="left alone") as refused, breaker.watching():
        pytest.fail("the call was let through")
    return refused.value


def test_five_failures_in_a_row_open_it_and_four_do_not(breaker: Breaker) -> None:
    fail(breaker, 4)
    succeed(breaker)
    fail(breaker, 5)

    assert refusal(breaker).retry_after_s == 30
    assert breaker.rests_for_s == 30


def test_it_says_how_long_is_left(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now += 18

    assert refusal(breaker).retry_after_s == 12


def test_after_the_rest_one_call_finds_out_and_the_others_wait(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now += 30

    with breaker.watching():
        assert refusal(breaker).retry_after_s == 2

    succeed(breaker)
    fail(breaker, 4)
    succeed(breaker)


def test_a_probe_that_fails_means_another_rest(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    clock.now += 30
    fail(breaker)

    assert refusal(breaker).retry_after_s == 30
    clock.now += 30
    succeed(breaker)
    assert breaker.rests_for_s == 0


def test_calls_that_were_under_way_do_not_prolong_the_rest(breaker: Breaker, clock: Clock) -> None:
    late = breaker.watching()
    late.__enter__()
    fail(breaker, 5)
    clock.now += 20
    assert not late.__exit__(ModelUnavailable, ModelUnavailable("late"), None), "the error goes on its way"

    assert refusal(breaker).retry_after_s == 10


def test_a_refusal_is_an_answer(breaker: Breaker) -> None:
    fail(breaker, 4)
    with pytest.raises(InvalidRequest), breaker.watching():
        raise InvalidRequest("not this")
    fail(breaker, 4)

    succeed(breaker)


@pytest.mark.parametrize("ends", [asyncio.CancelledError, GeneratorExit, ZeroDivisionError])
def test_a_call_that_we_ended_ourselves_says_nothing_of_the_model(
    breaker: Breaker, clock: Clock, ends: type[BaseException]
) -> None:
    fail(breaker, 5)
    clock.now += 30
    with pytest.raises(ends), breaker.watching():
        raise ends

    assert breaker.rests_for_s == 0
    fail(breaker)
    assert breaker.rests_for_s == 30, "the next call was the probe"
