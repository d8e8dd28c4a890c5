"""Up to when we heard everything that Slack said; and, where we didn't, the work of reading it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Protocol

import structlog

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable, WorkspaceGone
from bot.jobs.queue import Queue
from bot.repositories.workspaces import WorkspaceRepository
from bot.services.errands import backfill_errand
from bot.slack.inbox import Inbox

log = structlog.get_logger()

SOCKET_GAP_S = 30.0
"""Silence after which something may be lost. What nobody acknowledges, Slack sends again after a minute."""

HTTP_GAP_S = 300.0
"""The same where silence may mean that there is nothing to say; by then Slack has tried for the last time."""

HEARING_INTERVAL_S = 10.0

_MARGIN = timedelta(seconds=60)
"""By how much two clocks may differ, Slack's and the database's, and how long an event is under way."""

_TIMEOUT_S = 5.0


class Ears(Protocol):
    """Whoever wants to know that Slack is surely heard: one workspace, or several over the same connection."""

    async def heard(self) -> None:
        """Note that Slack reaches us now."""
        ...

    async def close(self) -> None:
        """Let the last note be written."""
        ...


class Hearing:
    """Keeps `workspaces.heard_at`. A gap of more than `gap_s`, or an event not stored, becomes work in the same step.

    Of a gap, the last `backfill_hours` are read; 0: none.
    """

    def __init__(
        self, sessions: Sessions, queue: Queue, inbox: Inbox, *, team_id: str, gap_s: float, backfill_hours: float
    ) -> None:
        self._sessions = sessions
        self._queue = queue
        self._inbox = inbox
        self._team_id = team_id
        self._gap = timedelta(seconds=gap_s)
        self._horizon = timedelta(hours=backfill_hours)
        self._due_at = 0.0
        self._noting: asyncio.Task[None] | None = None

    def hear(self) -> None:
        """Note, without making anybody wait, that Slack reaches us; at most every ten seconds."""
        if time.monotonic() >= self._due_at and (self._noting is None or self._noting.done()):
            self._due_at = time.monotonic() + HEARING_INTERVAL_S
            self._noting = asyncio.create_task(self.heard(), name="hearing")

    async def heard(self) -> None:
        """Note that Slack reaches us now, and see to what was missed before. Never raises for the database's sake."""
        unstored = self._inbox.unstored_since
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._record()
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("hearing.unrecorded", error=type(error).__name__)
            return
        except WorkspaceGone:
            log.info("hearing.deserted", team_id=self._team_id)
        if self._inbox.unstored_since == unstored:
            self._inbox.unstored_since = None

    async def close(self) -> None:
        """Let the last note be written."""
        if self._noting is not None:
            await asyncio.wait({self._noting}, timeout=_TIMEOUT_S)

    async def _record(self) -> None:
        async with self._sessions.tenant(self._team_id) as session:
            workspaces = WorkspaceRepository(session)
            heard = await workspaces.get_heard(self._team_id)
            if heard is None:
                return
            since = min(moment for moment in (heard.until, self._inbox.unstored_since, heard.now) if moment)
            missed = heard.now - since > self._gap or self._inbox.unstored_since is not None
            if missed and self._horizon:
                since = max(since - _MARGIN, heard.now - self._horizon)
                log.info("backfill.wanted", since=since.isoformat(timespec="seconds"))
                await self._queue.enqueue(session, backfill_errand(self._team_id, since=since, until=heard.now))
            await workspaces.record_heard(self._team_id, heard.now)
