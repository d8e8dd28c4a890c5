"""Transactions under a tenant's scope, and what becomes of them when PostgreSQL goes away."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db import migrate
from bot.db.embedded import EmbeddedServer
from bot.db.engine import Sessions, build_engine
from bot.errors import DatabaseUnavailable, InvalidSettings
from tests.conftest import TEAM, Database, execute
from tests.db.conftest import ask

ADD = text("INSERT INTO workspaces (team_id) VALUES (:t)")
COUNT = text("SELECT count(*) FROM workspaces")


@pytest.fixture
async def own_server(start: Callable[..., EmbeddedServer]) -> EmbeddedServer:
    """A migrated server that a test may ill-treat."""
    server = start(throwaway=False)
    await migrate.upgrade(server.owner_url, server.bot_url)
    return server


@pytest.fixture
async def own_sessions(own_server: EmbeddedServer) -> AsyncIterator[Sessions]:
    engine = build_engine(own_server.bot_url, pool_size=1, max_overflow=0)
    yield Sessions(engine)
    await engine.dispose()


async def count(sessions: Sessions, team_id: str = TEAM) -> int:
    async with sessions.tenant(team_id) as session:
        return int((await session.execute(COUNT)).scalar_one())


async def test_what_is_done_in_the_block_is_kept_at_its_end(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await session.execute(ADD, {"t": TEAM})

    assert await count(sessions) == 1


async def test_an_error_in_the_block_undoes_all_of_it(sessions: Sessions) -> None:
    with pytest.raises(FileNotFoundError):  # noqa: PT012  # the block itself is what fails
        async with sessions.tenant(TEAM) as session:
            await session.execute(ADD, {"t": TEAM})
            raise FileNotFoundError

    assert await count(sessions) == 0


async def test_a_connection_cut_in_the_block_makes_the_database_unavailable(
    sessions: Sessions, database: Database
) -> None:
    with pytest.raises(DatabaseUnavailable):  # noqa: PT012  # the block itself is what fails
        async with sessions.tenant(TEAM) as session:
            await session.execute(ADD, {"t": TEAM})
            pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            await ask(database.owner_url, f"SELECT pg_terminate_backend({pid}, 5000)")
            await session.execute(COUNT)

    assert await count(sessions) == 0


async def test_a_connection_cut_while_it_idles_is_not_noticed(sessions: Sessions, database: Database) -> None:
    async with sessions.tenant(TEAM) as session:
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    await ask(database.owner_url, f"SELECT pg_terminate_backend({pid}, 5000)")

    assert await count(sessions) == 0


async def test_a_killed_server_makes_the_database_unavailable_until_it_is_back(
    own_server: EmbeddedServer, own_sessions: Sessions, home: Path
) -> None:
    async with own_sessions.tenant(TEAM) as session:
        await session.execute(ADD, {"t": TEAM})

    with pytest.raises(DatabaseUnavailable):  # noqa: PT012  # the block itself is what fails
        async with own_sessions.tenant(TEAM) as session:
            os.kill(int((home / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            while True:
                await session.execute(COUNT)
    own_server.ensure_running()

    assert await count(own_sessions) == 1


async def test_a_stopped_server_makes_the_database_unavailable(
    own_server: EmbeddedServer, own_sessions: Sessions
) -> None:
    own_server.stop()

    with pytest.raises(DatabaseUnavailable):
        await count(own_sessions)


async def test_a_server_without_a_free_connection_is_unavailable(sessions: Sessions, database: Database) -> None:
    await execute(database.owner_url, f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")

    with pytest.raises(DatabaseUnavailable):
        await count(sessions)


async def test_an_exhausted_pool_makes_the_database_unavailable(database: Database) -> None:
    engine = build_engine(database.bot_url, pool_size=1, max_overflow=0, pool_timeout_s=0.1)
    sessions = Sessions(engine)

    async with sessions.tenant(TEAM):
        with pytest.raises(DatabaseUnavailable):
            await count(sessions)

    await engine.dispose()


async def test_a_database_without_pgvector_says_so(empty_database: Database) -> None:
    engine = build_engine(empty_database.owner_url)

    with pytest.raises(InvalidSettings) as refusal:
        await count(Sessions(engine))

    assert "CREATE EXTENSION vector" in refusal.value.user_message
    await engine.dispose()


async def test_plans_are_made_for_the_values_at_hand(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert (await connection.execute(text("SHOW plan_cache_mode"))).scalar_one() == "force_custom_plan"
        assert (await connection.execute(text("SHOW jit"))).scalar_one() == "off"


async def test_the_queues_functions_are_found_without_their_schemas_name(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        path = (await connection.execute(text("SHOW search_path"))).scalar_one()
        found = (await connection.execute(text("SELECT to_regclass('procrastinate_jobs') IS NOT NULL"))).scalar_one()

    assert found
    assert path.startswith('"$user", public')
