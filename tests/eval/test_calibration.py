"""The weight and the floor that fit, worked by hand, and judged on what was held out."""

from __future__ import annotations

import pytest

from bot.errors import InvalidRequest
from bot.eval.calibration import Choice, Trial, Tried, calibrate, choose, weights_of_grid

NOW = Choice(0.5, 0.2)


def tried(group: str | None, *, at: float, right: float = 0.6, best: float | None = None) -> Tried:
    """A question that is found first at one weight, and second at the others."""
    weights = weights_of_grid(NOW.weight)
    if group is None:
        return Tried(None, {weight: Trial(None, best, None) for weight in weights})
    return Tried(group, {weight: Trial(1.0 if weight == at else 0.63, best or right, right) for weight in weights})


def test_the_weight_with_the_best_ndcg_is_chosen() -> None:
    assert choose([tried("a", at=0.8), tried("b", at=0.8), tried("c", at=0.1)], now=NOW).weight == 0.8


def test_of_weights_that_do_the_same_the_nearest_to_the_one_in_use_is_chosen() -> None:
    assert choose([tried("a", at=0.8), tried("b", at=0.45)], now=NOW).weight == 0.45


def test_the_floor_is_the_highest_that_keeps_what_is_right() -> None:
    found = [tried(f"d{number}", at=0.5, right=0.4 + number / 100) for number in range(10)]

    assert choose(found, now=NOW).floor == 0.4


def test_one_right_passage_in_fifty_may_be_lost() -> None:
    found = [tried(f"d{number}", at=0.5, right=0.1 if number == 0 else 0.6) for number in range(50)]

    assert choose(found, now=NOW).floor == 0.6


def test_where_nothing_right_is_found_the_floor_refuses_nothing() -> None:
    weights = weights_of_grid(NOW.weight)
    lost = [Tried(name, {weight: Trial(0.0, 0.9, None) for weight in weights}) for name in "ab"]

    assert calibrate(lost, now=NOW).choice == Choice(0.5, 0.0)


def test_refusal_by_the_floor_is_told_with_its_precision() -> None:
    asked = [
        *(tried(f"d{number}", at=0.5, right=0.5) for number in range(4)),
        tried(None, at=0, best=0.3),
        tried(None, at=0, best=0.7),
        tried(None, at=0, best=None),
    ]

    found = calibrate(asked, now=NOW)

    assert found.choice == Choice(0.5, 0.5)
    assert (found.fitted.kept, found.fitted.precision) == (1.0, 1.0)
    assert found.fitted.recall == pytest.approx(2 / 3)
    assert found.as_it_is.recall == pytest.approx(1 / 3)


def test_what_was_learned_from_one_document_is_judged_on_another() -> None:
    """Ten questions on one document like .8, one on another .1: held out, each is asked with the other's weight."""
    found = calibrate([*(tried("a", at=0.8) for _ in range(10)), tried("b", at=0.1)], now=NOW)

    assert found.choice.weight == 0.8
    assert found.fitted.ndcg == pytest.approx((10 + 0.63) / 11)
    assert found.held_out.ndcg == pytest.approx(0.63)
    assert found.folds == 2


def test_questions_on_one_document_cant_be_held_out() -> None:
    with pytest.raises(InvalidRequest) as refused:
        calibrate([tried("a", at=0.8), tried("a", at=0.8), tried(None, at=0)], now=NOW)

    assert "two documents at least" in refused.value.user_message


def test_the_weight_in_use_is_on_the_grid() -> None:
    assert 0.33 in weights_of_grid(0.33)
    assert len(weights_of_grid(0.5)) == 21
