"""The vector index is built by a job, once, when a workspace holds more than exact search should scan."""

from __future__ import annotations

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.jobs.queue import Queue
from bot.repositories.channels import ChannelRepository
from bot.repositories.indexes import build_index
from bot.repositories.neighbours import VectorIndex
from bot.services.indexes import IndexService
from bot.values import ModelId
from tests.conftest import TEAM, Database, execute
from tests.repositories.builders import DIMENSIONS, store_texts

TEXTS = ["We open at eight.", "We close at six.", "Lunch is at noon."]


async def stored(sessions: Sessions) -> ModelId:
    """Store three chunks; return their model."""
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, TEXTS)
        model = await ChannelRepository(session).get_active_model(TEAM)
    assert model is not None
    return model.model_id


def service(sessions: Sessions, database: Database, *, limit: int) -> IndexService:
    return IndexService(sessions, database.owner_url, Queue().enqueue, exact_search_limit=limit)


async def is_valid(sessions: Sessions, name: str) -> bool | None:
    async with sessions.tenant(TEAM) as session:
        statement = text("SELECT indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname = :name")
        found: bool | None = await session.scalar(statement, {"name": name})
        return found


async def test_no_index_is_asked_for_while_exact_search_is_quick(sessions: Sessions, database: Database) -> None:
    await stored(sessions)

    assert not await service(sessions, database, limit=3).request(TEAM)


async def test_an_index_is_asked_for_once_when_the_limit_is_passed(sessions: Sessions, database: Database) -> None:
    await stored(sessions)
    indexes = service(sessions, database, limit=2)

    assert await indexes.request(TEAM)
    assert not await indexes.request(TEAM)


async def test_a_workspace_without_documents_asks_for_nothing(sessions: Sessions, database: Database) -> None:
    indexes = service(sessions, database, limit=1)

    assert not await indexes.request(TEAM)
    assert not await indexes.build(TEAM)


async def test_the_index_is_built_once(sessions: Sessions, database: Database) -> None:
    model_id = await stored(sessions)
    indexes = service(sessions, database, limit=2)

    assert await indexes.build(TEAM)
    assert not await indexes.build(TEAM)
    assert await is_valid(sessions, VectorIndex(model_id, DIMENSIONS).name)


async def test_an_index_that_a_crash_left_half_is_made_anew(sessions: Sessions, database: Database) -> None:
    model_id = await stored(sessions)
    index = VectorIndex(model_id, DIMENSIONS)
    await build_index(database.owner_url, index)
    await execute(
        database.owner_url, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index.name}'::regclass"
    )

    assert await build_index(database.owner_url, index)
    assert await is_valid(sessions, index.name)
