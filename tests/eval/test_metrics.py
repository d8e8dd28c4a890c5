"""The measures against examples worked by hand."""

from __future__ import annotations

import math

import pytest

from bot.eval.metrics import auc, mean, ndcg, percentile, recall, reciprocal_rank, share

LOG3 = math.log2(3)


@pytest.mark.parametrize(
    ("gains", "ideal", "expected"),
    [
        ([1, 0, 0], [1], 1.0),
        ([0, 1, 0], [1], 1 / LOG3),  # 1/log2(3) of a best of 1
        ([0, 0, 1], [1], 0.5),  # 1/log2(4)
        ([1, 1], [1, 1], 1.0),
        ([1, 0, 1], [1, 1], (1 + 0.5) / (1 + 1 / LOG3)),
        ([1, 3], [3, 1], (1 + 3 / LOG3) / (3 + 1 / LOG3)),  # gains as they are, not 2 to their power
        ([0, 0], [1], 0.0),
        ([], [1], 0.0),
    ],
)
def test_ndcg_is_the_discounted_gain_over_the_best_there_could_be(
    gains: list[int], ideal: list[int], expected: float
) -> None:
    assert ndcg(gains, ideal, k=10) == pytest.approx(expected)


def test_ndcg_looks_no_further_than_k_on_either_side() -> None:
    assert ndcg([0] * 10 + [1], [1], k=10) == 0
    assert ndcg([1] * 10, [1] * 23, k=10) == pytest.approx(1)


def test_recall_is_of_all_that_is_relevant() -> None:
    assert recall([1, 0, 2, 0, 1], [1, 2, 1, 1], k=5) == 0.75
    assert recall([1, 0, 2, 0, 1], [1, 2, 1, 1], k=2) == 0.25


def test_the_reciprocal_rank_is_that_of_the_first() -> None:
    assert reciprocal_rank([0, 0, 1, 1], k=10) == pytest.approx(1 / 3)
    assert reciprocal_rank([0] * 10 + [1], k=10) == 0


def test_auc_counts_pairs_and_ties_half() -> None:
    assert auc([0.9, 0.5], [0.5, 0.1]) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert auc([0.1], [0.9]) == 0
    assert auc([], [0.9]) is None


def test_of_nothing_there_is_no_figure() -> None:
    assert mean([]) is percentile([], 50) is share(0, 0) is None


def test_a_percentile_lies_between_two_values_in_proportion() -> None:
    assert percentile([10, 20, 30, 40], 50) == 25
    assert percentile([10, 20, 30, 40], 95) == pytest.approx(38.5)
