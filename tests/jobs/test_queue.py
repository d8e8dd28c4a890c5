"""Work is done in order, tried again when it fails, and taken up again after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable
from bot.jobs import queue as module
from bot.jobs.queue import InProcessEngine, Queue, Task
from bot.repositories.work import ClaimedWork, WorkRepository
from tests.conftest import TEAM
from tests.slack.acts import until, value, worked_off

Run = Callable[[ClaimedWork], Awaitable[None]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a failed attempt be tried again at once."""
    requeue = WorkRepository.requeue

    async def at_once(self: WorkRepository, team_id: str, work_id: Any, epoch: int, delay_s: float) -> bool:
        return await requeue(self, team_id, work_id, epoch, delay_s / 100)

    monkeypatch.setattr(WorkRepository, "requeue", at_once)


async def nothing(work: ClaimedWork, error_id: str) -> None:
    return


def task(run: Run, *, lock: Callable[[ClaimedWork], str] = lambda work: work.key, concurrency: int = 4) -> Task:
    return Task(run, nothing, lock=lock, concurrency=concurrency)


@asynccontextmanager
async def engine(sessions: Sessions, queue: Queue, tasks: Mapping[str, Task]) -> Any:
    """Run an engine; what still runs at the end is cancelled at once, as by a crash."""
    running = InProcessEngine(sessions, queue, tasks, team_id=TEAM, poll_s=0.05)
    loop = asyncio.create_task(running.run())
    yield running
    loop.cancel()
    await running.close(grace_s=0)


async def enqueue(sessions: Sessions, queue: Queue, *keys: str, task: str = "count") -> None:
    for key in keys:
        async with sessions.tenant(TEAM) as session:
            await queue.enqueue(session, task, key, {"team_id": TEAM, "channel_id": "C1", "thread_ts": key})


async def states(sessions: Sessions) -> str:
    return str(await value(sessions, "SELECT string_agg(state || epoch, ',' ORDER BY key) FROM work"))


async def test_what_shares_a_lock_is_done_one_at_a_time_and_in_order(sessions: Sessions) -> None:
    done: list[str] = []
    at_once = 0

    async def run(work: ClaimedWork) -> None:
        nonlocal at_once
        at_once += 1
        assert at_once == 1
        await asyncio.sleep(0.02)
        at_once -= 1
        done.append(work.key)

    queue, keys = Queue(), [str(number) for number in range(9)]
    await enqueue(sessions, queue, *keys)
    async with engine(sessions, queue, {"count": task(run, lock=lambda _: "same")}):
        await worked_off(sessions)

    assert done == keys


async def test_no_more_runs_at_once_than_the_task_allows(sessions: Sessions) -> None:
    running, most = 0, 0

    async def run(work: ClaimedWork) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.03)
        running -= 1

    queue = Queue()
    await enqueue(sessions, queue, *"abcdefg")
    async with engine(sessions, queue, {"count": task(run, concurrency=2)}):
        await worked_off(sessions)

    assert most == 2


async def test_a_failure_is_tried_again_and_given_up_at_the_end(sessions: Sessions) -> None:
    told: list[tuple[str, str]] = []

    async def run(work: ClaimedWork) -> None:
        if work.key == "bad" or work.epoch < 3:
            raise RuntimeError("not yet")

    async def give_up(work: ClaimedWork, error_id: str) -> None:
        told.append((work.key, error_id))
        raise OSError("nobody listens")

    queue = Queue()
    await enqueue(sessions, queue, "bad", "late")
    with capture_logs() as logs:
        async with engine(sessions, queue, {"count": Task(run, give_up, lock=lambda work: work.key)}):
            await worked_off(sessions)

    assert await states(sessions) == f"dead{module.MAX_ATTEMPTS},done3"
    assert [key for key, _ in told] == ["bad"]
    assert told[0][1] in {entry["error_id"] for entry in logs if entry["event"] == "work.failed"}


async def test_what_a_crash_interrupted_is_done_by_the_next_process(sessions: Sessions) -> None:
    begun = asyncio.Event()
    done: list[int] = []

    async def hang(work: ClaimedWork) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def run(work: ClaimedWork) -> None:
        done.append(work.epoch)

    await enqueue(sessions, Queue(), "one")
    async with engine(sessions, Queue(), {"count": task(hang)}):
        await begun.wait()
    assert await states(sessions) == "running1"
    async with engine(sessions, Queue(), {"count": task(run)}):
        await worked_off(sessions)

    assert done == [2]


async def test_new_work_wakes_the_engine_once_it_is_committed(sessions: Sessions) -> None:
    done = asyncio.Event()

    async def run(work: ClaimedWork) -> None:
        done.set()

    queue = Queue()
    running = InProcessEngine(sessions, queue, {"count": task(run)}, team_id=TEAM, poll_s=60)
    loop = asyncio.create_task(running.run())
    await asyncio.sleep(0.2)
    async with sessions.tenant(TEAM) as session:
        await queue.enqueue(session, "count", "one", {"team_id": TEAM})
        await asyncio.sleep(0.1)
        assert not done.is_set()
    await asyncio.wait_for(done.wait(), 5)
    loop.cancel()
    await running.close()


async def test_work_is_known_by_its_key(sessions: Sessions) -> None:
    queue = Queue()
    async with sessions.tenant(TEAM) as session:
        assert await queue.enqueue(session, "count", "one", {"team_id": TEAM})
        assert not await queue.enqueue(session, "count", "one", {"team_id": TEAM})
        assert await queue.enqueue(session, "other", "one", {"team_id": TEAM})


@pytest.mark.parametrize("trouble", [DatabaseUnavailable("gone"), RuntimeError("something nobody foresaw")])
async def test_a_database_in_trouble_does_not_end_the_engine(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    claim, failures = WorkRepository.claim, 3

    async def fail_first(self: WorkRepository, *args: Any, **named: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise trouble
        return await claim(self, *args, **named)

    async def run(work: ClaimedWork) -> None:
        return

    monkeypatch.setattr(WorkRepository, "claim", fail_first)
    queue = Queue()
    await enqueue(sessions, queue, "one")
    async with engine(sessions, queue, {"count": task(run)}):
        await worked_off(sessions)

    assert await states(sessions) == "done1"


async def test_work_that_ends_waits_for_the_database_to_say_so(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, failures = WorkRepository.finish, 3

    async def fail_first(self: WorkRepository, *args: Any, **named: Any) -> bool:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise DatabaseUnavailable("gone")
        return await finish(self, *args, **named)

    runs = 0

    async def run(work: ClaimedWork) -> None:
        nonlocal runs
        runs += 1

    monkeypatch.setattr(WorkRepository, "finish", fail_first)
    queue = Queue()
    await enqueue(sessions, queue, "one")
    async with engine(sessions, queue, {"count": task(run)}):
        await worked_off(sessions)

    assert runs == 1


async def test_closing_lets_running_work_finish(sessions: Sessions) -> None:
    begun, finished = asyncio.Event(), False

    async def run(work: ClaimedWork) -> None:
        nonlocal finished
        begun.set()
        await asyncio.sleep(0.2)
        finished = True

    queue = Queue()
    await enqueue(sessions, queue, "one")
    running = InProcessEngine(sessions, queue, {"count": task(run)}, team_id=TEAM, poll_s=0.05)
    loop = asyncio.create_task(running.run())
    await begun.wait()
    loop.cancel()
    await running.close(grace_s=5)

    assert finished
    await until(lambda: _is_done(sessions))


async def _is_done(sessions: Sessions) -> bool:
    return await states(sessions) == "done1"
