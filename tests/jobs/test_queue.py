"""Work is written with its job, in the caller's transaction, in an order that is fair and never turns around."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.jobs.queue import Queue
from bot.services.errands import answer_errand, index_errand, ingest_errand
from bot.values import Errand, ModelId, Question
from tests.conftest import OTHER_TEAM, TEAM
from tests.jobs.acts import change, enqueue, errand, jobs, works


async def test_work_and_its_job_are_written_together(sessions: Sessions) -> None:
    question = Question(TEAM, "C1", "U1", "2.0", "1.0", "")

    async with sessions.tenant(TEAM) as session:
        assert await Queue().enqueue(session, answer_errand(question))

    (job,) = await jobs(sessions)
    work = (await works(sessions))["C1:2.0"]
    assert (job["queue_name"], job["task_name"]) == (f"{TEAM}/answer", "work")
    assert job["lock"] == work["lock"] == f"{TEAM}:thread:C1:1.0"
    assert job["args"] == {"team_id": TEAM, "work_id": str(work["id"])}, "ids alone: no text, no secret"
    assert job["queueing_lock"] is None
    assert work["state"] == "queued"


async def test_a_rollback_leaves_neither(sessions: Sessions) -> None:
    async def change_ones_mind() -> None:
        async with sessions.tenant(TEAM) as session:
            await Queue().enqueue(session, errand("a"))
            raise NotFound("changed my mind")

    with pytest.raises(NotFound):
        await change_ones_mind()

    assert await works(sessions) == {}
    assert await jobs(sessions) == []


async def test_known_work_gets_no_second_job(sessions: Sessions) -> None:
    queue = Queue()
    async with sessions.tenant(TEAM) as session:
        assert await queue.enqueue(session, errand("one"))
        assert not await queue.enqueue(session, errand("one"))
        assert await queue.enqueue(session, errand("one", task="receipt"))

    assert len(await jobs(sessions)) == 2


async def test_two_messages_of_one_gesture_mean_one_piece_of_work(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        assert await Queue().enqueue(session, replace(errand("1.0"), gesture="C1:abc"))
        assert not await Queue().enqueue(session, replace(errand("2.0"), gesture="C1:abc"))

    assert {key: row["state"] for key, row in (await works(sessions)).items()} == {"1.0": "queued", "2.0": "copy"}
    assert len(await jobs(sessions)) == 1


async def test_when_one_message_of_a_gesture_is_deleted_the_next_is_the_question(sessions: Sessions) -> None:
    queue, said = Queue(), [replace(errand(key), gesture="C1:abc") for key in ("1.0", "2.0", "3.0")]
    for each in said:
        async with sessions.tenant(TEAM) as session:
            await queue.enqueue(session, each)

    async with sessions.tenant(TEAM) as session:
        assert not await queue.withdraw(session, TEAM, "answer", "2.0"), "nobody was about to answer it"
    async with sessions.tenant(TEAM) as session:
        assert await queue.withdraw(session, TEAM, "answer", "1.0")

    rows = await works(sessions)
    assert {key: row["state"] for key, row in rows.items()} == {"1.0": "stopping", "2.0": "stopped", "3.0": "queued"}
    assert [job["key"] for job in await jobs(sessions)] == ["1.0", "3.0"]


async def test_a_copy_that_comes_when_the_question_is_deleted_already_is_the_question(sessions: Sessions) -> None:
    queue = Queue()
    async with sessions.tenant(TEAM) as session:
        await queue.enqueue(session, replace(errand("1.0"), gesture="C1:abc"))
    async with sessions.tenant(TEAM) as session:
        await queue.withdraw(session, TEAM, "answer", "1.0")

    async with sessions.tenant(TEAM) as session:
        assert await queue.enqueue(session, replace(errand("2.0"), gesture="C1:abc"))
        assert not await queue.enqueue(session, replace(errand("1.0"), gesture="C1:abc")), "a late copy of the first"

    rows = await works(sessions)
    assert {key: row["state"] for key, row in rows.items()} == {"1.0": "stopping", "2.0": "queued"}


async def test_no_copy_counts_when_the_question_was_answered(sessions: Sessions) -> None:
    queue = Queue()
    async with sessions.tenant(TEAM) as session:
        await queue.enqueue(session, replace(errand("1.0"), gesture="C1:abc"))
    await change(sessions, "UPDATE work SET state = 'done'")
    async with sessions.tenant(TEAM) as session:
        assert not await queue.enqueue(session, replace(errand("2.0"), gesture="C1:abc"))

    async with sessions.tenant(TEAM) as session:
        assert not await queue.withdraw(session, TEAM, "answer", "1.0")

    assert (await works(sessions))["2.0"]["state"] == "copy"


async def test_a_copy_that_counts_overtakes_nobody_in_its_thread(sessions: Sessions) -> None:
    await enqueue(sessions, "a", "b", "c", asker="U1")
    await enqueue(sessions, "early", thread="C1:1.0", asker="U1")
    for key in ("1.0", "2.0"):
        async with sessions.tenant(TEAM) as session:
            await Queue().enqueue(session, replace(errand(key, thread="C1:1.0", asker="U2"), gesture="C1:abc"))

    async with sessions.tenant(TEAM) as session:
        await Queue().withdraw(session, TEAM, "answer", "1.0")

    priorities = {job["key"]: job["priority"] for job in await jobs(sessions)}
    assert priorities["2.0"] == priorities["early"] == -3


async def test_of_a_copy_and_a_deletion_that_come_at_once_one_sees_the_other(sessions: Sessions) -> None:
    queue = Queue()

    async def copy(number: int) -> None:
        async with sessions.tenant(TEAM) as session:
            await queue.enqueue(session, replace(errand(f"{number}.2"), gesture=f"C1:{number}"))

    async def delete(number: int) -> None:
        async with sessions.tenant(TEAM) as session:
            await queue.withdraw(session, TEAM, "answer", f"{number}.1")

    for number in range(20):
        async with sessions.tenant(TEAM) as session:
            await queue.enqueue(session, replace(errand(f"{number}.1"), gesture=f"C1:{number}"))
        await asyncio.gather(copy(number), delete(number))

    rows = await works(sessions)
    assert {rows[f"{number}.2"]["state"] for number in range(20)} == {"queued"}
    assert len(await jobs(sessions)) == 40


async def test_answers_files_and_chores_have_pools_of_their_own(sessions: Sessions) -> None:
    file = ingest_errand(TEAM, "F1", channel_id="C1", message_ts="1.0", thread_ts="1.0")
    async with sessions.tenant(TEAM) as session:
        for each in (errand("a"), file, index_errand(TEAM, ModelId(1))):
            await Queue().enqueue(session, each)

    assert [job["queue_name"] for job in await jobs(sessions)] == [
        f"{TEAM}/{pool}" for pool in ("answer", "ingest", "chore")
    ]


async def test_who_waits_for_many_answers_lets_others_go_first(sessions: Sessions) -> None:
    await enqueue(sessions, *(f"flood {n}" for n in range(53)), asker="U1")
    await enqueue(sessions, "mine", asker="U2")

    priorities = {job["key"]: job["priority"] for job in await jobs(sessions)}

    assert priorities["mine"] == priorities["flood 0"] == 0
    assert priorities["flood 3"] == -3
    assert priorities["flood 51"] == priorities["flood 52"] == -50


async def test_answered_questions_count_no_more(sessions: Sessions) -> None:
    await enqueue(sessions, "a", "b", asker="U1")
    await change(sessions, "UPDATE work SET state = 'done'")

    await enqueue(sessions, "c", asker="U1")

    assert (await works(sessions))["c"]["priority"] == 0


async def test_no_question_overtakes_those_before_it_in_its_thread(sessions: Sessions) -> None:
    await enqueue(sessions, "early", thread="C1:1.0", asker="U3")
    await enqueue(sessions, "a", "b", "c", asker="U1")
    await enqueue(sessions, "late", thread="C1:1.0", asker="U1")

    await enqueue(sessions, "polite", thread="C1:1.0", asker="U2")

    rows = await works(sessions)
    assert [rows[key]["priority"] for key in ("early", "late", "polite")] == [0, -3, -3]


async def test_two_questions_written_at_once_are_ordered_by_who_was_first(sessions: Sessions) -> None:
    first_has_written = asyncio.Event()

    async def first(session: AsyncSession) -> None:
        await Queue().enqueue(session, errand("first", thread="C1:1.0", asker="U1"))
        first_has_written.set()
        await asyncio.sleep(0.2)

    async def second(session: AsyncSession) -> None:
        await first_has_written.wait()
        await Queue().enqueue(session, errand("second", thread="C1:1.0", asker="U2"))

    async def write(what: object) -> None:
        async with sessions.tenant(TEAM) as session:
            await what(session)  # type: ignore[operator]

    await enqueue(sessions, *"abc", asker="U1")
    await asyncio.gather(write(first), write(second))

    rows = {job["key"]: job for job in await jobs(sessions)}
    assert rows["first"]["id"] < rows["second"]["id"]
    assert rows["first"]["priority"] == rows["second"]["priority"] == -3, "the second saw the first"


async def test_workspaces_have_queues_of_their_own(sessions: Sessions) -> None:
    async with sessions.tenant(OTHER_TEAM) as session:
        theirs = Errand("answer", OTHER_TEAM, "a", {"team_id": OTHER_TEAM}, lock=f"{OTHER_TEAM}:a")
        await Queue().enqueue(session, theirs)
    await enqueue(sessions, "a")

    assert [job["queue_name"] for job in await jobs(sessions)] == [f"{TEAM}/answer"]
