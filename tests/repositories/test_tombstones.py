from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.tombstones import MessageTombstones, TombstoneRepository
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap


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
