from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.inbox import InboxRepository
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap


async def test_an_event_is_kept_byte_for_byte(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        inbox_id = await InboxRepository(session).record(TEAM, "Ev1", b'\x00{"a": "\\ud800"}\xff')
    async with sessions.tenant(TEAM) as session:
        assert inbox_id is not None
        assert await InboxRepository(session).get_body(TEAM, inbox_id) == b'\x00{"a": "\\ud800"}\xff'


async def test_an_event_delivered_again_is_known(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        inbox = InboxRepository(session)

        assert await inbox.record(TEAM, "Ev1", b"1") is not None
        assert await inbox.record(TEAM, "Ev1", b"2") is None
        assert await inbox.record(TEAM, "Ev\x00\ud800", b"3") is not None
        assert await inbox.record(TEAM, "Ev\x00\ud800", b"4") is None


async def test_an_event_delivered_twice_at_once_is_kept_once(sessions: Sessions) -> None:
    async def record(session: AsyncSession) -> object:
        return await InboxRepository(session).record(TEAM, "Ev1", b"")

    first, second = await overlap(sessions, record, record)

    assert first is not None
    assert second is None


async def test_another_workspaces_events_are_its_own(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        ours = await InboxRepository(session).record(TEAM, "Ev1", b"ours")
    assert ours is not None

    async with sessions.tenant(OTHER_TEAM) as session:
        inbox = InboxRepository(session)
        assert await inbox.record(OTHER_TEAM, "Ev1", b"theirs") is not None
        assert await inbox.get_body(TEAM, ours) is None
        assert await inbox.get_body(OTHER_TEAM, ours) is None
