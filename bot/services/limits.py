"""How much one person, and one workspace, may ask for: token buckets, and a day's tokens of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from bot.db.engine import Session, Sessions
from bot.errors import TooManyRequests
from bot.repositories.buckets import BucketRepository
from bot.repositories.usage import UsageRepository

BURST_S = 600.0
"""A bucket holds what comes back in ten minutes: who asks little may ask much at once."""


class Kind(StrEnum):
    """What is counted."""

    QUESTIONS = "questions"
    REQUESTS = "requests"
    UPLOADS = "uploads"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be asked for in a minute, ten minutes' worth of it at once; 0: as much as they like."""

    user_questions: int = 0
    workspace_questions: int = 0
    user_requests: int = 0
    user_uploads: int = 0
    workspace_tokens_per_day: int = 0

    def costs(self, kind: Kind, who: str) -> dict[str, float]:
        """Return what one of a kind takes from which bucket, in seconds; {} when it isn't limited."""
        rates = {f"{kind}:{who}": self._rate(kind)}
        if kind is Kind.QUESTIONS:
            rates[_WORKSPACE] = self.workspace_questions
        return {name: 60 / rate for name, rate in rates.items() if rate}

    def require_room(self, debts: Mapping[str, float], *, tokens_today: int | None = None) -> None:
        """Raise TooManyRequests when a bucket was emptied by more than it holds, or the day's tokens are spent.

        Inside the transaction that took from the buckets: so what is refused takes nothing.
        """
        for name, debt_s in sorted(debts.items()):
            if debt_s > BURST_S:
                raise _too_many(name, self._rate_of(name), debt_s - BURST_S)
        if self.workspace_tokens_per_day and (tokens_today or 0) >= self.workspace_tokens_per_day:
            raise TooManyRequests(
                "the day's tokens are spent",
                user_message="This workspace has used up what it may spend on the language model today. "
                "I answer again after midnight (UTC); an administrator can raise WORKSPACE_TOKENS_PER_DAY.",
                retry_after_s=_until_midnight_s(),
            )

    def _rate(self, kind: Kind) -> int:
        rates = {
            Kind.QUESTIONS: self.user_questions,
            Kind.REQUESTS: self.user_requests,
            Kind.UPLOADS: self.user_uploads,
        }
        return rates[kind]

    def _rate_of(self, name: str) -> int:
        return self.workspace_questions if name == _WORKSPACE else self._rate(Kind(name.partition(":")[0]))


class LimitService:
    """Lets in what there is room for. Questions in Slack are counted where their turn begins (`TurnService`)."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self._sessions = sessions
        self._limits = limits

    async def admit(self, team_id: str, who: str, kind: Kind) -> None:
        """Count one request of somebody's; `who` is their Slack id, or our own number. Raises TooManyRequests."""
        if costs := self._limits.costs(kind, who):
            async with self._sessions.tenant(team_id) as session:
                self._limits.require_room(await BucketRepository(session).charge(team_id, costs))


async def admit_question(session: Session, team_id: str, who: str, limits: Limits) -> None:
    """Count a question that came past Slack, in the transaction that stores it. Raises TooManyRequests."""
    costs, tokens_today = limits.costs(Kind.QUESTIONS, who), None
    if limits.workspace_tokens_per_day:
        tokens_today = await UsageRepository(session).count_tokens_today(team_id)
    debts = await BucketRepository(session).charge(team_id, costs) if costs else {}
    limits.require_room(debts, tokens_today=tokens_today)


_WORKSPACE = "questions"
"""The bucket that the questions of all people are taken from; a person's are named `questions:` and who they are."""

_WORDS = {
    Kind.QUESTIONS: "You've asked more questions than I take from one person: {rate} a minute, {burst} at once. "
    "I answer again in {wait}; please ask this one once more then.",
    Kind.REQUESTS: "That was more than I take from one person: {rate} a minute, {burst} at once. "
    "Please try again in {wait}.",
    Kind.UPLOADS: "You've sent more files than I take from one person: {rate} a minute, {burst} at once. "
    "Please send this one again in {wait}.",
}
_ALL_ASK = (
    "Everybody here together has asked more questions than I take: {rate} a minute, {burst} at once. "
    "I answer again in {wait}; please ask this one once more then."
)


def _too_many(name: str, rate: int, wait_s: float) -> TooManyRequests:
    words = _ALL_ASK if name == _WORKSPACE else _WORDS[Kind(name.partition(":")[0])]
    message = words.format(rate=rate, burst=f"{rate * BURST_S / 60:,.0f}", wait=_wait(wait_s))
    return TooManyRequests(f"{name}: {wait_s:.1f} s too early", user_message=message, retry_after_s=wait_s)


def _until_midnight_s() -> float:
    now = datetime.now(UTC)
    return (datetime.combine(now.date() + timedelta(days=1), time.min, UTC) - now).total_seconds()


def _wait(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds <= 90 else f"{math.ceil(seconds / 60)} minutes"  # noqa: PLR2004  # a minute and a half
