"""What the queue's tests do and look at: work written, a worker that runs, a diary of what it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.jobs.queue import Queue, Task
from bot.jobs.worker import Worker
from bot.repositories.work import ClaimedWork
from bot.services.ports import Claim
from bot.values import Errand
from tests.conftest import TEAM, Database, Server, execute

Run = Callable[[ClaimedWork], Awaitable[None]]


@dataclass
class Diary:
    """What the tasks of a test did: `begun` and `ended` hold keys in order, `most` how many ran at once."""

    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    given_up: list[tuple[str, str]] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    works: list[ClaimedWork] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    running: int = 0
    most: int = 0

    def task(self, run: Run | None = None, *, apologise: Run | None = None) -> Task:
        """Return a task that notes what happens around `run`."""

        async def noted(work: ClaimedWork, claim: Claim) -> None:
            self.begun.append(work.key)
            self.works.append(work)
            self.claims.append(claim)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await (run(work) if run else asyncio.sleep(0))
            finally:
                self.running -= 1
            self.ended.append(work.key)

        async def give_up(work: ClaimedWork, error_id: str) -> None:
            self.given_up.append((work.key, error_id))
            if apologise is not None:
                await apologise(work)

        async def withdraw(work: ClaimedWork) -> None:
            self.withdrawn.append(work.key)

        return Task(noted, give_up, withdraw)


def errand(
    key: str, *, task: str = "answer", thread: str | None = None, asker: str | None = None, channel: str | None = None
) -> Errand:
    """Return a piece of work; what shares a thread shares a lock."""
    ids = {"team_id": TEAM} | ({"channel_id": channel} if channel else {})
    return Errand(task, TEAM, key, ids, lock=f"{TEAM}:{thread or key}", thread=thread, asker=asker)


async def enqueue(sessions: Sessions, *keys: str, **about: Any) -> None:
    """Write work, a transaction each."""
    for key in keys:
        async with sessions.tenant(TEAM) as session:
            assert await Queue().enqueue(session, errand(key, **about))


def make_worker(sessions: Sessions, url: str, *, stall_s: float = 30, **tasks: Task) -> Worker:
    return Worker(sessions, tasks, queue_url=url, team_id=TEAM, stall_s=stall_s, poll_s=0.05)


@asynccontextmanager
async def worker_on(
    sessions: Sessions, url: str, *, stall_s: float = 30, grace_s: float = 1, **tasks: Task
) -> AsyncIterator[Worker]:
    """Run a worker, as the app does, until the block ends."""
    worker = make_worker(sessions, url, stall_s=stall_s, **tasks)
    working = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        await worker.stop(grace_s)
        working.cancel()
        await asyncio.wait({working})


async def rows(sessions: Sessions, statement: str) -> list[dict[str, Any]]:
    async with sessions.tenant(TEAM) as session:
        return [dict(row) for row in (await session.execute(text(statement))).mappings()]


async def change(sessions: Sessions, statement: str) -> None:
    async with sessions.tenant(TEAM) as session:
        await session.execute(text(statement))


async def works(sessions: Sessions) -> dict[str, dict[str, Any]]:
    """Return every row of work by its key."""
    return {row["key"]: row for row in await rows(sessions, "SELECT *, run_at > now() AS later FROM work")}


async def states(sessions: Sessions) -> dict[str, str]:
    return {key: row["state"] for key, row in (await works(sessions)).items()}


async def jobs(sessions: Sessions) -> list[dict[str, Any]]:
    """Return the jobs there are, with the key of their work."""
    statement = """
        SELECT w.key, j.* FROM procrastinate_jobs j JOIN work w ON CAST(w.id AS text) = j.args ->> 'work_id' ORDER BY j.id
    """
    return await rows(sessions, statement)


async def until(true: Callable[[], Any], *, timeout_s: float = 30) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while True:
            result = true()
            if await result if isinstance(result, Awaitable) else result:
                return
            await asyncio.sleep(0.01)


async def settled(sessions: Sessions, *, timeout_s: float = 30) -> dict[str, str]:
    """Wait until no work is left and no job; return the states."""

    async def nothing_left() -> bool:
        left = {"queued", "running", "stopping"} & set((await states(sessions)).values())
        return not left and not await jobs(sessions)

    await until(nothing_left, timeout_s=timeout_s)
    return await states(sessions)


@asynccontextmanager
async def outage(server: Server, database: Database) -> AsyncIterator[None]:
    """Cut the bot off from its database: running connections end, and new ones are refused."""
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'"
    await execute(server.owner_url, f"ALTER DATABASE {database.name} CONNECTION LIMIT 0", cut)
    try:
        yield
    finally:
        await execute(server.owner_url, f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
