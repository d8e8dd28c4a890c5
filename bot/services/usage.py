"""What models cost: recorded once, whatever becomes of the work it was spent on."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable, WorkspaceGone
from bot.repositories.usage import UsageRepository
from bot.values import Spending

log = structlog.get_logger()


class UsageService:
    """Records what was spent on models; keeps it until the database takes it."""

    def __init__(self, sessions: Sessions, *, retry_s: float = 1.0) -> None:
        self._sessions = sessions
        self._retry_s = retry_s
        self._unwritten: deque[tuple[str, Spending]] = deque()
        self._writing: asyncio.Task[None] | None = None

    def note(self, team_id: str, spending: Spending) -> None:
        """See to it that this is recorded, soon; once, though it may have been recorded already. Waits for nothing."""
        if not spending.usage.stated:
            return
        self._unwritten.append((team_id, spending))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="usage")

    @contextmanager
    def noting_failures(self, team_id: str) -> Iterator[list[Spending]]:
        """Yield a list for what is spent inside, and note it should the block fail; else the block has recorded it."""
        spent: list[Spending] = []
        try:
            yield spent
        except BaseException:  # also when the work is handed back because the process ends
            for spending in spent:
                self.note(team_id, spending)
            raise

    async def close(self, *, grace_s: float = 5.0) -> None:
        """Write what is left; give up after `grace_s`, and say so."""
        if self._writing is None:
            return
        await asyncio.wait([self._writing], timeout=grace_s)
        self._writing.cancel()
        if self._unwritten:
            log.error("usage.lost", calls=len(self._unwritten))

    async def _write(self) -> None:
        while self._unwritten:
            batch = list(self._unwritten)
            try:
                await self._record(batch)
            except DatabaseUnavailable:
                await asyncio.sleep(self._retry_s)
                continue
            except Exception:  # the edge: nobody waits for this task
                log.exception("usage.refused", calls=len(batch))
            for _ in batch:
                self._unwritten.popleft()

    async def _record(self, batch: list[tuple[str, Spending]]) -> None:
        by_team: dict[str, list[Spending]] = defaultdict(list)
        for team_id, spending in batch:
            by_team[team_id].append(spending)
        for team_id, spendings in by_team.items():
            with suppress(WorkspaceGone):  # nobody is left to be told
                async with self._sessions.tenant(team_id) as session:
                    await UsageRepository(session).record(team_id, spendings)
