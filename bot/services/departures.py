"""Workspaces that were uninstalled: nobody is let in from then on, and all they held goes, before they may come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bot.db.engine import Session, Sessions
from bot.errors import WorkspaceGone
from bot.repositories.audit import AuditRepository
from bot.repositories.workspaces import DepartureRepository
from bot.values import SLACK, AuditEntry, Deed

log = structlog.get_logger()

_LOOK_S = 0.1
_TRIES = 3


class DepartureService:
    """Purges workspaces. `drop_jobs` deletes what waits in the queue for one, in the transaction it is given."""

    def __init__(self, sessions: Sessions, drop_jobs: Callable[[Session, str], Awaitable[int]]) -> None:
        self._sessions = sessions
        self._drop_jobs = drop_jobs

    async def purge(self, team_id: str) -> None:
        """Delete all that an uninstalled workspace held, in small steps, its audit log apart; nothing when it is back.

        Cut off anywhere, it is done by doing it again, and by two at once as well.
        """
        if not await self._is_deserted(team_id):
            return
        rows = 0
        while count := await self._purge_some(team_id):
            rows += count
        async with self._sessions.purging(team_id) as session:
            if not await self._is_ours(DepartureRepository(session), team_id):
                return
            jobs = await self._drop_jobs(session, team_id)
            if rows:
                entry = AuditEntry(SLACK, Deed.WORKSPACE_PURGED, f"workspace:{team_id}", {"rows": rows, "jobs": jobs})
                await AuditRepository(session).record(team_id, entry)
        log.info("workspace.purged", team_id=team_id, rows=rows, jobs=jobs)

    async def is_gone(self, team_id: str) -> bool:
        """Tell whether a workspace was uninstalled, and hasn't come back."""
        async with self._sessions.purging(team_id) as session:
            return await DepartureRepository(session).is_gone(team_id)

    async def welcome(self, team_id: str, settle: Callable[[Session], Awaitable[None]]) -> None:
        """Let a workspace in that is being installed, empty when it was uninstalled before, and `settle` it.

        Both in one transaction: no farewell that is told late comes between. Raises WorkspaceGone when it is uninstalled
        again and again meanwhile; then nothing is settled.
        """
        for _ in range(_TRIES):
            was_gone = await self.is_gone(team_id)
            if was_gone:
                await self.purge(team_id)
            if await self._let_in(team_id, settle, is_purged=was_gone):
                return
        raise WorkspaceGone(f"{team_id} was uninstalled while it was installed")

    async def empty(self, team_id: str) -> None:
        """Purge a workspace that stays."""
        async with self._sessions.purging(team_id) as session:
            await DepartureRepository(session).record(team_id)
        await self.purge(team_id)
        await self.readmit(team_id)

    async def readmit(self, team_id: str) -> None:
        """Let a workspace in again that was purged: one that has just been installed, and whose token is good."""
        await self._let_in(team_id, _nothing, is_purged=True)

    async def _let_in(self, team_id: str, settle: Callable[[Session], Awaitable[None]], *, is_purged: bool) -> bool:
        """Let a workspace in; False when it was uninstalled, and isn't purged."""
        async with self._sessions.purging(team_id) as session:
            departures = DepartureRepository(session)
            await departures.take_turn(team_id)
            is_gone = await departures.is_gone(team_id)
            if is_gone and not is_purged:
                return False
            await departures.delete(team_id)
            await settle(session)
        if is_gone:
            log.info("workspace.readmitted", team_id=team_id)
        return True

    async def _is_deserted(self, team_id: str) -> bool:
        """Wait until everybody who was let in is out, and return True; False when the workspace isn't gone at all."""
        while True:
            async with self._sessions.purging(team_id) as session:
                departures = DepartureRepository(session)
                if not await departures.is_gone(team_id):
                    return False
                if await departures.is_deserted(team_id):
                    return True
            await asyncio.sleep(_LOOK_S)

    async def _purge_some(self, team_id: str) -> int:
        async with self._sessions.purging(team_id) as session:
            departures = DepartureRepository(session)
            return await departures.purge_some(team_id) if await self._is_ours(departures, team_id) else 0

    async def _is_ours(self, departures: DepartureRepository, team_id: str) -> bool:
        """Take our turn in this transaction; False when the workspace is back: what is here now is new."""
        await departures.take_turn(team_id)
        return await departures.is_gone(team_id)


async def _nothing(session: Session) -> None:
    """Nothing more is to be settled."""
