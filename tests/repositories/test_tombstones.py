from __future__ import annotations

from bot.db.engine import Sessions
from bot.repositories.tombstones import TombstoneRepository
from tests.conftest import OTHER_TEAM, TEAM


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
