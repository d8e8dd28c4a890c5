"""The worker does what is written, stops when told, and outlives its database."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable
from bot.jobs import worker as module
from bot.jobs.queue import POOLS
from bot.jobs.recovery import Recovery
from bot.jobs.worker import Worker
from bot.repositories.work import ClaimedWork
from tests.conftest import TEAM, Database, Server
from tests.faults.proxy import FaultProxy
from tests.jobs.acts import (
    Diary,
    enqueue,
    jobs,
    make_worker,
    outage,
    rows,
    settled,
    states,
    until,
    worker_on,
    works,
)

pytestmark = pytest.mark.usefixtures("impatient")


async def forever(_: ClaimedWork) -> None:
    await asyncio.Event().wait()


# Doing


async def test_work_is_done_and_its_row_says_so(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "a", "b")

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        assert await settled(sessions) == {"a": "done", "b": "done"}

    assert sorted(diary.ended) == ["a", "b"]
    assert await rows(sessions, "SELECT * FROM procrastinate_jobs") == [], "what succeeded leaves nothing behind"


async def test_a_thrifty_worker_makes_do_with_two_connections(sessions: Sessions, database: Database) -> None:
    diary, keys = Diary(), [str(number) for number in range(20)]
    await enqueue(sessions, *keys)
    connections = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'recollect-queue'"
    thrifty = Worker(
        sessions, {"answer": diary.task()}, queue_url=database.bot_url, team_id=TEAM, poll_s=0.05, thrifty=True
    )
    working = asyncio.create_task(thrifty.run())

    most = 0
    async with asyncio.timeout(10):
        while len(diary.ended) < len(keys):
            most = max(most, (await rows(sessions, f"{connections} AND datname = current_database()"))[0]["n"])

    await thrifty.stop(1)
    await asyncio.wait({working})
    assert most == 2
    assert sorted(diary.ended) == sorted(keys)


async def test_new_work_is_begun_at_once(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    worker = Worker(sessions, {"answer": diary.task()}, queue_url=database.bot_url, team_id=TEAM, poll_s=60)
    working = asyncio.create_task(worker.run())
    await until(lambda: worker.beat_age_s() < 0.1)
    await asyncio.sleep(0.5)

    await enqueue(sessions, "a")

    await until(lambda: diary.ended == ["a"], timeout_s=2)
    await worker.stop(1)
    await working


async def test_the_next_of_a_thread_is_begun_when_the_one_before_it_ends(
    sessions: Sessions, database: Database
) -> None:
    diary = Diary()
    worker = Worker(sessions, {"answer": diary.task()}, queue_url=database.bot_url, team_id=TEAM, poll_s=60)
    working = asyncio.create_task(worker.run())
    await until(lambda: worker.beat_age_s() < 0.1)
    await asyncio.sleep(0.5)

    await enqueue(sessions, "a", "b", "c", thread="1.0")

    await until(lambda: diary.ended == ["a", "b", "c"], timeout_s=5)
    await worker.stop(1)
    await working


async def test_one_thread_is_answered_in_the_order_of_its_questions(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    keys = [f"q{n}" for n in range(6)]
    await enqueue(sessions, *keys, thread="1.0")

    async with worker_on(sessions, database.bot_url, answer=diary.task(lambda _: asyncio.sleep(0.02))):
        await settled(sessions)

    assert diary.begun == diary.ended == keys
    assert diary.most == 1


async def test_two_threads_do_not_wait_for_each_other(sessions: Sessions, database: Database) -> None:
    diary, gate = Diary(), asyncio.Event()

    async def hold_the_first(work: ClaimedWork) -> None:
        if work.key == "slow":
            await gate.wait()

    await enqueue(sessions, "slow", "behind it", thread="1.0")
    await enqueue(sessions, "elsewhere", thread="2.0")

    async with worker_on(sessions, database.bot_url, answer=diary.task(hold_the_first)):
        await until(lambda: diary.ended == ["elsewhere"])
        assert "behind it" not in diary.begun
        gate.set()
        await settled(sessions)

    assert diary.ended == ["elsewhere", "slow", "behind it"]


async def test_a_busy_pool_leaves_the_others_alone(sessions: Sessions, database: Database) -> None:
    diary, gate = Diary(), asyncio.Event()

    async def wait(_: ClaimedWork) -> None:
        await gate.wait()

    await enqueue(sessions, *(f"f{n}" for n in range(5)), task="ingest")
    await enqueue(sessions, "a")

    async with worker_on(sessions, database.bot_url, ingest=diary.task(wait), answer=diary.task()):
        await until(lambda: diary.ended == ["a"])
        await until(lambda: len(diary.begun) == POOLS["ingest"] + 1)
        assert list((await states(sessions)).values()).count("queued") == 5 - POOLS["ingest"]
        gate.set()
        await settled(sessions)


async def test_no_flood_keeps_others_waiting(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, *(f"flood {n}" for n in range(40)), asker="U1")
    await enqueue(sessions, "mine", asker="U2")

    async with worker_on(sessions, database.bot_url, answer=diary.task(lambda _: asyncio.sleep(0.05))):
        await settled(sessions)

    assert diary.begun.index("mine") < POOLS["answer"], "among the first that were taken on"


async def test_two_workers_do_everything_once(sessions: Sessions, database: Database) -> None:
    one, two = Diary(), Diary()
    threads = [f"{n % 6}.0" for n in range(60)]
    for n, thread in enumerate(threads):
        await enqueue(sessions, f"{n:02}", thread=thread)

    async with (
        worker_on(sessions, database.bot_url, answer=one.task(lambda _: asyncio.sleep(0.01))),
        worker_on(sessions, database.bot_url, answer=two.task(lambda _: asyncio.sleep(0.01))),
    ):
        await settled(sessions, timeout_s=20)

    assert sorted(one.ended + two.ended) == [f"{n:02}" for n in range(60)]


# Stopping


async def test_stopping_lets_running_work_finish_and_begins_no_more(sessions: Sessions, database: Database) -> None:
    diary, gate = Diary(), asyncio.Event()

    async def wait(_: ClaimedWork) -> None:
        await gate.wait()

    worker = make_worker(sessions, database.bot_url, answer=diary.task(wait))
    working = asyncio.create_task(worker.run())
    await enqueue(sessions, "running")
    await until(lambda: diary.begun == ["running"])
    stopping = asyncio.create_task(worker.stop(5))
    await asyncio.sleep(0.2)
    await enqueue(sessions, "next")
    await asyncio.sleep(0.2)
    gate.set()
    await stopping
    await working

    assert await states(sessions) == {"running": "done", "next": "queued"}
    assert diary.begun == ["running"]


async def test_work_that_outlasts_the_grace_is_handed_back_and_costs_no_attempt(
    sessions: Sessions, database: Database
) -> None:
    diary = Diary()
    await enqueue(sessions, "a", "behind it", thread="1.0")

    async with worker_on(sessions, database.bot_url, grace_s=0.1, answer=diary.task(forever)):
        await until(lambda: diary.begun == ["a"])

    assert diary.running == 0, "nothing goes on behind our back"
    row = (await works(sessions))["a"]
    assert (row["state"], row["attempts"]) == ("queued", 0)
    assert [(job["key"], job["status"]) for job in await jobs(sessions)] == [("a", "todo"), ("behind it", "todo")]

    async with worker_on(sessions, database.bot_url, answer=(again := Diary()).task()):
        await settled(sessions, timeout_s=3)
    assert again.ended == ["a", "behind it"], "the next one takes it on at once, in order"


async def test_work_is_not_taken_for_abandoned_while_it_has_its_grace(sessions: Sessions, database: Database) -> None:
    diary, other = Diary(), Diary()
    await enqueue(sessions, "a")
    worker = make_worker(sessions, database.bot_url, stall_s=1, answer=diary.task(lambda _: asyncio.sleep(3)))
    working = asyncio.create_task(worker.run())
    await until(lambda: diary.begun == ["a"])

    stopping = asyncio.create_task(worker.stop(5))
    async with worker_on(sessions, database.bot_url, stall_s=1, answer=other.task()):
        await stopping
        await working

    assert (diary.ended, other.begun) == (["a"], [])


async def test_stopping_takes_little_more_than_the_grace_without_a_database(
    sessions: Sessions, database: Database, server: Server
) -> None:
    diary = Diary()
    worker = make_worker(sessions, database.bot_url, answer=diary.task(forever))
    working = asyncio.create_task(worker.run())
    await enqueue(sessions, "a")
    await until(lambda: diary.begun == ["a"])

    async with outage(server, database):
        started_at = time.monotonic()
        await worker.stop(0.5)
        took_s = time.monotonic() - started_at

    assert took_s < 0.5 + 4.5
    working.cancel()
    await asyncio.wait({working})
    assert diary.running == 0


# Without a database


async def test_the_worker_outlives_an_outage_and_starts_in_one(
    sessions: Sessions, server: Server, database: Database
) -> None:
    diary = Diary()
    await enqueue(sessions, "before")

    with capture_logs() as logs:
        async with outage(server, database):
            polling = worker_on(sessions, database.bot_url, answer=diary.task())
            await polling.__aenter__()
            await asyncio.sleep(0.3)
            assert diary.begun == []
        await until(lambda: diary.ended == ["before"])
        await settled(sessions)
        async with outage(server, database):
            with pytest.raises(DatabaseUnavailable):
                await states(sessions)
            await asyncio.sleep(0.3)
        await enqueue(sessions, "after")
        await until(lambda: diary.ended == ["before", "after"])
        assert set((await settled(sessions)).values()) == {"done"}
        await polling.__aexit__(None, None, None)

    assert "queue.failed" not in {entry["event"] for entry in logs}


async def test_work_cut_off_by_an_outage_is_taken_up_soon_after_and_costs_no_attempt(
    sessions: Sessions, server: Server, database: Database
) -> None:
    diary, patient = Diary(), asyncio.Event()

    async def wait_the_first_time(_: ClaimedWork) -> None:
        if len(diary.begun) == 1:
            await patient.wait()

    await enqueue(sessions, "a", "behind it", thread="1.0")
    async with worker_on(sessions, database.bot_url, answer=diary.task(wait_the_first_time)):
        await until(lambda: diary.begun == ["a"])
        async with outage(server, database):
            await until(lambda: diary.running == 0)
        assert set((await settled(sessions, timeout_s=12)).values()) == {"done"}

    assert diary.ended == ["a", "behind it"]
    assert (await works(sessions))["a"]["attempts"] == 0


async def test_a_silent_database_is_noticed_given_up_and_found_again(
    sessions: Sessions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 1.0)
    diary = Diary()
    async with FaultProxy(_target(database)) as proxy:
        url = _through(database, proxy)
        worker = Worker(sessions, {"answer": diary.task()}, queue_url=url, team_id=TEAM, poll_s=0.05, patience_s=1.0)
        working = asyncio.create_task(worker.run())
        await enqueue(sessions, "before")
        await until(lambda: diary.ended == ["before"])

        with capture_logs() as logs:
            proxy.black_hole()
            await until(lambda: any(entry["event"] == "queue.unreachable" for entry in logs), timeout_s=5)
            await asyncio.sleep(0.5)
            assert worker.beat_age_s() > 1
        await enqueue(sessions, "meanwhile")
        await proxy.heal()

        await until(lambda: diary.ended == ["before", "meanwhile"], timeout_s=15)
        assert worker.beat_age_s() < 2
        await worker.stop(1)
        await working


async def test_a_lost_cancellation_does_not_keep_the_worker_from_starting_anew(
    sessions: Sessions, server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it happens when a pool of connections is closed while somebody waits for one."""
    diary, overheard = Diary(), 0

    async def overhear(*_: object, **__: object) -> None:
        nonlocal overheard
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            overheard += 1
            if overheard > 1:
                raise

    monkeypatch.setattr(Recovery, "tend", overhear)
    worker = Worker(
        sessions, {"answer": diary.task()}, queue_url=database.bot_url, team_id=TEAM, poll_s=0.05, patience_s=0.3
    )
    working = asyncio.create_task(worker.run())
    await enqueue(sessions, "before")
    await until(lambda: diary.ended == ["before"])
    async with outage(server, database):
        await until(lambda: overheard)  # then the queue was given up
    await enqueue(sessions, "after")

    await until(lambda: diary.ended == ["before", "after"])

    await worker.stop(1)
    await working


