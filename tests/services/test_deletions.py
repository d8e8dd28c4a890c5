"""What a deletion meets of others' work that is just being done."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.jobs.queue import Queue
from bot.repositories.tombstones import ChannelTombstones
from bot.repositories.work import WorkRepository
from bot.services.deletions import DeletionService
from bot.values import Errand
from tests.conftest import TEAM
from tests.repositories.builders import record_user, share_bytes


class NoPostings:
    """A Slack in which nothing was said."""

    async def take_back(
        self, team_id: str, *, channel_id: str, thread_ts: str, ts: str, reply_to: str, notice: str
    ) -> None:
        raise AssertionError("nothing was said")

    def tells_of(self, body: bytes, channel_id: str, ts: str) -> bool:
        return False

    def is_of(self, body: bytes, channel_id: str) -> bool:
        return True


async def test_a_channels_deletion_waits_for_what_is_just_being_stored_there(sessions: Sessions) -> None:
    deletions = DeletionService(sessions, Queue().enqueue, NoPostings())
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
    async with sessions.tenant(TEAM) as storing:
        await share_bytes(storing, user=user, channel_id="C1")
        async with sessions.tenant(TEAM) as session:
            await ChannelTombstones(session).record(TEAM, "C1")
        vacating = asyncio.create_task(deletions.vacate(TEAM, "C1"))
        await asyncio.wait({vacating}, timeout=0.3)
        assert not vacating.done()

    assert await vacating is None
    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SELECT count(*) FROM documents")) == 0


async def test_a_channels_deletion_comes_again_while_somebody_is_at_something_of_it(sessions: Sessions) -> None:
    deletions = DeletionService(sessions, Queue().enqueue, NoPostings())
    errand = Errand("answer", TEAM, "C1:1.1", {"channel_id": "C1"}, lock="thread")
    async with sessions.tenant(TEAM) as session:
        await ChannelTombstones(session).record(TEAM, "C1")
        works = WorkRepository(session)
        work_id = await works.record(errand)
        assert work_id is not None
        claimed = await works.claim(TEAM, work_id)
        assert claimed is not None

    assert await deletions.vacate(TEAM, "C1")

    async with sessions.tenant(TEAM) as session:
        await WorkRepository(session).finish(TEAM, work_id, claimed.epoch, "stopped")
    assert await deletions.vacate(TEAM, "C1") is None


async def test_events_that_somebody_needs_stay_whole_until_then(sessions: Sessions) -> None:
    deletions = DeletionService(sessions, Queue().enqueue, NoPostings())
    errand = Errand("answer", TEAM, "command:1", {"user_id": "U1"}, lock="command")
    async with sessions.tenant(TEAM) as session:
        await session.execute(
            text("INSERT INTO inbox (team_id, id, event_id, body) VALUES (:t, gen_random_uuid(), 'E', 'words of C1')"),
            {"t": TEAM},
        )
        inbox_id = await session.scalar(text("SELECT id FROM inbox"))
        works = WorkRepository(session)
        work_id = await works.record(errand, inbox_id=inbox_id)
        assert work_id is not None

    assert await deletions.vacate(TEAM, "C1")

    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SELECT body FROM inbox")) == b"words of C1"
        claimed = await WorkRepository(session).claim(TEAM, work_id)
        assert claimed is not None
        await WorkRepository(session).finish(TEAM, work_id, claimed.epoch, "done")
    assert await deletions.vacate(TEAM, "C1") is None
    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SELECT body FROM inbox")) == b""
