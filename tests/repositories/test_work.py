from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.inbox import InboxRepository
from bot.repositories.work import ClaimedWork, WorkRepository
from bot.values import Errand, new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap


def errand(
    key: str = "1", *, task: str = "answer", team: str = TEAM, ids: dict[str, Any] | None = None, **about: Any
) -> Errand:
    return Errand(task, team, key, ids or {}, lock=about.pop("lock", f"{team}:{key}"), **about)


async def write(session: AsyncSession, key: str = "1", **about: Any) -> UUID:
    work_id = await WorkRepository(session).record(errand(key, **about))
    assert work_id is not None
    return work_id


async def take(session: AsyncSession, work_id: UUID) -> ClaimedWork:
    work = await WorkRepository(session).claim(TEAM, work_id)
    assert work is not None
    return work


async def unfinished(session: AsyncSession, team_id: str) -> int:
    statement = text("SELECT count(*) FROM work WHERE team_id = :team AND state IN ('queued', 'running')")
    return int((await session.execute(statement, {"team": team_id})).scalar_one())


async def row_of(session: AsyncSession, work_id: UUID) -> dict[str, Any]:
    statement = text("SELECT *, extract(epoch FROM run_at - now()) AS due_in_s FROM work WHERE id = :id")
    return dict((await session.execute(statement, {"id": work_id})).mappings().one())


# Writing


