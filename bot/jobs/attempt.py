"""One job from its claim to how it ended, as the row of work learns it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from bot.db.engine import Session, Sessions
from bot.errors import DatabaseUnavailable, ServiceUnavailable, Superseded, WorkspaceGone
from bot.jobs import queue
from bot.jobs.claim import WorkClaim
from bot.jobs.queue import Task, UnsaidError
from bot.repositories.paces import PaceRepository
from bot.repositories.work import ClaimedWork, WorkRepository
from bot.values import new_id

log = structlog.get_logger()
T = TypeVar("T")

START_INTERVAL_S = 1.0
"""A channel takes about one message a second (Slack's limit), so no more answers are begun for it."""

LONGEST_OUTAGE_S = 24 * 60 * 60.0
FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
_STRANGE_S = 5.0
_SETTLE_POLL_S = 0.5
_HAND_BACK_S = 1.0
_DEADLY = 2
"""Deaths beyond the last attempt that an apology may cost."""


class PutBackError(Exception):
    """The job is to come again after `delay_s` seconds; until then its lock stays taken."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"again in {delay_s:.1f} s")
        self.delay_s = delay_s


class PutBackStrategy(BaseRetryStrategy):
    """Puts back what asks for it, what was cut off (at once), and what nobody foresaw."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:  # noqa: ARG002  # its signature
        if isinstance(exception, PutBackError):
            return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=exception.delay_s))
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision()
        log.error("job.failed", exc_info=exception)
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=_STRANGE_S))


