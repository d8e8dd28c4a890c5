"""Runs the bot with one mechanism switched off, for the self-test alone: `python -m tests.faults.sabotage NAME run`.

A checker that can't fail is worthless: each mechanism here has a test whose figure must miss its limit without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.db.engine import Session
from bot.errors import DatabaseUnavailable
from bot.jobs.attempt import Attempts
from bot.jobs.recovery import Recovery
from bot.repositories.tombstones import MessageTombstones
from bot.repositories.work import ClaimedWork, WorkRepository
from bot.slack.inbox import Inbox
from bot.values import Errand, new_id
from tests.faults import sabotage_edges
from tests.faults.sabotage_edges import _nothing, _replace


def _reaper() -> None:
    """Let nobody take over the jobs of the dead."""
    _replace(Recovery, "reap", _nothing)


def _audit() -> None:
    """Let nobody look whether what is said to be done here is done here."""
    _replace(Recovery, "audit", _nothing)


def _fence() -> None:
    """Let everybody write who once held the work."""

    async def hold(repository: WorkRepository, team_id: str, work_id: UUID, epoch: int) -> bool:
        return True

    async def finish(
        repository: WorkRepository, team_id: str, work_id: UUID, epoch: int, state: str, *, error_id: str | None = None
    ) -> bool:
        statement = text("UPDATE work SET state = :state WHERE team_id = :team AND id = :id")
        await repository._session.execute(statement, {"state": state, "team": team_id, "id": work_id})
        return True

    _replace(WorkRepository, "hold", hold)
    _replace(WorkRepository, "finish", finish)


def _patience() -> None:
    """Let what meets an outage be dropped."""

    async def run(attempts: Attempts, work_id: UUID) -> None:
        with contextlib.suppress(DatabaseUnavailable):
            work = await attempts._claim(work_id)
            if work is not None:
                await attempts._attempt(work)

    async def drop(attempts: Attempts, work: ClaimedWork, error: Exception, **_: object) -> None:
        return None

    async def settle(attempts: Attempts, write: Callable[[Session], Coroutine[Any, Any, Any]]) -> Any:
        async with attempts._sessions.tenant(attempts._team_id) as session:
            return await write(session)

    _replace(Attempts, "run", run)
    _replace(Attempts, "_wait_for", drop)
    _replace(Attempts, "_settle", settle)


def _store_first() -> None:
    """Acknowledge first, and store then."""
    in_time = Inbox._in_time
    stores: set[asyncio.Task[None]] = set()

    async def later(inbox: Inbox, write: Coroutine[Any, Any, None]) -> None:
        store = asyncio.create_task(_quietly(in_time(inbox, write)))
        stores.add(store)
        store.add_done_callback(stores.discard)

    _replace(Inbox, "_in_time", later)


def _work_key() -> None:
    """Let every copy of a question be work of its own."""
    record = WorkRepository.record

    async def anew(repository: WorkRepository, errand: Errand, **more: Any) -> UUID | None:
        if errand.task == "answer":
            errand = replace(errand, key=f"{errand.key}#{new_id()}", gesture=None)
        return await record(repository, errand, **more)

    _replace(WorkRepository, "record", anew)


def _tombstones() -> None:
    """Let nobody remember what was deleted."""
    _replace(MessageTombstones, "is_gone", _nothing)


def _copies() -> None:
    """Let no copy of a question count when the one that did is deleted."""

    async def none(*_: object) -> None:
        return None

    _replace(WorkRepository, "replace_stopped", none)


def _forgetting() -> None:
    """Let every piece of work leave a few mebibytes behind."""
    run, left = Attempts.run, []

    async def hoard(attempts: Attempts, work_id: UUID) -> None:
        left.append(b"x" * 2**22)
        await run(attempts, work_id)

    _replace(Attempts, "run", hoard)


async def _quietly(write: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(DatabaseUnavailable):
        await write


MECHANISMS: dict[str, Callable[[], None]] = {
    "reaper": _reaper,
    "audit": _audit,
    "fence": _fence,
    "patience": _patience,
    "store_first": _store_first,
    "work_key": _work_key,
    "tombstones": _tombstones,
    "copies": _copies,
    "forgetting": _forgetting,
    **sabotage_edges.MECHANISMS,
}
"""What is switched off, by name: each replaces functions of the bot in this process."""


def main(name: str, *arguments: str) -> None:
    """Switch a mechanism off, then be `bot ARGUMENTS`."""
    from bot.__main__ import main as bot  # noqa: PLC0415  # it loads what is about to be replaced

    MECHANISMS[name]()
    sys.argv = ["bot", *arguments]
    bot()


if __name__ == "__main__":
    main(*sys.argv[1:])
