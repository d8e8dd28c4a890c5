"""What came of each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.eval.case import Case, Ranking
from bot.values import Usage


@dataclass(frozen=True, slots=True)
class Found:
    """What one way of searching found: None where nothing should be found; and how long it took."""

    ranking: Ranking | None
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Answered:
    """How the bot answered: `verified` of its `quotes` stand in the passages they name, word for word."""

    found: bool
    quotes: int
    verified: int
    usage: Usage
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question, by each way of searching; `answer` is None when nobody was asked to answer."""

    case: Case
    legs: Mapping[str, Found]
    answer: Answered | None
