"""Runs the bot with a place at which it dies, as by kill -9: `python -m tests.faults.crash POINT FLAG WITHOUT run`.

It dies each time it comes to the place while the file FLAG is there, and takes the file along: so once per file laid
down. WITHOUT names a mechanism that is switched off, or is "-".
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bot.db import protection
from bot.jobs.attempt import Attempts
from bot.llm.local import LocalEmbedder
from bot.repositories.inbox import InboxRepository
from bot.repositories.passages import PassageRepository
from bot.services.answers import AnswerService
from bot.services.writer import AnswerWriter
from bot.slack.inbox import Inbox
from bot.slack.posts import Posts
from bot.slack.socket import Socket
from tests.faults.sabotage import MECHANISMS

POISON = "the unanswerable"
"""Whoever asks for this gets an exception instead of an answer, each time."""

Wrapped = Callable[..., Awaitable[Any]]


def die_if_due(flag: Path) -> None:
    """End this process as kill -9 does, if the flag is there."""
    try:
        flag.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _after(owner: type, name: str, flag: Path, *, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    inner: Wrapped = getattr(owner, name)

    @functools.wraps(inner)
    async def wrapper(*arguments: Any, **named: Any) -> Any:
        result = await inner(*arguments, **named)
        if when(*arguments, **named):
            die_if_due(flag)
        return result

    setattr(owner, name, wrapper)


def _before(owner: type, name: str, flag: Path, *, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    inner: Wrapped = getattr(owner, name)

    @functools.wraps(inner)
    async def wrapper(*arguments: Any, **named: Any) -> Any:
        if when(*arguments, **named):
            die_if_due(flag)
        return await inner(*arguments, **named)

    setattr(owner, name, wrapper)


def _in_migration(flag: Path) -> None:
    inner = protection.protect

    def wrapper(table: str, **named: Any) -> None:
        inner(table, **named)
        if table == "channel_paces":  # made by the second revision: the first is committed by then
            die_if_due(flag)

    protection.protect = wrapper


def _before_dead_letter(flag: Path) -> None:
    inner: Wrapped = AnswerService.answer

    async def answer(self: AnswerService, question: Any, *arguments: Any, **named: Any) -> Any:
        if POISON in question.text:
            raise RuntimeError("poison")
        return await inner(self, question, *arguments, **named)

    AnswerService.answer = answer  # type: ignore[method-assign]
    _before(Attempts, "_give_up", flag)


def _is_backfilled(*_: Any, event_id: str, **__: Any) -> bool:
    return event_id.startswith("backfill")


def _ends_stream(_: Posts, method: str, *__: Any, **___: Any) -> bool:
    return method == "chat.stopStream"


POINTS: dict[str, Callable[[Path], None]] = {
    "after the inbox row, before the commit": lambda flag: _after(InboxRepository, "record", flag),
    "after the commit": lambda flag: _after(Inbox, "accept", flag),
    "before the acknowledgement": lambda flag: _before(Socket, "send", flag),
    "after the model wrote": lambda flag: _after(AnswerWriter, "write", flag),
    "before the post": lambda flag: _before(Posts, "post", flag),
    "posted, not yet stored": lambda flag: _after(Posts, "post", flag),
    "in the middle of a stream": lambda flag: _before(Posts, "change", flag, when=_ends_stream),
    "chunks inserted, not committed": lambda flag: _after(PassageRepository, "store", flag),
    "after embedding": lambda flag: _after(LocalEmbedder, "embed", flag),
    "before the dead letter": _before_dead_letter,
    "in a migration": _in_migration,
    "in a backfill": lambda flag: _after(Inbox, "accept", flag, when=_is_backfilled),
}
"""The places, by name."""


def main(point: str, flag: str, without: str, *arguments: str) -> None:
    """Set the place, then be `bot ARGUMENTS`."""
    from bot.__main__ import main as bot  # noqa: PLC0415  # it loads what was just replaced

    POINTS[point](Path(flag))
    if without != "-":
        MECHANISMS[without]()
    sys.argv = ["bot", *arguments]
    bot()


if __name__ == "__main__":
    main(*sys.argv[1:])
