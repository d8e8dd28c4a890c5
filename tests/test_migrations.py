"""The schema, as the migrations leave it: read from PostgreSQL's own catalogue."""

from __future__ import annotations

from sqlalchemy import text

from bot.db import migrate
from bot.db.engine import Sessions
from tests.conftest import OTHER_TEAM, TEAM, Database


async def test_a_migrated_database_stands_at_the_head(database: Database) -> None:
    found = await migrate.status(database.owner_url)

    assert found.current == found.head
    assert found.pending == []


async def test_rows_of_another_workspace_are_not_there(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("INSERT INTO workspaces (team_id) VALUES (:t)"), {"t": TEAM})

    async with sessions.tenant(OTHER_TEAM) as session:
        assert (await session.execute(text("SELECT * FROM workspaces"))).all() == []
