"""Mechanisms at the edges, towards Slack and the model, switched off one at a time; see `sabotage`."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from bot.jobs.attempt import Attempts
from bot.llm.breaker import Breaker
from bot.repositories import work
from bot.repositories.usage import UsageRepository
from bot.slack.backfill import SlackBackfill
from bot.slack.claimed import ClaimedMessage
from bot.slack.heeding import Closed
from bot.slack.posts import Posts
from bot.slack.socket import Socket


def _lookup() -> None:
    """Let what may have been posted be posted again."""
    _replace(ClaimedMessage, "_find", _nothing)


def _pacing() -> None:
    """Let everybody post as fast as they can."""
    _replace(Attempts, "_busy_s", _nothing)
    _replace(Posts, "reserve", _nothing)
    _replace(Posts, "_keep_apart", _nothing)


def _retry_after() -> None:
    """Let nobody heed what Slack says of when to come again."""

    def left_s(*_: object) -> float:
        return 0.0

    _replace(Closed, "left_s", left_s)
    _replace(Posts, "push_back", _nothing)


def _fairness() -> None:
    """Let everybody's questions be of one rank."""
    ranked = str(work._RECORD)
    flat = ranked.replace("least(-least(", "least(0 * least(")
    assert flat != ranked, "the statement that ranks questions has changed"
    work._RECORD = text(flat)


def _backfill() -> None:
    """Let nobody read what was missed."""
    _replace(SlackBackfill, "run", _nothing)


def _watchdog() -> None:
    """Let nobody ask a silent connection for a sign of life."""
    _replace(Socket, "_ping", _nothing)


def _breaker() -> None:
    """Let a failing model be asked for ever."""

    def let_through(*_: object) -> bool:
        return False

    _replace(Breaker, "_let_through", let_through)


def _usage() -> None:
    """Let nobody record what models cost."""
    _replace(UsageRepository, "record", _nothing)


def _replace(kind: type, name: str, by: Callable[..., object]) -> None:
    """Put `by` in a method's place; AttributeError when there is no such method any more."""
    getattr(kind, name)
    setattr(kind, name, by)


async def _nothing(*_: object, **__: object) -> float:
    return 0.0


MECHANISMS: dict[str, Callable[[], None]] = {
    "lookup": _lookup,
    "pacing": _pacing,
    "retry_after": _retry_after,
    "fairness": _fairness,
    "backfill": _backfill,
    "watchdog": _watchdog,
    "breaker": _breaker,
    "usage": _usage,
}
"""What is switched off, by name: each replaces functions of the bot in this process."""
