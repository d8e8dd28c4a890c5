"""How work is written: its row and the job that carries it to a worker, in the caller's transaction.

The row is the truth about what is done; the job is only the way to whoever does it, and may be lost or repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.repositories.work import ClaimedWork, WorkRepository
from bot.services.ports import Claim
from bot.values import Errand

MAX_ATTEMPTS = 4
"""Starts that may end badly before a piece of work is given up and the person gets an apology."""

POOLS = {"answer": 8, "ingest": 2, "chore": 32}
"""How many pieces of work each pool of a process does at once: no file may keep an answer waiting, no wait a file."""

TASK_POOL = {"answer": "answer", "ingest": "ingest"}
"""The pool of each task that isn't a chore."""

JOB = "work"
PURGE = "purge"
"""The tasks procrastinate knows; of the second, the name of its queue too."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to do with one kind of work.

    `run` returns None when it is done, or the seconds after which it wants to go on, which counts as no attempt. Raises
    UnsaidError to end as if it had been withdrawn.
    `give_up` is told when every attempt failed, with the id under which the reason stands in the log; `withdraw` when
    the work was withdrawn, to take back what was shown of it.
    """

    run: Callable[[ClaimedWork, Claim], Awaitable[float | None]]
    give_up: Callable[[ClaimedWork, str], Awaitable[None]]
    withdraw: Callable[[ClaimedWork], Awaitable[None]] | None = None


class UnsaidError(Exception):
    """What a task has to say can be said nowhere any more: the message it answers is gone, or its channel is."""


class Queue:
    """Writes work."""

    async def enqueue(self, session: AsyncSession, errand: Errand, *, inbox_id: UUID | None = None) -> bool:
        """Write a piece of work into the session's transaction; False when its key or gesture is known for this task.

        Questions of one thread are written one transaction after the other: they are answered in the order in which
        they were accepted. Another message of a known gesture is kept, should the one that counts be withdrawn.
        """
        if errand.task == "answer":
            await session.execute(_ONE_AT_A_TIME, {"lock": errand.lock})
        works, pool = WorkRepository(session), TASK_POOL.get(errand.task, "chore")
        work_id = await works.record(errand, pool=pool, inbox_id=inbox_id)
        if work_id is None and errand.gesture and not await works.record_copy(errand, pool=pool, inbox_id=inbox_id):
            work_id = await works.record(errand, pool=pool, inbox_id=inbox_id)
        if work_id is not None:
            await defer(session, errand.team_id, [work_id])
        return work_id is not None

    async def withdraw(self, session: AsyncSession, team_id: str, task: str, key: str) -> bool:
        """Stop a piece of work, in the session's transaction; False when there is none that isn't done.

        When another message of its gesture is there, that is done in its place.
        """
        stopped = await WorkRepository(session).stop(team_id, task, key)
        if stopped:
            await replace_stopped(session, team_id, task, key)
        return stopped


async def replace_stopped(session: AsyncSession, team_id: str, task: str, key: str) -> None:
    """Let another message of the gesture be done in place of work that was stopped, if there is one."""
    copy_id = await WorkRepository(session).replace_stopped(team_id, task, key)
    if copy_id is not None:
        await defer(session, team_id, [copy_id])


async def defer(session: AsyncSession, team_id: str, work_ids: Sequence[UUID]) -> None:
    """Send a job for each row of work, in the order they were written."""
    await session.execute(_DEFER, {"team": team_id, "ids": list(work_ids), "job": JOB})


async def defer_purge(session: AsyncSession, team_id: str) -> None:
    """Send the job of purging a workspace, which is nobody's work: any worker of any workspace takes it."""
    await session.execute(_DEFER_PURGE, {"team": team_id})


async def list_purges(session: AsyncSession) -> list[str]:
    """Return the workspaces whose purge has been sent for and not ended."""
    return list(await session.scalars(_PURGES))


async def drop_jobs(session: AsyncSession, team_id: str) -> int:
    """Delete every job of a workspace, whatever became of it; return how many there were."""
    names = [queue_name(team_id, pool) for pool in POOLS]
    return len((await session.execute(_DROP, {"team": team_id, "queues": names})).all())


def queue_name(team_id: str, pool: str) -> str:
    """Return the name under which procrastinate knows a pool of a workspace."""
    return f"{team_id}/{pool}"


_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))")

_DEFER = text("""
    SELECT unnest(procrastinate_defer_jobs_v1(array_agg(
               row(team_id || '/' || pool, CAST(:job AS text), priority, lock, NULL,
                   jsonb_build_object('team_id', team_id, 'work_id', id), NULL
               )::procrastinate_job_to_defer_v1 ORDER BY id)))
      FROM work WHERE team_id = :team AND id = ANY(CAST(:ids AS uuid[]))
""")

_DEFER_PURGE = text(f"""
    SELECT unnest(procrastinate_defer_jobs_v1(array[
               row('{PURGE}', '{PURGE}', 0, '{PURGE}:' || CAST(:team AS text), NULL,
                   jsonb_build_object('team_id', CAST(:team AS text)), NULL)::procrastinate_job_to_defer_v1]))
""")

_PURGES = text(f"""
    SELECT DISTINCT args ->> 'team_id' FROM procrastinate_jobs
     WHERE queue_name = '{PURGE}' AND status IN ('todo', 'doing') ORDER BY 1
""")

_DROP = text(f"""
    DELETE FROM procrastinate_jobs
     WHERE queue_name = ANY(CAST(:queues AS text[]))
        OR queue_name = '{PURGE}' AND status = 'todo' AND args ->> 'team_id' = :team
    RETURNING id
""")