async def test_work_is_claimed_with_its_ids_and_the_event_that_brought_it(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        inbox_id = await InboxRepository(session).record(TEAM, "Ev1", b"\x00raw\xff")
        made = await WorkRepository(session).record(
            errand("Ev1", ids={"channel_id": "C1", "n": 1}, thread="C1:1.0"), inbox_id=inbox_id
        )
    assert made is not None
    async with sessions.tenant(TEAM) as session:
        work = await WorkRepository(session).claim(TEAM, made)

    assert work == ClaimedWork(
        TEAM, made, "answer", "Ev1", {"channel_id": "C1", "n": 1}, epoch=1, thread="C1:1.0", body=b"\x00raw\xff"
    )


async def test_the_same_work_is_written_once_a_task(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)

        assert await works.record(errand()) is not None
        assert await works.record(errand()) is None
        assert await works.record(errand(task="ingest")) is not None


async def test_one_gesture_means_one_piece_of_work(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)

        assert await works.record(errand("1", gesture="g")) is not None
        assert await works.record(errand("2", gesture="g")) is None
        assert await works.record(errand("2", gesture="h")) is not None


async def test_the_same_work_written_by_two_transactions_at_once_is_one(sessions: Sessions) -> None:
    async def record(session: AsyncSession) -> object:
        return await WorkRepository(session).record(errand())

    first, second = await overlap(sessions, record, record)

    assert first is not None
    assert second is None


async def test_work_of_a_transaction_that_fails_was_never_there(sessions: Sessions) -> None:
    async def record_and_fail() -> None:
        async with sessions.tenant(TEAM) as session:
            await write(session)
            raise NotFound("crash")

    with pytest.raises(NotFound):
        await record_and_fail()

    async with sessions.tenant(TEAM) as session:
        assert await unfinished(session, TEAM) == 0


async def test_hostile_ids_are_stored_as_text(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        work = await take(session, await write(session, "k\x00\ud800", ids={"a\x00": ["\udfff"]}, thread="\x00"))

    assert (work.key, work.ids, work.thread) == ("k\ufffd\ufffd", {"a\ufffd": ["\ufffd"]}, "\ufffd")


# Taking on


async def test_finished_work_is_not_claimed_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        work = await take(session, await write(session))

        assert await unfinished(session, TEAM) == 1
        assert await works.finish(TEAM, work.id, work.epoch, "dead", error_id="abc")
        assert not await works.finish(TEAM, work.id, work.epoch, "done")

        assert await works.claim(TEAM, work.id) is None
        assert await unfinished(session, TEAM) == 0
        row = await row_of(session, work.id)
    assert (row["state"], row["error_id"]) == ("dead", "abc")


async def test_taking_over_from_somebody_counts_as_an_attempt_that_ended_badly(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        work_id = await write(session)
        first, second = await take(session, work_id), await take(session, work_id)

    assert [(work.epoch, work.attempts) for work in (first, second)] == [(1, 0), (2, 1)]


async def test_who_was_overtaken_can_do_nothing(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        zombie = await take(session, await write(session))
        heir = await take(session, zombie.id)

        assert not await works.hold(TEAM, zombie.id, zombie.epoch)
        assert not await works.finish(TEAM, zombie.id, zombie.epoch, "done")
        assert not await works.requeue(TEAM, zombie.id, zombie.epoch)
        assert await works.block(TEAM, zombie.id, zombie.epoch) is None
        assert await works.hold(TEAM, heir.id, heir.epoch)
        assert await works.finish(TEAM, heir.id, heir.epoch, "done")


async def test_what_was_handed_back_is_held_no_more(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        work = await take(session, await write(session))
        assert await works.requeue(TEAM, work.id, work.epoch)

        assert not await works.hold(TEAM, work.id, work.epoch)
        assert not await works.finish(TEAM, work.id, work.epoch, "done")


# Putting off


async def test_work_left_for_later_says_when(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        work = await take(session, await write(session))
        assert await WorkRepository(session).requeue(TEAM, work.id, work.epoch, 30)
        row = await row_of(session, work.id)
        again = await take(session, work.id)

    assert (row["state"], row["attempts"], round(row["due_in_s"])) == ("queued", 0, 30)
    assert (again.epoch, again.attempts) == (2, 0)


async def test_a_failure_is_counted_and_ends_a_wait(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        work = await take(session, await write(session))
        assert await works.block(TEAM, work.id, work.epoch) == 1
        work = await take(session, work.id)
        assert await works.requeue(TEAM, work.id, work.epoch, 2, is_failure=True)
        row = await row_of(session, work.id)

    assert (row["attempts"], row["blocked_since"]) == (1, None)


async def test_a_wait_is_as_long_as_it_must_be_and_remembers_its_beginning(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        work = await take(session, await write(session))

        assert await works.block(TEAM, work.id, work.epoch, at_least_s=12.5, error_id="abc") == 12.5
        await session.execute(text("UPDATE work SET blocked_since = blocked_since - interval '5 seconds'"))
        again = await take(session, work.id)

    assert (again.blocked_s, again.error_id, again.attempts) == (5, "abc", 0)


# Withdrawing


async def test_withdrawn_work_is_taken_from_who_does_it(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        work = await take(session, await write(session))
        assert await works.claim(TEAM, work.id, withdrawn=True) is None

        assert await works.stop(TEAM, "answer", "1")

        assert not await works.hold(TEAM, work.id, work.epoch)
        tidying = await works.claim(TEAM, work.id, withdrawn=True)
        assert tidying is not None
        assert tidying.state == "stopping"
        assert await works.hold(TEAM, work.id, tidying.epoch)
        assert await works.requeue(TEAM, work.id, tidying.epoch, 5)
        assert (await row_of(session, work.id))["state"] == "stopping", "what was withdrawn stays so"
        assert await works.block(TEAM, work.id, tidying.epoch) is not None
        assert (await row_of(session, work.id))["state"] == "stopping"
        assert await works.finish(TEAM, work.id, tidying.epoch, "stopped")


async def test_what_is_done_cannot_be_withdrawn(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        work = await take(session, await write(session))
        await works.finish(TEAM, work.id, work.epoch, "done")

        assert not await works.stop(TEAM, "answer", "1")
        assert not await works.stop(TEAM, "answer", "never heard of")


# Counting


async def test_what_comes_before_a_question_in_its_channel_is_counted_a_thread_each(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        works = WorkRepository(session)
        place = {"channel_id": "C1"}
        for n in range(4):
            await write(session, f"flood {n}", ids=place, asker="U1", lock=f"T:{n // 2}")
        mine = await take(session, await write(session, "mine", ids=place, asker="U2"))
        last = await take(session, await write(session, "last", ids=place, asker="U1"))
        await write(session, "elsewhere", ids={"channel_id": "C2"})

        assert await works.count_ahead(mine, channel_id="C1") == 1, "the flood's first question"
        assert await works.count_ahead(last, channel_id="C1") == 2, "two threads, and mine is running already"


async def test_another_workspaces_work_is_its_own(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        made = await write(session)

    async with sessions.tenant(OTHER_TEAM) as session:
        works = WorkRepository(session)
        for team in (TEAM, OTHER_TEAM):
            assert await works.claim(team, made) is None
            assert await unfinished(session, team) == 0
            assert await works.list_abandoned(team, age_s=-1) == []
            assert not await works.finish(team, made, 0, "done")
            assert not await works.stop(team, "answer", "1")
        assert await works.record(replace(errand(), team_id=OTHER_TEAM)) is not None
        assert not await works.finish(OTHER_TEAM, new_id(), 0, "done")
