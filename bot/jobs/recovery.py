"""What brings back work that nobody does any more: after a killed process, a lost reply, a job that vanished."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog
from procrastinate.connector import BaseConnector
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.jobs.holding import HeldJobs
from bot.jobs.queue import POOLS, PURGE, Queue, defer, queue_name
from bot.repositories.work import WorkRepository
from bot.values import Errand

log = structlog.get_logger()

HourlyErrand = Callable[[str, datetime], Errand]
"""Returns a workspace's work of an hour, under the same key all of that hour."""

ORPHAN_AGE_S = 4.0
"""How long a row may say that we do a job of which we know nothing: a reply on its way takes no longer."""

ABANDONED_AGE_S = 60.0
SWEEP_EVERY_S = 30.0
CLEAN_EVERY_S = 60 * 60.0
KEPT_HOURS = 24
"""How long failed jobs are kept, for whoever wants to look."""


class Recovery:
    """Looks after the jobs of one workspace, over the connection of one worker or of the pool."""

    def __init__(
        self, sessions: Sessions, *, team_id: str, stall_s: float, hourly: Sequence[HourlyErrand] = ()
    ) -> None:
        self._sessions = sessions
        self._hourly = hourly
        self._team_id = team_id
        self._stall_s = stall_s
        self._queues = [*(queue_name(team_id, pool) for pool in POOLS), PURGE]
        self._suspects: dict[tuple[int, int], float] = {}
        self._reaped_at = self._swept_at = self._cleaned_at = -CLEAN_EVERY_S

    async def tend(self, jobs: HeldJobs, *, worker_ids: Sequence[int]) -> None:
        """Do what is due of it all. Raises DatabaseUnavailable or procrastinate's ConnectorException."""
        connector, now = jobs.connector, time.monotonic()
        await self.audit(connector, worker_ids=worker_ids, held=jobs.held, live_ids=jobs.live_ids)
        if now - self._reaped_at >= min(5.0, max(1.0, self._stall_s / 10)):
            self._reaped_at = now
            await self.reap(connector)
        if now - self._swept_at >= SWEEP_EVERY_S:
            self._swept_at = now
            await self.sweep()
        if now - self._cleaned_at >= CLEAN_EVERY_S:
            self._cleaned_at = now
            await jobs.delete_old_jobs(KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True)
            await self.call_hourly()

    async def audit(
        self, connector: BaseConnector, *, worker_ids: Sequence[int], held: set[int], live_ids: set[int]
    ) -> int:
        """Put back what our own rows say we do and we don't know of: the fetch's or finish's reply was lost.

        Such a reply may still be on its way, but not over connections that were given up: `live_ids` have others.
        """
        rows = await connector.execute_query_all_async(_DOING, worker_ids=list(worker_ids))
        now = time.monotonic()
        orphans = {(row["id"], row["attempts"]): row["worker_id"] for row in rows if row["id"] not in held}
        self._suspects = {orphan: self._suspects.get(orphan, now) for orphan in orphans}
        count = 0
        for (job_id, attempts), since in self._suspects.items():
            if now - since > ORPHAN_AGE_S or orphans[job_id, attempts] not in live_ids:
                put_back = await connector.execute_query_all_async(
                    _PUT_BACK, job_id=job_id, attempts=attempts, worker_ids=list(worker_ids)
                )
                count += len(put_back)
        if count:
            log.warning("job.orphans_put_back", count=count)
        return count

    async def reap(self, connector: BaseConnector) -> int:
        """Put back the jobs of workers that gave no sign of life for the stall limit; one process at a time does."""
        rows = await connector.execute_query_all_async(
            _REAP, lock=f"reap:{self._team_id}", queues=self._queues, stall_s=self._stall_s
        )
        if rows:
            log.warning("job.reaped", count=len(rows))
        return len(rows)

    async def call_hourly(self) -> None:
        """Ask for the work that is due once an hour, whoever of us does it."""
        async with self._sessions.tenant(self._team_id) as session:
            for errand in self._hourly:
                await Queue().enqueue(session, errand(self._team_id, datetime.now(UTC)))

    async def sweep(self, *, age_s: float = ABANDONED_AGE_S) -> int:
        """Send a new job for work that none stands for; also for what a release before the queue left behind."""
        async with self._sessions.tenant(self._team_id) as session:
            if not await session.scalar(_SWEEPING, {"lock": f"sweep:{self._team_id}"}):
                return 0
            works = WorkRepository(session)
            await works.adopt_former(self._team_id)
            work_ids = await works.list_abandoned(self._team_id, age_s=age_s)
            await defer(session, self._team_id, work_ids)
        if work_ids:
            log.warning("work.swept", count=len(work_ids))
        return len(work_ids)


_DOING = """
    SELECT id, attempts, worker_id FROM procrastinate_jobs
     WHERE status = 'doing' AND worker_id = ANY(%(worker_ids)s::bigint[])
"""

_PUT_BACK = """
    SELECT procrastinate_retry_job_v2(orphan.id, NULL, NULL, NULL, NULL)
      FROM (SELECT id FROM procrastinate_jobs
             WHERE id = %(job_id)s AND status = 'doing' AND attempts = %(attempts)s
               AND worker_id = ANY(%(worker_ids)s::bigint[])
               FOR UPDATE) AS orphan
"""

_REAP = """
    SELECT procrastinate_retry_job_v2(stalled.id, NULL, NULL, NULL, NULL)
      FROM (SELECT job.id
              FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
             WHERE job.status = 'doing' AND job.queue_name = ANY(%(queues)s::text[])
               AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => %(stall_s)s))
               AND (SELECT pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0)))
               FOR UPDATE OF job) AS stalled
"""

_SWEEPING = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:lock, 0))")
