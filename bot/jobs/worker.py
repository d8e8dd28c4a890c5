"""The worker: procrastinate's workers on one queue each, watched, and started anew when the database was away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import structlog
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker as PoolWorker

from bot.db.engine import Sessions
from bot.ending import end_tasks
from bot.errors import DatabaseUnavailable, WorkspaceGone
from bot.jobs.attempt import START_INTERVAL_S, Attempts, PutBackError, PutBackStrategy
from bot.jobs.connection import QueueConnector
from bot.jobs.holding import HeldJobs
from bot.jobs.queue import JOB, POOLS, PURGE, Task, queue_name
from bot.jobs.recovery import HourlyErrand, Recovery

log = structlog.get_logger()

BEAT_S = 1.0
PATIENCE_S = 5.0
"""How long the database may take over a statement of the queue's before its connections are given up."""

_LONGEST_PAUSE_S = 5.0
_OPEN_S = 10.0
_END_S = 1.5
"""What a worker may take to end once its jobs were cut off, and again once its connections were closed."""

_STOP_S = 4.5
_MANY, _FEW = 8, 2
"""Connections of a worker, beside those it listens on."""

_AGAIN_S = 1.0


class QueueLostError(Exception):
    """The queue can't be worked on over these connections any more."""


class Worker:
    """Does the work of one workspace, whatever becomes of the database meanwhile; and `purge`, of whichever is due.

    A thrifty one makes do with two connections to the database, for a process that has many: it looks for work every
    `poll_s` and isn't told of it.
    """

    def __init__(
        self,
        sessions: Sessions,
        tasks: Mapping[str, Task],
        *,
        purge: Callable[[str], Awaitable[None]] | None = None,
        queue_url: str,
        team_id: str,
        stall_s: float = 30,
        poll_s: float = 0.5,
        start_interval_s: float = START_INTERVAL_S,
        patience_s: float = PATIENCE_S,
        hourly: Sequence[HourlyErrand] = (),
        thrifty: bool = False,
    ) -> None:
        self._thrifty = thrifty
        self._purge_workspace = purge
        self._queue_url = queue_url
        self._team_id = team_id
        self._stall_s = stall_s
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._attempts = Attempts(sessions, tasks, team_id=team_id, start_interval_s=start_interval_s)
        self._recovery = Recovery(sessions, team_id=team_id, stall_s=stall_s, hourly=hourly)
        self._worker_ids: set[int] = set()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._grace_s = 0.0
        self._proved_at = time.monotonic()

    def beat_age_s(self) -> float:
        """Return the seconds since the queue was last proved to work: when the signs of life began to be written."""
        return time.monotonic() - self._proved_at

    async def run(self) -> None:
        """Do work until `stop` or cancelled."""
        pause_s = BEAT_S / 2
        try:
            while not self._stopping.is_set():
                started_at = self._proved_at
                await self._serve()
                if self._stopping.is_set():
                    return
                pause_s = BEAT_S / 2 if self._proved_at > started_at else min(2 * pause_s, _LONGEST_PAUSE_S)
                await _wait(self._stopping, pause_s)
        finally:
            self._ended.set()

    async def stop(self, grace_s: float) -> None:
        """Take on nothing more; let what runs finish for `grace_s`, then cut it off and hand it back.

        Returns within `grace_s` and a few seconds more, database or not.
        """
        self._grace_s = grace_s
        self._stopping.set()
        await _wait(self._ended, grace_s + _STOP_S)

    async def _serve(self) -> None:
        """Work over one set of connections, until they are lost or we are to stop."""
        connector = QueueConnector(self._queue_url, max_size=_FEW if self._thrifty else _MANY)
        app = App(connector=connector)
        jobs = app.job_manager = HeldJobs(connector, self._worker_ids)
        app.task(name=JOB, pass_context=True, retry=PutBackStrategy())(self._work)
        try:
            async with asyncio.timeout(_OPEN_S):
                await app.open_async()
            workers = [self._pool_worker(app, pool, queue_name(self._team_id, pool), POOLS[pool]) for pool in POOLS]
            if self._purge_workspace is not None:
                app.task(name=PURGE, retry=PutBackStrategy())(self._purge)
                workers.append(self._pool_worker(app, PURGE, PURGE, 1))
            await self._work_on(connector, jobs, workers)
        except (ConnectorException, DatabaseUnavailable, QueueLostError, TimeoutError) as error:
            log.warning("queue.unreachable", reason=str(error.__cause__ or error) or type(error).__name__)
        except Exception:  # the edge: whatever is wrong, a queue that stops is worse
            log.exception("queue.failed")
        finally:
            await app.close_async()

    async def _work(self, context: JobContext, *, team_id: str, work_id: str) -> None:  # noqa: ARG002  # every job's
        await self._attempts.run(UUID(work_id))

    async def _purge(self, *, team_id: str) -> None:
        """Purge a workspace, ours or another: its own workers may be gone by now."""
        assert self._purge_workspace is not None  # noqa: S101  # else nobody takes these jobs here
        try:
            await self._purge_workspace(team_id)
        except DatabaseUnavailable as error:
            raise PutBackError(_AGAIN_S) from error

    def _pool_worker(self, app: App, name: str, queue: str, concurrency: int) -> PoolWorker:
        return PoolWorker(
            app,
            queues=[queue],
            name=name,
            concurrency=concurrency,
            fetch_job_polling_interval=self._poll_s,
            listen_notify=not self._thrifty,
            abort_job_polling_interval=600,
            delete_jobs="successful",
            install_signal_handlers=False,
            update_heartbeat_interval=min(10.0, self._stall_s / 4),
            stalled_worker_timeout=self._stall_s,
        )

    async def _work_on(self, connector: QueueConnector, jobs: HeldJobs, workers: list[PoolWorker]) -> None:
        runs = {asyncio.create_task(_run(worker), name=f"queue:{worker.worker_name}") for worker in workers}
        for run in runs:
            run.add_done_callback(_look_at)
        stopping = asyncio.create_task(self._stopping.wait(), name="queue:stopping")
        watch = asyncio.create_task(self._watch(connector, jobs), name="queue:watch")
        tending = asyncio.create_task(self._tend(jobs), name="queue:recovery")
        beside = (stopping, watch, tending)
        try:
            done, _ = await asyncio.wait({*runs, *beside}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # raises why it ended
            if stopping not in done:
                raise QueueLostError("a worker ended")
        finally:
            await self._end(connector, workers, runs)
            await end_tasks(beside, again_s=BEAT_S)

    async def _end(self, connector: QueueConnector, workers: list[PoolWorker], runs: set[asyncio.Task[None]]) -> None:
        """End the workers. What runs gets its grace, unless the queue was lost; then it is cut off and handed back."""
        for worker in workers:
            worker.stop()  # type: ignore[no-untyped-call]  # procrastinate leaves it bare
        if self._stopping.is_set():
            await asyncio.wait(runs, timeout=self._grace_s)
        self._attempts.cut_off()
        _, late = await asyncio.wait(runs, timeout=_END_S)
        if late:  # they wait for a database that says nothing
            await connector.close_async()
            await end_tasks(late, within_s=_END_S, again_s=_END_S / 3)

    async def _watch(self, connector: QueueConnector, jobs: HeldJobs) -> None:
        """Prove the queue again and again. Raises QueueLostError when it doesn't answer in time."""
        while True:
            started_at = time.monotonic()
            beat = asyncio.create_task(self._beat(connector, jobs), name="queue:beat")
            beat.add_done_callback(_look_at)
            try:
                await asyncio.wait({beat}, timeout=self._patience_s)
                await asyncio.wait(
                    {beat}, timeout=BEAT_S / 10
                )  # we may have slept ourselves: answers that are here count
                if not beat.done():
                    raise QueueLostError("no answer")
                beat.result()
            finally:
                beat.cancel()
            if connector.waiting_s() > self._patience_s:
                raise QueueLostError("a statement got no answer")
            self._proved_at = started_at
            await asyncio.sleep(BEAT_S)

    async def _beat(self, connector: QueueConnector, jobs: HeldJobs) -> None:
        """Write our signs of life; procrastinate's own end with the first failure, and when work has its grace."""
        await connector.execute_query_async(_BEAT, worker_ids=sorted(jobs.live_ids))

    async def _tend(self, jobs: HeldJobs) -> None:
        """Bring back what was lost; without haste, since it shares the database with all that is done."""
        while True:
            try:
                await self._attempts.hand_back_rest()
                await self._recovery.tend(jobs, worker_ids=sorted(self._worker_ids))
            except (ConnectorException, DatabaseUnavailable) as error:
                log.warning("queue.untended", reason=str(error.__cause__ or error))
            except WorkspaceGone:
                log.debug("queue.deserted", team_id=self._team_id)
            await asyncio.sleep(BEAT_S)


async def _run(worker: PoolWorker) -> None:
    await worker.run()  # type: ignore[no-untyped-call]  # procrastinate leaves it bare


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting}, timeout=timeout_s)
    waiting.cancel()


def _look_at(task: asyncio.Task[None]) -> None:
    """Take note of how a task ended that nobody may be waiting for any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("queue.task_failed", name=task.get_name(), reason=str(error.__cause__ or error))


_BEAT = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = ANY(%(worker_ids)s::bigint[])"
