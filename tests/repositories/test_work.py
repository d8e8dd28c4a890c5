from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.inbox import InboxRepository
from bot.repositories.work import ClaimedWork, WorkRepository
from bot.values import new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap


async def claim(session: AsyncSession, *tasks: str, limit: int = 10) -> list[ClaimedWork]:
    return await WorkRepository(session).claim(TEAM, tasks=tasks or ["answer"], limit=limit)


async def test_work_is_claimed_with_its_ids_and_the_event_that_brought_it(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        inbox_id = await InboxRepository(session).record(TEAM, "Ev1", b"\x00raw\xff")
        made = await WorkRepository(session).record(
            TEAM, "answer", "Ev1", {"channel_id": "C1", "n": 1}, inbox_id=inbox_id, thread="C1:1.0"
        )
    async with sessions.tenant(TEAM) as session:
        (work,) = await claim(session)

    assert made is not None
    assert work == ClaimedWork(
        TEAM, made, "answer", "Ev1", {"channel_id": "C1", "n": 1}, epoch=1, thread="C1:1.0", body=b"\x00raw\xff"
    )


async def test_the_same_work_is_written_once_a_task(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)

        assert await works.record(TEAM, "answer", "Ev1", {}) is not None
        assert await works.record(TEAM, "answer", "Ev1", {}) is None
        assert await works.record(TEAM, "ingest", "Ev1", {}) is not None


async def test_the_same_work_written_by_two_transactions_at_once_is_one(sessions: Sessions) -> None:
    async def record(session: AsyncSession) -> object:
        return await WorkRepository(session).record(TEAM, "answer", "Ev1", {})

    first, second = await overlap(sessions, record, record)

    assert first is not None
    assert second is None


async def test_work_of_a_transaction_that_fails_was_never_there(sessions: Sessions) -> None:
    async def record_and_fail() -> None:
        async with sessions.tenant(TEAM) as session:
            await WorkRepository(session).record(TEAM, "answer", "Ev1", {})
            raise NotFound("crash")

    with pytest.raises(NotFound):
        await record_and_fail()

    async with sessions.tenant(TEAM) as session:
        assert await claim(session) == []


async def test_work_is_claimed_oldest_first_and_of_the_tasks_asked_for(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        for key in ("1", "2", "3"):
            await works.record(TEAM, "answer", key, {})
        await works.record(TEAM, "ingest", "4", {})

        assert [work.key for work in await claim(session, limit=2)] == ["1", "2"]
        assert [work.key for work in await claim(session, "answer", "ingest")] == ["3", "4"]
        assert await claim(session, "answer", "ingest") == []


async def test_two_who_claim_at_once_never_get_the_same(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        for n in range(10):
            await WorkRepository(session).record(TEAM, "answer", str(n), {})

    async def claim_three() -> list[ClaimedWork]:
        async with sessions.tenant(TEAM) as session:
            claimed = await claim(session, limit=3)
            await asyncio.sleep(0.1)
            return claimed

    claims = await asyncio.gather(*(claim_three() for _ in range(3)))

    keys = [work.key for claimed in claims for work in claimed]
    assert len(keys) == len(set(keys)) == 9


async def test_finished_work_is_not_claimed_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        await works.record(TEAM, "answer", "1", {})
        (work,) = await claim(session)

        assert await works.count_unfinished(TEAM) == 1
        assert await works.finish(TEAM, work.id, work.epoch, "dead", error_id="abc")
        assert not await works.finish(TEAM, work.id, work.epoch, "done")

        row = (await session.execute(text("SELECT state, error_id FROM work"))).one()
        assert await claim(session) == []
        assert await works.count_unfinished(TEAM) == 0
    assert tuple(row) == ("dead", "abc")


async def test_work_left_for_later_comes_back_when_it_is_due(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        await works.record(TEAM, "answer", "1", {})
        (first,) = await claim(session)
        assert await works.requeue(TEAM, first.id, first.epoch, 30)
    async with sessions.tenant(TEAM) as session:
        assert await claim(session) == []
        assert await WorkRepository(session).count_unfinished(TEAM) == 1
        await session.execute(text("UPDATE work SET run_at = run_at - interval '30 seconds'"))
        (second,) = await claim(session)

    assert (second.id, second.epoch) == (first.id, 2)


async def test_delayed_work_waits(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await WorkRepository(session).record(TEAM, "answer", "1", {}, delay_s=60)

        assert await claim(session) == []


async def test_who_was_overtaken_can_neither_finish_nor_requeue(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        await works.record(TEAM, "answer", "1", {})
        (zombie,) = await claim(session)
        assert await works.release_running(TEAM) == 1
        (heir,) = await claim(session)

        assert not await works.finish(TEAM, zombie.id, zombie.epoch, "done")
        assert not await works.requeue(TEAM, zombie.id, zombie.epoch, 0)
        assert await works.finish(TEAM, heir.id, heir.epoch, "done")


async def test_what_a_former_process_left_running_is_queued_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        for n in range(3):
            await works.record(TEAM, "answer", str(n), {})
        done, _ = await claim(session, limit=2)
        await works.finish(TEAM, done.id, done.epoch, "done")

        assert await works.release_running(TEAM) == 1
        assert sorted(work.key for work in await claim(session)) == ["1", "2"]


async def test_unfinished_work_is_counted_by_task_thread_and_key(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        await works.record(TEAM, "ingest", "F1", {}, thread="C1:1.0")
        await works.record(TEAM, "ingest", "F2", {}, thread="C2:1.0")
        await works.record(TEAM, "answer", "E1", {}, thread="C1:1.0")

        assert await works.count_unfinished(TEAM) == 3
        assert await works.count_unfinished(TEAM, task="ingest") == 2
        assert await works.count_unfinished(TEAM, thread="C1:1.0") == 2
        assert await works.count_unfinished(TEAM, task="ingest", thread="C1:1.0") == 1
        assert await works.count_unfinished(TEAM, task="ingest", key="F9") == 0


async def test_hostile_ids_are_stored_as_text(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await WorkRepository(session).record(TEAM, "answer", "k\x00\ud800", {"a\x00": ["\udfff"]}, thread="\x00")
        (work,) = await claim(session)

    assert (work.key, work.ids, work.thread) == ("k\ufffd\ufffd", {"a\ufffd": ["\ufffd"]}, "\ufffd")


async def test_another_workspaces_work_is_its_own(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        made = await WorkRepository(session).record(TEAM, "answer", "1", {})
    assert made is not None

    async with sessions.tenant(OTHER_TEAM) as session:
        works = WorkRepository(session)
        for team in (TEAM, OTHER_TEAM):
            assert await works.claim(team, tasks=["answer"], limit=1) == []
            assert await works.count_unfinished(team) == 0
            assert await works.release_running(team) == 0
            assert not await works.finish(team, made, 0, "done")
        assert await works.record(OTHER_TEAM, "answer", "1", {}) is not None
        assert not await works.finish(OTHER_TEAM, new_id(), 0, "done")
