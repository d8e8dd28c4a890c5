"""Signs of life of what a process depends on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from bot import vital
from bot.db.engine import Sessions
from bot.repositories.workspaces import DepartureRepository
from bot.values import LOCAL_TEAM_ID
from tests.conftest import Database


async def test_the_database_is_well_though_the_demos_workspace_was_uninstalled(
    database: Database, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vital, "_DATABASE_PULSE", {"interval_s": 0.05, "patience_s": 0.5})
    async with sessions.purging(LOCAL_TEAM_ID) as session:
        await DepartureRepository(session).record(LOCAL_TEAM_ID)

    async with AsyncExitStack() as stack:
        check = vital.database_check(stack, database.bot_url)
        await asyncio.sleep(1.2)  # longer than its patience

        assert await check() is None
