"""Which jobs this process holds, and that it ends no other: procrastinate itself would end any job by its number."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from bot.jobs.connection import QueueConnector

log = structlog.get_logger()


class HeldJobs(JobManager):
    """Fetches jobs, and ends or puts back those alone that are still ours.

    A job is ours while its row says `doing`, our worker and the same count of attempts. What can't be written, because
    the database went away, is left to the audit. Times are the database's. `worker_ids` are all under which this
    process ever fetched jobs, `live_ids` those of these connections.
    """

    def __init__(self, connector: QueueConnector, worker_ids: set[int]) -> None:
        super().__init__(connector)
        self.held: set[int] = set()
        self.live_ids: set[int] = set()
        self._worker_ids = worker_ids

    async def register_worker(self) -> int:
        worker_id = await super().register_worker()
        self.live_ids.add(worker_id)
        self._worker_ids.add(worker_id)
        return worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        await super().unregister_worker(worker_id)
        self._worker_ids.discard(worker_id)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        job = await super().fetch_job(queues, worker_id)
        if job is not None and job.id is not None:
            self.held.add(job.id)
        return job

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:  # noqa: FBT001  # procrastinate's
        await self._let_go(job, _FINISH, status=status.value, delete_job=delete_job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        delay_s = max(0.0, (retry_at - datetime.now(UTC)).total_seconds()) if retry_at else 0.0
        await self._let_go(job, _RETRY, delay_s=delay_s, priority=priority, queue=queue, lock=lock)

    async def _let_go(self, job: Job, query: str, **arguments: object) -> None:
        ours = {"job_id": job.id, "worker_id": job.worker_id, "attempts": job.attempts}
        try:
            rows = await self.connector.execute_query_all_async(query, **ours, **arguments)
            if not rows:
                log.warning("job.overtaken", job_id=job.id)
        except ConnectorException as error:
            log.warning("job.unsettled", job_id=job.id, reason=str(error.__cause__ or error))
        finally:
            self.held.discard(job.id or 0)


_OURS = """
    (SELECT id, lock, queue_name FROM procrastinate_jobs
      WHERE id = %(job_id)s AND status = 'doing' AND worker_id = %(worker_id)s AND attempts = %(attempts)s
        FOR UPDATE) AS ours
"""

# procrastinate tells workers of new jobs alone; the next of a thread would wait for somebody's next look.
_FINISH = f"""
    SELECT procrastinate_finish_job_v1(ours.id, %(status)s::procrastinate_job_status, %(delete_job)s),
           CASE WHEN EXISTS (SELECT 1 FROM procrastinate_jobs WHERE lock = ours.lock AND status = 'todo')
                THEN pg_notify('procrastinate_queue_v1#' || ours.queue_name,
                               json_build_object('type', 'job_inserted', 'job_id', ours.id)::text) END
      FROM {_OURS}
"""

_RETRY = f"""
    SELECT procrastinate_retry_job_v2(
               ours.id, CASE WHEN %(delay_s)s > 0 THEN now() + make_interval(secs => %(delay_s)s) END,
               %(priority)s, %(queue)s, %(lock)s)
      FROM {_OURS}
"""