class Attempts:
    """Runs jobs of one workspace. `unreturned` holds work that couldn't be handed back: the database was away."""

    def __init__(
        self,
        sessions: Sessions,
        tasks: Mapping[str, Task],
        *,
        team_id: str,
        start_interval_s: float = START_INTERVAL_S,
    ) -> None:
        self._sessions = sessions
        self._tasks = tasks
        self._team_id = team_id
        self._start_interval_s = start_interval_s
        self.unreturned: dict[UUID, ClaimedWork] = {}
        self._running: set[asyncio.Task[object]] = set()
        self._handing_back: set[asyncio.Task[None]] = set()

    def cut_off(self) -> None:
        """Cancel everything that runs; each is handed back."""
        for running in self._running:
            running.cancel()

    async def run(self, work_id: UUID) -> None:
        """Do a piece of work, unless it is done. Raises PutBackError when the job must come again."""
        running = asyncio.current_task()
        assert running is not None  # noqa: S101  # each job has a task of its own
        self._running.add(running)
        try:
            work = await self._claim(work_id)
            while work is not None:
                work = await self._attempt(work)
        except DatabaseUnavailable:
            raise PutBackError(_SETTLE_POLL_S) from None
        except WorkspaceGone:
            self.unreturned.pop(work_id, None)
            log.info("work.dropped", work_id=str(work_id))
        finally:
            self._running.discard(running)

    async def hand_back_rest(self) -> None:
        """Hand back what couldn't be handed back when it was cut off. Raises DatabaseUnavailable."""
        for work in list(self.unreturned.values()):
            await self._hand_back(work)

    async def _claim(self, work_id: UUID) -> ClaimedWork | None:
        """Take the work on; a question for a channel that is busy is put back until its turn may have come."""
        async with self._sessions.tenant(self._team_id) as session:
            works = WorkRepository(session)
            if (cut_off := self.unreturned.get(work_id)) is not None:
                await works.requeue(self._team_id, work_id, cut_off.epoch)
            work = await works.claim(self._team_id, work_id)
            delay_s = 0.0 if work is None else await self._busy_s(work, works, PaceRepository(session))
            if work is not None and delay_s:
                await works.requeue(work.team_id, work.id, work.epoch, delay_s)
        self.unreturned.pop(work_id, None)
        if delay_s:
            raise PutBackError(delay_s)
        if work is not None:
            structlog.contextvars.bind_contextvars(team_id=work.team_id, task=work.task, key=work.key)
            asyncio.current_task().set_name(f"{work.task}:{work.key}")  # type: ignore[union-attr]  # this is one
        return work

    async def _busy_s(self, work: ClaimedWork, works: WorkRepository, paces: PaceRepository) -> float:
        """Return for how long the channel has no room for this answer; 0 when it may begin, and its place is taken."""
        channel_id, interval_s = work.ids.get("channel_id"), self._start_interval_s
        is_fresh = work.state == "running" and not work.attempts and not work.blocked_s
        if work.task != "answer" or not channel_id or not is_fresh:
            return 0.0
        wait_s = await paces.reserve_start(work.team_id, channel_id, interval_s=interval_s, patience_s=interval_s)
        if wait_s <= interval_s:
            return 0.0
        ahead = await works.count_ahead(work, channel_id=channel_id)
        return min(wait_s + ahead * interval_s, _LONGEST_BACKOFF_S)

    async def _attempt(self, work: ClaimedWork) -> ClaimedWork | None:
        """Do the work; return it claimed anew when it was withdrawn meanwhile."""
        try:
            await self._do(work)
        except asyncio.CancelledError:
            await self._hand_back_briefly(work)
            raise
        except Superseded:
            log.info("work.superseded", epoch=work.epoch)
            return await self._settle(
                lambda session: WorkRepository(session).claim(work.team_id, work.id, withdrawn=True)
            )
        return None

    async def _do(self, work: ClaimedWork) -> None:
        task = self._tasks.get(work.task)
        if task is None:  # a newer version's: it will be taken on by a process that knows it
            await self._put_back(work, _STRANGE_S)
        elif work.state == "stopping":
            await self._guarded(task, work, lambda: self._withdraw(task, work))
        elif work.error_id is not None or work.attempts >= queue.MAX_ATTEMPTS or work.blocked_s > LONGEST_OUTAGE_S:
            await self._give_up(task, work, work.error_id or _new_error_id())
        else:
            await self._guarded(task, work, lambda: self._run(task, work))

    async def _run(self, task: Task, work: ClaimedWork) -> None:
        claim = WorkClaim(work)
        delay_s = await task.run(work, claim)
        if delay_s is not None:
            await self._put_back(work, delay_s)
        elif not claim.is_finished:
            await self._finish(work, "done")

    async def _withdraw(self, task: Task, work: ClaimedWork) -> None:
        if task.withdraw is not None:
            await task.withdraw(work)
        await self._finish(work, "stopped")

    async def _guarded(self, task: Task, work: ClaimedWork, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except (PutBackError, Superseded):
            raise
        except UnsaidError:
            await self._end_unsaid(work)
        except ServiceUnavailable as error:
            await self._wait_for(work, error)
        except Exception as error:  # noqa: BLE001  # the edge: whatever happened, the row must learn of it
            await self._failed(task, work, error)

    async def _wait_for(self, work: ClaimedWork, error: ServiceUnavailable, *, error_id: str | None = None) -> None:
        delay_s = await self._settle(
            lambda session: WorkRepository(session).block(
                work.team_id, work.id, work.epoch, at_least_s=error.retry_after_s or 0, error_id=error_id
            )
        )
        if delay_s is None:
            raise _superseded(work) from error
        log.warning("work.blocked", reason=str(error), delay_s=round(delay_s, 1), blocked_s=round(work.blocked_s, 1))
        raise PutBackError(delay_s) from None

    async def _failed(self, task: Task, work: ClaimedWork, error: Exception) -> None:
        attempt, error_id = work.attempts + 1, _new_error_id()
        log.error("work.failed", error_id=error_id, attempt=attempt, exc_info=error)
        if attempt < queue.MAX_ATTEMPTS:
            await self._put_back(work, min(_LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1)), is_failure=True)
        await self._give_up(task, work, error_id)

    async def _give_up(self, task: Task, work: ClaimedWork, error_id: str) -> None:
        """Say that it failed, which may have to wait for Slack, and be done with it."""
        try:
            if work.attempts < queue.MAX_ATTEMPTS + _DEADLY:
                await task.give_up(work, error_id)
        except Superseded:
            raise
        except ServiceUnavailable as error:
            if work.blocked_s <= LONGEST_OUTAGE_S:
                await self._wait_for(work, error, error_id=error_id)
            log.warning("work.apology_failed", error_id=error_id, reason=str(error))
        except Exception:  # an apology that can't be posted must not keep the row alive
            log.exception("work.apology_failed", error_id=error_id)
        log.error("work.died", error_id=error_id, attempts=work.attempts)
        await self._finish(work, "dead", error_id=error_id)

    async def _put_back(self, work: ClaimedWork, delay_s: float, *, is_failure: bool = False) -> None:
        if not await self._settle(
            lambda session: WorkRepository(session).requeue(
                work.team_id, work.id, work.epoch, delay_s, is_failure=is_failure
            )
        ):
            raise _superseded(work)
        raise PutBackError(delay_s)

    async def _finish(self, work: ClaimedWork, state: str, *, error_id: str | None = None) -> None:
        if not await self._settle(
            lambda session: WorkRepository(session).finish(work.team_id, work.id, work.epoch, state, error_id=error_id)
        ):
            raise _superseded(work)

    async def _end_unsaid(self, work: ClaimedWork) -> None:
        """End work whose message is gone; another of its gesture counts from now on."""

        async def write(session: Session) -> bool:
            ended = await WorkRepository(session).finish(work.team_id, work.id, work.epoch, "stopped")
            if ended:
                await queue.replace_stopped(session, work.team_id, work.task, work.key)
            return ended

        if not await self._settle(write):
            raise _superseded(work)

    async def _settle(self, write: Callable[[Session], Awaitable[T]]) -> T:
        """Write how it ended, waiting for the database until the job is cut off."""
        while True:
            try:
                async with self._sessions.tenant(self._team_id) as session:
                    return await write(session)
            except DatabaseUnavailable:
                await asyncio.sleep(_SETTLE_POLL_S)

    async def _hand_back_briefly(self, work: ClaimedWork) -> None:
        """Leave the work to whoever comes next, if the database says so soon; else it is kept in mind."""
        self.unreturned[work.id] = work
        handing_back = asyncio.create_task(self._hand_back(work))
        self._handing_back.add(handing_back)
        handing_back.add_done_callback(self._handed_back)
        await asyncio.wait({handing_back}, timeout=_HAND_BACK_S)

    def _handed_back(self, handing_back: asyncio.Task[None]) -> None:
        self._handing_back.discard(handing_back)
        if not handing_back.cancelled() and (error := handing_back.exception()) is not None:
            log.warning("work.unreturned", reason=str(error))

    async def _hand_back(self, work: ClaimedWork) -> None:
        with contextlib.suppress(WorkspaceGone):  # then nobody is to have it
            async with self._sessions.tenant(self._team_id) as session:
                await WorkRepository(session).requeue(work.team_id, work.id, work.epoch)
        self.unreturned.pop(work.id, None)


def _superseded(work: ClaimedWork) -> Superseded:
    return Superseded(f"{work.task} {work.key}: epoch {work.epoch} is over")


def _new_error_id() -> str:
    return str(new_id())[-12:]
