"""What a run must reach: `ndcg@10=.97,dense.recall@5=.9`."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bot.errors import InvalidRequest
from bot.eval.figures import QUALITY, Figure
from bot.eval.runs import LEGS

ANSWERS = ("answered", "refusal.precision", "refusal.recall", "quotes")
NAMES = (*QUALITY, *(f"{leg}.{name}" for leg in LEGS for name in QUALITY), *ANSWERS)
"""Figures of which more is better."""


def thresholds_from(words: str) -> dict[str, float]:
    """Return the least value by figure; {} for no words. Raises InvalidRequest."""
    found = {}
    for word in filter(None, (part.strip() for part in words.split(","))):
        name, _, value = word.partition("=")
        if name not in NAMES:
            raise InvalidRequest(word, user_message=f"{name} is no figure to hold to. There is {', '.join(NAMES)}.")
        found[name] = _share_from(word, value)
    return found


def _share_from(word: str, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise InvalidRequest(word, user_message=f"{word} must be a figure and a number from 0 to 1: ndcg@10=.97")
    return found


def missed(figures: Mapping[str, Figure], at_least: Mapping[str, float]) -> list[str]:
    """Return a sentence for each figure below its threshold; what couldn't be counted is below any."""
    return [
        f"{name} is {shown(figures.get(name))}, below {least:g}."
        for name, least in at_least.items()
        if (value := figures.get(name)) is None or value < least
    ]


def shown(value: Figure) -> str:
    """Return a share as it is written, to three digits."""
    return "not there" if value is None else f"{value:.3f}"