async def test_running_work_is_cut_off_when_the_database_falls_silent(sessions: Sessions, database: Database) -> None:
    diary, freed = Diary(), asyncio.Event()

    async def wait_the_first_time(_: ClaimedWork) -> None:
        if len(diary.begun) == 1:
            await freed.wait()

    async with FaultProxy(_target(database)) as proxy:
        worker = Worker(
            sessions,
            {"answer": diary.task(wait_the_first_time)},
            queue_url=_through(database, proxy),
            team_id=TEAM,
            poll_s=0.05,
            patience_s=0.5,
        )
        working = asyncio.create_task(worker.run())
        await enqueue(sessions, "a")
        await until(lambda: diary.begun == ["a"])
        proxy.black_hole()
        await until(lambda: diary.running == 0, timeout_s=8)
        await proxy.heal()
        assert await settled(sessions, timeout_s=20) == {"a": "done"}
        await worker.stop(1)
        await working

    assert diary.begun == ["a", "a"]


async def test_connections_whose_other_end_is_gone_are_noticed(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    async with FaultProxy(_target(database)) as proxy:
        url = _through(database, proxy)
        worker = Worker(sessions, {"answer": diary.task()}, queue_url=url, team_id=TEAM, poll_s=0.05, patience_s=0.5)
        working = asyncio.create_task(worker.run())
        await enqueue(sessions, "before")
        await until(lambda: diary.ended == ["before"])
        proxy.half_open()
        await enqueue(sessions, "after")

        await until(lambda: diary.ended == ["before", "after"], timeout_s=15)
        await worker.stop(1)
        await working


async def test_a_statement_that_alone_gets_no_answer_is_noticed(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    worker = Worker(
        sessions,
        {"answer": diary.task()},
        queue_url=database.bot_url,
        team_id=TEAM,
        poll_s=0.05,
        patience_s=0.5,
    )
    working = asyncio.create_task(worker.run())
    await enqueue(sessions, "before")
    await until(lambda: diary.ended == ["before"])

    with capture_logs() as logs:
        async with sessions.tenant(TEAM) as session:  # signs of life are written all the same
            await session.execute(text("LOCK TABLE procrastinate_jobs IN SHARE ROW EXCLUSIVE MODE"))
            await until(lambda: any(entry["event"] == "queue.unreachable" for entry in logs))
    await enqueue(sessions, "after")

    await until(lambda: diary.ended == ["before", "after"])
    await worker.stop(1)
    await working


async def test_the_beat_is_young_while_all_is_well(sessions: Sessions, database: Database) -> None:
    async with worker_on(sessions, database.bot_url, answer=Diary().task()) as worker:
        await asyncio.sleep(1)

        assert worker.beat_age_s() < 0.6


def _target(database: Database) -> tuple[str, int] | Path:
    """Return where the database listens."""
    url = make_url(database.bot_url)
    directory = url.query.get("host")
    if directory:
        return Path(str(directory)) / f".s.PGSQL.{url.query.get('port', 5432)}"
    return url.host or "127.0.0.1", url.port or 5432


def _through(database: Database, proxy: FaultProxy) -> str:
    """Return the database's address through the proxy."""
    url = make_url(database.bot_url)
    there = url.set(host="127.0.0.1", port=proxy.port, query={"ssl": "disable"})
    return there.render_as_string(hide_password=False)
