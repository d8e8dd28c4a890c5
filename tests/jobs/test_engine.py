"""The engine through failures, restarts and outages: rows say what is done, it does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable, NotFound, ServiceUnavailable
from bot.jobs.queue import MAX_ATTEMPTS, InProcessEngine, Queue, Task
from bot.repositories.work import ClaimedWork
from tests.conftest import OTHER_TEAM, TEAM, Database, Server, execute

Run = Callable[[ClaimedWork], Awaitable[None]]


@dataclass
class Diary:
    """What the tasks of a test did: `begun` and `ended` hold keys in order, `most` how many ran at once."""

    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    given_up: list[tuple[str, str]] = field(default_factory=list)
    running: int = 0
    most: int = 0

    def task(self, run: Run | None = None, *, concurrency: int = 4, apologise: Run | None = None) -> Task:
        """Return a task that notes what happens around `run`. Work of one thread has one lock."""

        async def noted(work: ClaimedWork) -> None:
            self.begun.append(work.key)
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

        return Task(noted, give_up, lock=lambda work: work.thread or work.key, concurrency=concurrency)


@asynccontextmanager
async def engine_on(
    sessions: Sessions, queue: Queue, poll_s: float = 0.05, grace_s: float = 1, **tasks: Task
) -> AsyncIterator[InProcessEngine]:
    """Run an engine, as the app does, until the block ends."""
    engine = InProcessEngine(sessions, queue, tasks, team_id=TEAM, poll_s=poll_s)
    polling = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        polling.cancel()
        await engine.close(grace_s=grace_s)


async def enqueue(
    sessions: Sessions, queue: Queue, *keys: str, task: str = "answer", thread: str | None = None
) -> None:
    for key in keys:
        ids = {"team_id": TEAM} | ({"channel_id": "C1", "thread_ts": thread} if thread else {})
        async with sessions.tenant(TEAM) as session:
            await queue.enqueue(session, task, key, ids)


async def works(sessions: Sessions) -> dict[str, dict[str, Any]]:
    """Return every row of work by its key."""
    async with sessions.tenant(TEAM) as session:
        rows = (await session.execute(text("SELECT *, run_at > now() AS later FROM work"))).mappings()
        return {row["key"]: dict(row) for row in rows}


async def states(sessions: Sessions) -> dict[str, str]:
    return {key: row["state"] for key, row in (await works(sessions)).items()}


async def until(true: Callable[[], Awaitable[bool]] | Callable[[], bool], *, timeout_s: float = 5) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while True:
            result = true()
            if await result if isinstance(result, Awaitable) else result:
                return
            await asyncio.sleep(0.01)


async def settled(sessions: Sessions, *, timeout_s: float = 5) -> dict[str, str]:
    """Wait until nothing is queued or running; return the states."""

    async def nothing_left() -> bool:
        return not {"queued", "running"} & set((await states(sessions)).values())

    await until(nothing_left, timeout_s=timeout_s)
    return await states(sessions)


async def make_due(sessions: Sessions, key: str) -> None:
    """Let a piece of work that waits for its next attempt come to it now."""
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE work SET run_at = now() WHERE key = :key"), {"key": key})


# Writing


async def test_the_engine_is_woken_by_a_commit(sessions: Sessions) -> None:
    queue = Queue()
    async with sessions.tenant(TEAM) as session:
        assert await queue.enqueue(session, "answer", "a", {"team_id": TEAM})
        assert not queue.wake.is_set(), "nobody can see the row yet"

    assert queue.wake.is_set()


async def test_a_rollback_wakes_nobody_and_leaves_nothing(sessions: Sessions) -> None:
    queue = Queue()

    async def change_ones_mind() -> None:
        async with sessions.tenant(TEAM) as session:
            await queue.enqueue(session, "answer", "a", {"team_id": TEAM})
            raise NotFound("changed my mind")

    with pytest.raises(NotFound):
        await change_ones_mind()
    assert not queue.wake.is_set()
    assert await works(sessions) == {}


async def test_work_in_a_thread_can_be_counted_there(sessions: Sessions) -> None:
    await enqueue(sessions, Queue(), "a", thread="1.0")
    await enqueue(sessions, Queue(), "b")

    rows = await works(sessions)

    assert (rows["a"]["thread"], rows["b"]["thread"]) == ("C1:1.0", None)


# Doing


async def test_work_is_done_and_its_row_says_so(sessions: Sessions) -> None:
    queue, diary = Queue(), Diary()
    await enqueue(sessions, queue, "a", "b")

    async with engine_on(sessions, queue, answer=diary.task()):
        assert await settled(sessions) == {"a": "done", "b": "done"}

    assert sorted(diary.ended) == ["a", "b"]


async def test_work_written_while_the_engine_sleeps_starts_at_once(sessions: Sessions) -> None:
    queue, diary = Queue(), Diary()

    async with engine_on(sessions, queue, poll_s=60, answer=diary.task()):
        await asyncio.sleep(0.2)
        await enqueue(sessions, queue, "a")
        await until(lambda: diary.ended == ["a"], timeout_s=2)


async def test_work_another_process_wrote_is_found_by_polling(sessions: Sessions) -> None:
    diary = Diary()

    async with engine_on(sessions, Queue(), answer=diary.task()):
        await asyncio.sleep(0.2)
        await enqueue(sessions, Queue(), "a")
        await until(lambda: diary.ended == ["a"])


async def test_one_thread_is_answered_in_the_order_of_its_questions(sessions: Sessions) -> None:
    queue, diary = Queue(), Diary()
    keys = [f"q{n}" for n in range(6)]
    await enqueue(sessions, queue, *keys, thread="1.0")

    async with engine_on(sessions, queue, answer=diary.task(lambda _: asyncio.sleep(0.02))):
        await settled(sessions)

    assert diary.begun == diary.ended == keys
    assert diary.most == 1


async def test_two_threads_do_not_wait_for_each_other(sessions: Sessions) -> None:
    queue, diary, gate = Queue(), Diary(), asyncio.Event()

    async def hold_the_first(work: ClaimedWork) -> None:
        if work.key == "slow":
            await gate.wait()

    await enqueue(sessions, queue, "slow", "behind it", thread="1.0")
    await enqueue(sessions, queue, "elsewhere", thread="2.0")

    async with engine_on(sessions, queue, answer=diary.task(hold_the_first)):
        await until(lambda: diary.ended == ["elsewhere"])
        assert "behind it" not in diary.begun
        gate.set()
        await settled(sessions)

    assert diary.ended == ["elsewhere", "slow", "behind it"]


async def test_a_busy_task_leaves_the_others_alone(sessions: Sessions) -> None:
    queue, diary, gate = Queue(), Diary(), asyncio.Event()

    async def wait(_: ClaimedWork) -> None:
        await gate.wait()

    await enqueue(sessions, queue, "f1", "f2", "f3", task="ingest")
    await enqueue(sessions, queue, "a")

    async with engine_on(sessions, queue, ingest=diary.task(wait, concurrency=1), answer=diary.task()):
        await until(lambda: diary.ended == ["a"])
        assert diary.begun.count("a") == len(diary.begun) - 1, "one file at a time"
        assert list((await states(sessions)).values()).count("queued") == 2
        gate.set()
        await settled(sessions)


async def test_work_of_other_tasks_and_workspaces_is_left_alone(sessions: Sessions) -> None:
    queue, diary = Queue(), Diary()
    await enqueue(sessions, queue, "theirs", task="unknown")
    async with sessions.tenant(OTHER_TEAM) as session:
        await queue.enqueue(session, "answer", "other", {"team_id": OTHER_TEAM})

    async with engine_on(sessions, queue, answer=diary.task()):
        await asyncio.sleep(0.2)

    assert diary.begun == []
    assert await states(sessions) == {"theirs": "queued"}


# Failing


async def test_what_fails_is_tried_again_later(sessions: Sessions) -> None:
    queue, diary = Queue(), Diary()

    async def fail_once(work: ClaimedWork) -> None:
        if work.epoch == 1:
            raise ServiceUnavailable("down")

    await enqueue(sessions, queue, "a")

    with capture_logs() as logs:
        async with engine_on(sessions, queue, answer=diary.task(fail_once)):
            await until(lambda: len(diary.begun) == 1)

            async def is_queued() -> bool:
                return (await states(sessions))["a"] == "queued"

            await until(is_queued)
            assert (await works(sessions))["a"]["later"], "not at once"
            await make_due(sessions, "a")
            assert await settled(sessions) == {"a": "done"}

    assert diary.begun == ["a", "a"]
    assert diary.given_up == []
    (failed,) = [entry for entry in logs if entry["event"] == "work.failed"]
    assert failed["attempt"] == 1


async def fail_to_the_end(sessions: Sessions, diary: Diary, task: Task) -> dict[str, Any]:
    """Let a task fail as often as it may; return its row."""
    queue = Queue()
    await enqueue(sessions, queue, "a")
    async with engine_on(sessions, queue, answer=task):
        for attempt in range(1, MAX_ATTEMPTS + 1):
            await until(lambda attempt=attempt: len(diary.begun) == attempt)
            await asyncio.sleep(0.05)
            await make_due(sessions, "a")
            queue.wake.set()
        await settled(sessions)
    return (await works(sessions))["a"]


async def always_fail(_: ClaimedWork) -> None:
    raise ValueError("a bug")


async def test_what_fails_every_time_is_given_up_under_a_number_that_the_log_knows(sessions: Sessions) -> None:
    diary = Diary()

    with capture_logs() as logs:
        row = await fail_to_the_end(sessions, diary, diary.task(always_fail))

    ((key, error_id),) = diary.given_up
    assert key == "a"
    assert row["state"] == "dead"
    assert row["error_id"] == error_id
    failed = [entry for entry in logs if entry["event"] == "work.failed"]
    assert [entry["attempt"] for entry in failed] == list(range(1, MAX_ATTEMPTS + 1))
    assert failed[-1]["error_id"] == error_id
    assert isinstance(failed[-1]["exc_info"], ValueError)


async def test_an_apology_that_fails_too_ends_the_work_all_the_same(sessions: Sessions) -> None:
    diary, queue = Diary(), Queue()

    row = await fail_to_the_end(sessions, diary, diary.task(always_fail, apologise=always_fail))
    assert row["state"] == "dead"

    await enqueue(sessions, queue, "next")
    async with engine_on(sessions, queue, answer=diary.task()):
        assert (await settled(sessions))["next"] == "done"


async def test_one_failure_stops_nobody_else(sessions: Sessions) -> None:
    queue, diary = Queue(), Diary()

    async def fail_for_a(work: ClaimedWork) -> None:
        if work.key == "a":
            raise ValueError("a bug")

    await enqueue(sessions, queue, "a", "b", thread="1.0")

    async with engine_on(sessions, queue, answer=diary.task(fail_for_a)):
        await until(lambda: diary.ended == ["b"])


# Dying


async def test_work_cut_off_by_closing_is_taken_on_by_the_next_process(sessions: Sessions) -> None:
    queue, diary = Queue(), Diary()
    await enqueue(sessions, queue, "a")

    async with engine_on(sessions, queue, grace_s=0.05, answer=diary.task(lambda _: asyncio.sleep(60))):
        await until(lambda: diary.begun == ["a"])
    assert await states(sessions) == {"a": "running"}
    assert diary.running == 0, "nothing goes on behind our back"

    async with engine_on(sessions, queue, answer=diary.task()):
        assert await settled(sessions) == {"a": "done"}


# Without a database


@asynccontextmanager
async def outage(server: Server, database: Database) -> AsyncIterator[None]:
    """Cut the bot off from its database: running connections end, and new ones are refused."""
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'"
    await execute(server.owner_url, f"ALTER DATABASE {database.name} CONNECTION LIMIT 0", cut)
    try:
        yield
    finally:
        await execute(server.owner_url, f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")


async def test_work_done_while_the_database_is_away_is_noted_when_it_is_back(
    sessions: Sessions, server: Server, database: Database
) -> None:
    queue, diary, gate = Queue(), Diary(), asyncio.Event()

    async def wait(_: ClaimedWork) -> None:
        await gate.wait()

    await enqueue(sessions, queue, "a")
    async with engine_on(sessions, queue, answer=diary.task(wait)):
        await until(lambda: diary.begun == ["a"])
        async with outage(server, database):
            gate.set()
            await until(lambda: diary.ended == ["a"])
            with pytest.raises(DatabaseUnavailable):
                await states(sessions)
            await asyncio.sleep(0.3)

        assert await settled(sessions) == {"a": "done"}

    assert diary.begun == ["a"], "it was not done twice"


async def test_the_engine_outlives_an_outage_and_starts_in_one(
    sessions: Sessions, server: Server, database: Database
) -> None:
    queue, diary = Queue(), Diary()
    await enqueue(sessions, queue, "before")

    with capture_logs() as logs:
        async with outage(server, database):
            polling = engine_on(sessions, queue, answer=diary.task())
            await polling.__aenter__()
            await asyncio.sleep(0.3)
            assert diary.begun == []
        await until(lambda: diary.ended == ["before"])
        async with outage(server, database):
            await asyncio.sleep(0.3)
        await enqueue(sessions, queue, "after")
        await until(lambda: diary.ended == ["before", "after"])
        await settled(sessions)
        await polling.__aexit__(None, None, None)

    assert {entry["event"] for entry in logs} == {"queue.unreachable"}
