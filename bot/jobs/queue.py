"""The queue: work is a row written in the caller's transaction, and an engine in this process that takes rows on.

The row is the truth about what is done; the engine is a convenience that may die at any moment.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable
from bot.repositories.work import ClaimedWork, WorkRepository
from bot.values import Errand, new_id

log = structlog.get_logger()

MAX_ATTEMPTS = 4
"""Tries before a piece of work is given up and the person gets an apology."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to do with one kind of work.

    `lock` names what must not be worked on twice at once (a thread, a file). `give_up` is told when every
    attempt failed, with the id under which the reason stands in the log.
    """

    run: Callable[[ClaimedWork], Awaitable[None]]
    give_up: Callable[[ClaimedWork, str], Awaitable[None]]
    lock: Callable[[ClaimedWork], str]
    concurrency: int = 4


class Queue:
    """Writes work; wakes the engine of this process once the writing transaction has committed."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()

    async def enqueue(self, session: AsyncSession, errand: Errand, *, inbox_id: UUID | None = None) -> bool:
        """Write a piece of work into the session's transaction; False when its key or gesture is known for this task."""
        work_id = await WorkRepository(session).record(errand, inbox_id=inbox_id)
        event.listen(session.sync_session, "after_commit", lambda _: self.wake.set(), once=True)
        return work_id is not None


class InProcessEngine:
    """Polls one workspace's work and runs it in this event loop, in the order it was written per lock."""

    def __init__(
        self, sessions: Sessions, queue: Queue, tasks: Mapping[str, Task], *, team_id: str, poll_s: float = 1.0
    ) -> None:
        self._sessions = sessions
        self._queue = queue
        self._tasks = tasks
        self._team_id = team_id
        self._poll_s = poll_s
        self._running: set[asyncio.Task[None]] = set()
        self._busy: dict[str, int] = defaultdict(int)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiters: dict[str, int] = defaultdict(int)

    async def run(self) -> None:
        """Take on work until cancelled; what a former process left running is taken on again first."""
        await self._recover()
        while True:
            self._queue.wake.clear()
            if not await self._claim():
                try:
                    await asyncio.wait_for(self._queue.wake.wait(), self._poll_s)
                except TimeoutError:
                    continue

    async def close(self, *, grace_s: float = 10) -> None:
        """Let running work finish for `grace_s`, then cancel it: its rows say running, so the next start takes it on."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _recover(self) -> None:
        while True:
            try:
                async with self._sessions.tenant(self._team_id) as session:
                    await WorkRepository(session).release_running(self._team_id)
            except DatabaseUnavailable:
                log.warning("queue.unreachable")
                await asyncio.sleep(self._poll_s)
            except Exception:  # the edge, as below
                log.exception("queue.failed")
                await asyncio.sleep(self._poll_s)
            else:
                return

    async def _claim(self) -> bool:
        """Claim what there is room for; False when nothing was claimed."""
        free = {name: task.concurrency - self._busy[name] for name, task in self._tasks.items()}
        claimed: list[ClaimedWork] = []
        try:
            async with self._sessions.tenant(self._team_id) as session:
                works = WorkRepository(session)
                for name, room in free.items():
                    if room > 0:
                        claimed += await works.claim(self._team_id, tasks=[name], limit=room)
        except DatabaseUnavailable:
            log.warning("queue.unreachable")
            await asyncio.sleep(self._poll_s)
            return False
        except Exception:  # the edge: whatever is wrong with the database, a queue that stops is worse
            log.exception("queue.failed")
            await asyncio.sleep(self._poll_s)
            return False
        for work in claimed:
            self._start(work)
        return bool(claimed)

    def _start(self, work: ClaimedWork) -> None:
        self._busy[work.task] += 1
        running = asyncio.create_task(self._work(work), name=f"{work.task}:{work.key}")
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _work(self, work: ClaimedWork) -> None:
        task = self._tasks[work.task]
        lock = f"{work.task}:{task.lock(work)}"
        self._waiters[lock] += 1
        try:
            async with self._locks[lock]:
                await self._attempt(task, work)
        finally:
            self._waiters[lock] -= 1
            if not self._waiters[lock]:
                del self._waiters[lock], self._locks[lock]
            self._busy[work.task] -= 1
            self._queue.wake.set()

    async def _attempt(self, task: Task, work: ClaimedWork) -> None:
        structlog.contextvars.bind_contextvars(team_id=work.team_id, task=work.task, key=work.key)
        try:
            await task.run(work)
        except Exception as error:  # noqa: BLE001  # the edge: whatever happened, the row must learn of it
            await self._failed(task, work, error)
        else:
            await self._settle(lambda works: works.finish(work.team_id, work.id, work.epoch, "done"))

    async def _failed(self, task: Task, work: ClaimedWork, error: Exception) -> None:
        error_id = str(new_id())[-12:]
        log.error("work.failed", error_id=error_id, attempt=work.epoch, exc_info=error)
        if work.epoch < MAX_ATTEMPTS:
            delay_s = min(30.0, 2.0 ** (work.epoch - 1))
            await self._settle(lambda works: works.requeue(work.team_id, work.id, work.epoch, delay_s))
            return
        try:
            await task.give_up(work, error_id)
        except Exception:  # an apology that can't be posted must not keep the row alive
            log.exception("work.apology_failed", error_id=error_id)
        await self._settle(lambda works: works.finish(work.team_id, work.id, work.epoch, "dead", error_id=error_id))

    async def _settle(self, write: Callable[[WorkRepository], Awaitable[object]]) -> None:
        """Write how it ended, waiting for the database as long as it takes."""
        while True:
            try:
                async with self._sessions.tenant(self._team_id) as session:
                    await write(WorkRepository(session))
            except DatabaseUnavailable:
                await asyncio.sleep(self._poll_s)
            except Exception:  # the edge: the row says running, and the next start takes it on
                log.exception("queue.unsettled")
                return
            else:
                return
