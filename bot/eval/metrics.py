"""What rankings and refusals are judged by: pure functions, as the field defines them.

A ranking is its gains in order (`[0, 1, 0]`: the second was right), and the best gains that could have been there. nDCG
counts gains as they are, not 2 to their power, as trec_eval and BEIR do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def ndcg(gains: Sequence[int], ideal: Sequence[int], *, k: int) -> float:
    """Return nDCG@k, from 0 to 1. `ideal` holds the gain of everything relevant, in any order, and isn't empty."""
    return _discounted(gains[:k]) / _discounted(sorted(ideal, reverse=True)[:k])


def recall(gains: Sequence[int], ideal: Sequence[int], *, k: int) -> float:
    """Return which share of what is relevant stands among the first k."""
    return sum(gain > 0 for gain in gains[:k]) / len(ideal)


def reciprocal_rank(gains: Sequence[int], *, k: int) -> float:
    """Return 1 / the rank of the first that is relevant; 0 when none of the first k is."""
    return next((1 / rank for rank, gain in enumerate(gains[:k], start=1) if gain > 0), 0.0)


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing."""
    return sum(values) / len(values) if values else None


def share(part: int, whole: int) -> float | None:
    """Return a part's share; None of nothing."""
    return part / whole if whole else None


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile, between two values in proportion; None of nothing."""
    return float(np.percentile(values, percent)) if len(values) else None


def auc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """Return how often one of `higher` is above one of `lower`, ties counting half; None when either is empty."""
    if not higher or not lower:
        return None
    above = np.asarray(higher)[:, None] - np.asarray(lower)[None]
    return float(np.mean(above > 0) + np.mean(above == 0) / 2)
