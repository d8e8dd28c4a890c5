"""One piece of work from its claim to its end: tried again, waited for, given up, withdrawn, overtaken."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import ServiceUnavailable, Superseded
from bot.jobs import attempt
from bot.jobs.attempt import Attempts
from bot.jobs.queue import MAX_ATTEMPTS, Queue, UnsaidError
from bot.repositories.work import ClaimedWork, WorkRepository
from tests.conftest import TEAM, Database, Server
from tests.jobs.acts import Diary, change, enqueue, errand, jobs, outage, settled, states, until, worker_on, works

pytestmark = pytest.mark.usefixtures("impatient")


async def always_fail(_: ClaimedWork) -> None:
    raise ValueError("a bug")


async def withdraw(sessions: Sessions, key: str) -> bool:
    async with sessions.tenant(TEAM) as session:
        return await WorkRepository(session).stop(TEAM, "answer", key)


# Failing


async def test_what_fails_is_tried_again_later(sessions: Sessions, database: Database) -> None:
    diary = Diary()

    async def fail_once(work: ClaimedWork) -> None:
        if not work.attempts:
            raise ValueError("a bug")

    await enqueue(sessions, "a")
    with capture_logs() as logs:
        async with worker_on(sessions, database.bot_url, answer=diary.task(fail_once)):
            assert await settled(sessions) == {"a": "done"}

    assert diary.begun == ["a", "a"]
    assert diary.given_up == []
    (failed,) = [entry for entry in logs if entry["event"] == "work.failed"]
    assert failed["attempt"] == 1
    row = (await works(sessions))["a"]
    assert (row["attempts"], row["epoch"]) == (1, 2)


async def test_what_fails_every_time_is_given_up_under_a_number_that_the_log_knows(
    sessions: Sessions, database: Database
) -> None:
    diary = Diary()
    await enqueue(sessions, "a")

    with capture_logs() as logs:
        async with worker_on(sessions, database.bot_url, answer=diary.task(always_fail)):
            await settled(sessions)

    row = (await works(sessions))["a"]
    ((key, error_id),) = diary.given_up
    assert (key, row["state"], row["error_id"]) == ("a", "dead", error_id)
    failed = [entry for entry in logs if entry["event"] == "work.failed"]
    assert [entry["attempt"] for entry in failed] == list(range(1, MAX_ATTEMPTS + 1))
    assert failed[-1]["error_id"] == error_id
    assert isinstance(failed[-1]["exc_info"], ValueError)


async def test_the_waits_between_attempts_double(
    sessions: Sessions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "FIRST_BACKOFF_S", 0.3)
    diary, begun_at = Diary(), list[float]()

    async def fail(_: ClaimedWork) -> None:
        begun_at.append(time.monotonic())
        raise ValueError("a bug")

    await enqueue(sessions, "a")
    async with worker_on(sessions, database.bot_url, answer=diary.task(fail)):
        await settled(sessions)

    waits = [after - before for before, after in itertools.pairwise(begun_at)]
    assert [wait >= least for wait, least in zip(waits, (0.3, 0.6, 1.2), strict=True)] == [True] * 3


async def test_an_apology_that_fails_too_ends_the_work_all_the_same(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "a", "next", thread="1.0")

    async def fail_for_a(work: ClaimedWork) -> None:
        if work.key == "a":
            raise ValueError("a bug")

    async with worker_on(sessions, database.bot_url, answer=diary.task(fail_for_a, apologise=always_fail)):
        assert await settled(sessions) == {"a": "dead", "next": "done"}


async def test_an_apology_waits_for_slack(sessions: Sessions, database: Database) -> None:
    diary = Diary()

    async def be_down_once(_: ClaimedWork) -> None:
        if len(diary.given_up) == 1:
            raise ServiceUnavailable("Slack is down", retry_after_s=0.1)

    await enqueue(sessions, "a")
    async with worker_on(sessions, database.bot_url, answer=diary.task(always_fail, apologise=be_down_once)):
        assert await settled(sessions) == {"a": "dead"}

    (_, first), (_, second) = diary.given_up
    assert first == second == (await works(sessions))["a"]["error_id"], "one number, whatever it took"
    assert len(diary.begun) == MAX_ATTEMPTS, "what failed for good isn't tried again"


async def test_work_that_killed_its_process_every_time_is_given_up(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "poison")
    for _ in range(MAX_ATTEMPTS):
        async with sessions.tenant(TEAM) as session:
            work = await WorkRepository(session).claim(TEAM, (await works(sessions))["poison"]["id"])
    assert work is not None

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        assert await settled(sessions) == {"poison": "dead"}

    assert diary.begun == []
    assert [key for key, _ in diary.given_up] == ["poison"]


async def test_an_apology_that_kills_its_process_is_left_out_in_the_end(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "poison")
    await change(sessions, f"UPDATE work SET state = 'running', attempts = {MAX_ATTEMPTS + 1}")

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        assert await settled(sessions) == {"poison": "dead"}

    assert diary.given_up == []


async def test_order_within_a_thread_holds_whatever_fails(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    keys = [f"q{n}" for n in range(8)]

    async def fail_sometimes(work: ClaimedWork) -> None:
        if work.key in {"q1", "q4"} and work.attempts < 2:
            raise ValueError("a bug")

    await enqueue(sessions, *keys, thread="1.0")
    async with worker_on(sessions, database.bot_url, answer=diary.task(fail_sometimes)):
        await settled(sessions)

    assert diary.ended == keys
    assert diary.most == 1


# Waiting


async def test_an_outage_is_waited_for_and_counts_as_no_attempt(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    outages = MAX_ATTEMPTS + 2

    async def be_down(_: ClaimedWork) -> None:
        if len(diary.begun) <= outages:
            await change(sessions, "UPDATE work SET blocked_since = coalesce(blocked_since, now()) + interval '1 day'")
            raise ServiceUnavailable("down")

    await enqueue(sessions, "a")
    async with worker_on(sessions, database.bot_url, answer=diary.task(be_down)):

        async def hurry() -> bool:
            await change(sessions, "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
            return await states(sessions) == {"a": "done"}

        await until(hurry)

    assert len(diary.begun) == outages + 1
    assert diary.given_up == []
    assert (await works(sessions))["a"]["attempts"] == 0


async def test_the_wait_for_an_outage_doubles_and_is_thirty_seconds_at_most(sessions: Sessions) -> None:
    waits = []
    await enqueue(sessions, "a")
    for blocked_for_s in (None, 1, 3, 7, 15, 31, 600):
        if blocked_for_s:
            await change(sessions, f"UPDATE work SET blocked_since = now() - interval '{blocked_for_s} seconds'")
        async with sessions.tenant(TEAM) as session:
            works_ = WorkRepository(session)
            work = await works_.claim(TEAM, (await works(sessions))["a"]["id"])
            assert work is not None
            waits.append(await works_.block(TEAM, work.id, work.epoch))
            assert round(work.blocked_s) == (blocked_for_s or 0)

    assert [round(wait or 0) for wait in waits] == [1, 2, 4, 8, 16, 30, 30]


async def test_who_says_how_long_it_takes_is_left_alone_so_long(sessions: Sessions, database: Database) -> None:
    diary = Diary()

    async def be_down(_: ClaimedWork) -> None:
        raise ServiceUnavailable("slow down", retry_after_s=25)

    await enqueue(sessions, "a")
    with capture_logs() as logs:
        async with worker_on(sessions, database.bot_url, answer=diary.task(be_down)):
            await until(lambda: any(entry["event"] == "work.blocked" for entry in logs))

            async def is_scheduled() -> bool:
                return bool((await jobs(sessions))[0]["status"] == "todo")

            await until(is_scheduled)

    row = (await works(sessions))["a"]
    (job,) = await jobs(sessions)
    assert 24 < (row["run_at"] - row["updated_at"]).total_seconds() < 26
    assert abs((job["scheduled_at"] - row["run_at"]).total_seconds()) < 1


async def test_an_outage_of_more_than_a_day_is_given_up(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "a")
    await change(sessions, "UPDATE work SET blocked_since = now() - interval '25 hours'")

    async def be_down(_: ClaimedWork) -> None:
        raise ServiceUnavailable("down")

    async with worker_on(sessions, database.bot_url, answer=diary.task(be_down, apologise=be_down)):
        assert await settled(sessions) == {"a": "dead"}

    assert diary.begun == []
    assert len(diary.given_up) == 1


# Overtaken and withdrawn


async def test_work_withdrawn_before_it_begins_is_tidied_up_only(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "a")
    assert await withdraw(sessions, "a")

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        assert await settled(sessions) == {"a": "stopped"}

    assert (diary.begun, diary.withdrawn) == ([], ["a"])


async def test_work_withdrawn_while_it_is_done_writes_nothing_and_is_tidied_up(
    sessions: Sessions, database: Database
) -> None:
    diary = Diary()

    async def be_overtaken(work: ClaimedWork) -> None:
        assert await withdraw(sessions, "a")
        async with sessions.tenant(TEAM) as session:
            await diary.claims[-1].finish(session)

    await enqueue(sessions, "a")
    async with worker_on(sessions, database.bot_url, answer=diary.task(be_overtaken)):
        assert await settled(sessions) == {"a": "stopped"}

    assert (diary.begun, diary.ended, diary.withdrawn) == (["a"], [], ["a"])


async def test_withdrawn_work_that_fails_to_be_tidied_up_is_tried_again(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    tidy = diary.task()

    async def fail_once(work: ClaimedWork) -> None:
        assert tidy.withdraw is not None
        await tidy.withdraw(work)
        if len(diary.withdrawn) == 1:
            raise ServiceUnavailable("Slack is down", retry_after_s=0.1)

    await enqueue(sessions, "a")
    await withdraw(sessions, "a")
    async with worker_on(sessions, database.bot_url, answer=type(tidy)(tidy.run, tidy.give_up, fail_once)):
        assert await settled(sessions) == {"a": "stopped"}

    assert diary.withdrawn == ["a", "a"]


async def test_who_was_overtaken_ends_quietly_and_leaves_the_rest_to_the_other(
    sessions: Sessions, database: Database
) -> None:
    diary, overtaken = Diary(), asyncio.Event()

    async def be_overtaken(work: ClaimedWork) -> None:
        async with sessions.tenant(TEAM) as session:
            assert await WorkRepository(session).claim(TEAM, work.id)
        overtaken.set()
        async with sessions.tenant(TEAM) as session:
            await diary.claims[-1].hold(session)

    await enqueue(sessions, "a")
    with capture_logs() as logs:
        async with worker_on(sessions, database.bot_url, answer=diary.task(be_overtaken)):
            await overtaken.wait()
            await until(lambda: any(entry["event"] == "work.superseded" for entry in logs))

    row = (await works(sessions))["a"]
    assert (row["state"], row["epoch"]) == ("running", 2), "the other's to finish"
    assert (diary.begun, diary.ended, diary.given_up) == (["a"], [], [])


async def test_done_work_is_not_done_again(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "a")
    await change(sessions, "UPDATE work SET state = 'done'")

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        await settled(sessions)

    assert diary.begun == []


async def test_work_finished_with_its_effect_stays_done(sessions: Sessions, database: Database) -> None:
    diary = Diary()

    async def finish(_: ClaimedWork) -> None:
        async with sessions.tenant(TEAM) as session:
            await diary.claims[-1].finish(session)
        assert await states(sessions) == {"a": "done"}
        async with sessions.tenant(TEAM) as session:
            await diary.claims[-1].hold(session)
        with pytest.raises(Superseded):
            async with sessions.tenant(TEAM) as session:
                await diary.claims[-1].finish(session)

    await enqueue(sessions, "a")
    async with worker_on(sessions, database.bot_url, answer=diary.task(finish)):
        assert await settled(sessions) == {"a": "done"}

    assert diary.ended == ["a"]


async def test_work_of_a_newer_version_waits_for_who_knows_it(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, "theirs", task="unheard of")
    await enqueue(sessions, "ours")

    async def is_put_back() -> bool:
        return any(job["attempts"] for job in await jobs(sessions))

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        await until(is_put_back)

    row = (await works(sessions))["theirs"]
    assert (row["state"], row["attempts"], row["later"]) == ("queued", 0, True)


# Cut off


async def test_what_could_not_be_handed_back_is_handed_back_later(
    sessions: Sessions, server: Server, database: Database
) -> None:
    diary = Diary()
    attempts = Attempts(sessions, {"answer": diary.task(lambda _: asyncio.sleep(60))}, team_id=TEAM)
    await enqueue(sessions, "a")
    running = asyncio.create_task(attempts.run((await works(sessions))["a"]["id"]))
    await until(lambda: diary.begun == ["a"])

    async with outage(server, database):
        attempts.cut_off()
        await asyncio.wait({running})
    assert running.cancelled()
    assert await states(sessions) == {"a": "running"}
    await attempts.hand_back_rest()

    row = (await works(sessions))["a"]
    assert (row["state"], row["attempts"]) == ("queued", 0)
    assert attempts.unreturned == {}


async def test_what_could_not_be_handed_back_costs_no_attempt_when_it_comes_again_first(
    sessions: Sessions, server: Server, database: Database
) -> None:
    diary = Diary()

    async def wait_the_first_time(_: ClaimedWork) -> None:
        await asyncio.sleep(60 if len(diary.begun) == 1 else 0)

    attempts = Attempts(sessions, {"answer": diary.task(wait_the_first_time)}, team_id=TEAM)
    await enqueue(sessions, "a")
    work_id = (await works(sessions))["a"]["id"]
    running = asyncio.create_task(attempts.run(work_id))
    await until(lambda: diary.begun == ["a"])
    async with outage(server, database):
        attempts.cut_off()
        await asyncio.wait({running})

    await attempts.run(work_id)

    row = (await works(sessions))["a"]
    assert (row["state"], row["attempts"]) == ("done", 0)
    assert attempts.unreturned == {}


# A busy channel


async def starts(sessions: Sessions, database: Database, diary: Diary, **tasks: Any) -> None:
    async with worker_on(sessions, database.bot_url, **(tasks or {"answer": diary.task()})):
        await settled(sessions, timeout_s=20)


async def test_a_busy_channel_keeps_no_places_of_others(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await enqueue(sessions, *(f"busy {n}" for n in range(12)), channel="C1")
    await enqueue(sessions, "elsewhere", channel="C2")

    async def all_elsewhere() -> bool:
        return "elsewhere" in diary.ended

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        await until(all_elsewhere, timeout_s=3)
        ended = len(diary.ended)
        queued = [row for row in (await works(sessions)).values() if row["state"] == "queued"]

    assert ended <= 6, "about one a second may begin in C1"
    assert queued
    assert {row["attempts"] for row in (await works(sessions)).values()} == {0}


async def test_a_busy_channel_is_answered_by_and_by(
    sessions: Sessions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary, begun_at = Diary(), list[float]()

    async def note_time(_: ClaimedWork) -> None:
        begun_at.append(time.monotonic())

    await enqueue(sessions, *(f"q{n}" for n in range(5)), channel="C1")
    await starts(sessions, database, diary, answer=diary.task(note_time))

    assert sorted(diary.ended) == [f"q{n}" for n in range(5)]
    assert begun_at[-1] - begun_at[0] > 2, "they were spread"


async def test_in_a_busy_channel_a_newcomer_comes_before_the_rest_of_a_flood(
    sessions: Sessions, database: Database
) -> None:
    diary = Diary()
    await enqueue(sessions, *(f"flood {n}" for n in range(9)), channel="C1", asker="U1")

    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        await until(lambda: len(diary.ended) >= 3)
        await enqueue(sessions, "newcomer", channel="C1", asker="U2")
        await until(lambda: "newcomer" in diary.ended, timeout_s=5)

    assert len(diary.ended) <= 6


async def test_when_nothing_can_be_said_to_a_message_its_copy_counts(sessions: Sessions, database: Database) -> None:
    diary = Diary()

    async def find_no_place(work: ClaimedWork) -> None:
        if work.key == "a":
            raise UnsaidError

    async with sessions.tenant(TEAM) as session:
        for key in ("a", "b"):
            await Queue().enqueue(session, replace(errand(key), gesture="C1:abc"))
    async with worker_on(sessions, database.bot_url, answer=diary.task(find_no_place)):
        await until(lambda: diary.ended == ["b"])
        assert await settled(sessions) == {"a": "stopped", "b": "done"}

    assert diary.given_up == []
