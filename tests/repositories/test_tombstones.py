from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.tombstones import ChannelTombstones, MessageTombstones, TombstoneRepository
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap, record_user, share_bytes


async def test_what_was_deleted_is_remembered_by_kind_and_key(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        tombstones = TombstoneRepository(session)
        for _ in range(2):
            await tombstones.record(TEAM, "file", "F1")

        assert await tombstones.is_gone(TEAM, "file", "F1")
        assert not await tombstones.is_gone(TEAM, "file", "F2")
        assert not await tombstones.is_gone(TEAM, "message", "F1")


async def test_another_workspaces_deletions_are_its_own(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await TombstoneRepository(session).record(TEAM, "file", "F1")

    async with sessions.tenant(OTHER_TEAM) as session:
        assert not await TombstoneRepository(session).is_gone(OTHER_TEAM, "file", "F1")


async def test_hostile_keys_are_remembered_as_text(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await TombstoneRepository(session).record(TEAM, "file", "F\x00\ud800")

        assert await TombstoneRepository(session).is_gone(TEAM, "file", "F\x00\ud800")


async def test_a_deleted_message_is_remembered_by_its_place(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        tombstones = MessageTombstones(session)
        for _ in range(2):
            await tombstones.record(TEAM, "C1:1.1")

        assert await tombstones.is_gone(TEAM, "C1:1.1")
        assert not await tombstones.is_gone(TEAM, "C1:1.2")
        assert not await TombstoneRepository(session).is_gone(TEAM, "file", "C1:1.1")


async def test_who_asks_for_a_message_that_is_being_deleted_waits_for_the_answer(sessions: Sessions) -> None:
    async def delete(session: AsyncSession) -> None:
        await MessageTombstones(session).record(TEAM, "C1:1.1")

    async def ask(session: AsyncSession) -> bool:
        return await MessageTombstones(session).is_gone(TEAM, "C1:1.1")

    _, gone = await overlap(sessions, delete, ask)

    assert gone


async def test_deletions_of_messages_wait_neither_for_each_other_nor_for_files(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as reading, sessions.tenant(TEAM) as deleting:
        await TombstoneRepository(reading).is_gone(TEAM, "file", "F1")
        await MessageTombstones(reading).record(TEAM, "C1:1.1")

        await MessageTombstones(deleting).record(TEAM, "C1:1.2")

        assert await MessageTombstones(deleting).is_gone(TEAM, "C1:1.2")


@pytest.mark.parametrize("what", ["file", "message", "channel"])
async def test_no_document_is_stored_for_a_deleted(sessions: Sessions, what: str) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        if what == "file":
            await TombstoneRepository(session).record(TEAM, "file", "F1")
        elif what == "message":
            await MessageTombstones(session).record(TEAM, "C1:1.1")
        else:
            await ChannelTombstones(session).record(TEAM, "C1")

    with pytest.raises(NotFound):
        async with sessions.tenant(TEAM) as session:
            await share_bytes(session, user=user, file_id="F1", ts="1.1", thread_ts="1.1")

    async with sessions.tenant(TEAM) as session:
        await share_bytes(session, user=user, channel_id="C2", file_id="F2", ts="1.1", thread_ts="1.1")


async def test_the_deletion_of_a_channel_waits_for_who_found_it_there_and_they_not_for_each_other(
    sessions: Sessions,
) -> None:
    async def ask(session: AsyncSession) -> bool:
        return await ChannelTombstones(session).is_gone(TEAM, "C1")

    async def both_ask(session: AsyncSession) -> list[str]:
        async with sessions.tenant(TEAM) as beside:
            assert not await ask(beside)
        assert not await ask(session)
        order.append("asked")
        return order

    async def delete(session: AsyncSession) -> None:
        await ChannelTombstones(session).record(TEAM, "C1")
        await ChannelTombstones(session).wait(TEAM, "C1")
        order.append("deleted")

    order: list[str] = []
    before, _ = await overlap(sessions, both_ask, delete)

    assert before == ["asked", "deleted"]
    async with sessions.tenant(TEAM) as session:
        assert await ask(session)
        assert not await ChannelTombstones(session).is_gone(TEAM, "C2")
