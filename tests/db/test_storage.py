"""The database as the settings want it, migrated, from its start to the last connection's end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from bot.config import Settings
from bot.db.cluster import is_served
from bot.db.storage import Storage, open_server, open_storage
from bot.errors import DatabaseUnavailable
from tests.conftest import BOT, TEAM, Database, Server


def settings_with(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


async def scalar(storage: Storage, statement: str) -> Any:
    async with storage.sessions.tenant(TEAM) as session:
        return (await session.execute(text(statement))).scalar_one()


async def tables(storage: Storage) -> int:
    return int(await scalar(storage, "SELECT count(*) FROM pg_tables WHERE tablename = 'document_chunks'"))


# The server that comes along


async def test_without_an_address_the_embedded_server_is_started_migrated_and_stopped(home: Path) -> None:
    async with open_storage(settings_with(recollect_home=home)) as storage:
        assert is_served(home / "data")
        assert await tables(storage) == 1
        assert await scalar(storage, "SELECT current_user") == "recollect_bot"
        assert make_url(storage.owner_url).username != make_url(storage.bot_url).username

    assert not is_served(home / "data")


async def test_what_was_stored_is_there_at_the_next_start(home: Path) -> None:
    settings = settings_with(recollect_home=home)
    async with open_storage(settings) as storage, storage.sessions.tenant(TEAM) as session:
        await session.execute(text("INSERT INTO workspaces (team_id, name) VALUES (:team, 'Ours')"), {"team": TEAM})

    async with open_storage(settings) as storage:
        assert await scalar(storage, "SELECT name FROM workspaces") == "Ours"


async def test_the_server_is_stopped_when_what_uses_it_fails(home: Path) -> None:
    with pytest.raises(RuntimeError, match="crash"):
        await crash_with_storage(settings_with(recollect_home=home))

    assert not is_served(home / "data")


async def crash_with_storage(settings: Settings) -> None:
    async with open_storage(settings):
        raise RuntimeError("crash")


async def test_nobody_watches_a_server_that_is_closed(home: Path) -> None:
    before = asyncio.all_tasks()

    async with open_server(settings_with(recollect_home=home)):
        assert len(asyncio.all_tasks()) == len(before) + 1
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


# Another server


async def test_an_address_names_another_server_and_nothing_is_started(database: Database, home: Path) -> None:
    settings = settings_with(database_url=database.bot_url, database_owner_url=database.owner_url, recollect_home=home)

    async with open_storage(settings) as storage:
        assert (storage.owner_url, storage.bot_url) == (database.owner_url, database.bot_url)
        assert await scalar(storage, "SELECT current_database()") == database.name
        assert await scalar(storage, "SELECT current_user") == BOT

    assert list(home.iterdir()) == []


async def test_an_empty_database_is_migrated_and_may_be_opened_again(empty_database: Database) -> None:
    settings = settings_with(database_url=empty_database.bot_url, database_owner_url=empty_database.owner_url)

    for _ in range(2):
        async with open_storage(settings) as storage:
            assert await tables(storage) == 1


async def test_two_processes_may_open_an_empty_database_at_once(empty_database: Database) -> None:
    settings = settings_with(database_url=empty_database.bot_url, database_owner_url=empty_database.owner_url)

    async def open_it() -> int:
        async with open_storage(settings) as storage:
            return await tables(storage)

    found = await asyncio.gather(open_it(), open_it())

    assert list(found) == [1, 1]


async def test_opening_a_server_connects_to_nothing_yet(empty_database: Database) -> None:
    missing = make_url(empty_database.bot_url).set(database="nowhere").render_as_string(hide_password=False)

    async with open_server(settings_with(database_url=missing)) as server:
        assert (server.owner_url, server.bot_url) == (missing, missing), "the owner's address is the bot's, by default"


async def test_a_server_that_does_not_answer_is_said_to(database: Database) -> None:
    nobody = make_url(database.bot_url).set(host="127.0.0.1", port=1, query={}).render_as_string(hide_password=False)

    with pytest.raises(DatabaseUnavailable) as refused:
        await open_and_close(settings_with(database_url=nobody))

    assert refused.value.user_message
    assert "Traceback" not in refused.value.user_message


async def open_and_close(settings: Settings) -> None:
    async with open_storage(settings):
        pass


async def test_the_pool_is_as_large_as_the_settings_say(database: Database) -> None:
    settings = settings_with(
        database_url=database.bot_url,
        database_owner_url=database.owner_url,
        database_pool_size=1,
        database_max_overflow=1,
        database_pool_timeout_s=0.2,
    )

    async with (
        open_storage(settings) as storage,
        storage.sessions.tenant(TEAM),
        storage.sessions.tenant(TEAM),
    ):
        with pytest.raises(DatabaseUnavailable):
            await tables(storage)


async def test_closing_leaves_no_connection_behind(database: Database, server: Server) -> None:
    settings = settings_with(database_url=database.bot_url, database_owner_url=database.owner_url)
    async with open_storage(settings) as storage:
        await tables(storage)

    watch = settings.model_copy(update={"database_url": database.owner_url})
    async with open_storage(watch) as storage:
        statement = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database.name}' AND usename = '{BOT}'"
        async with asyncio.timeout(5):
            while await scalar(storage, statement):
                await asyncio.sleep(0.05)
