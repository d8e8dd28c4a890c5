"""The queue's connections: how they are addressed, and how they are cut off."""

from __future__ import annotations

import asyncio

import pytest
from procrastinate.exceptions import ConnectorException
from psycopg.conninfo import conninfo_to_dict

from bot.jobs.connection import QueueConnector, conninfo_from
from tests.conftest import Database
from tests.jobs.acts import until


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (
            "postgresql+asyncpg://bot:p%40ss@db.example:6543/recollect?ssl=require",
            {"host": "db.example", "port": "6543", "user": "bot", "password": "p@ss", "sslmode": "require"},
        ),
        (
            "postgresql+asyncpg://bot@/recollect?host=%2Frun%2Fpg&port=5432&ssl=disable",
            {"host": "/run/pg", "port": "5432", "user": "bot", "sslmode": "disable"},
        ),
    ],
)
def test_the_bots_address_is_put_as_libpq_wants_it(url: str, parts: dict[str, str]) -> None:
    info = conninfo_to_dict(conninfo_from(url))

    assert {name: str(info[name]) for name in parts} == parts
    assert info["dbname"] == "recollect"
    assert "search_path=public,procrastinate" in str(info["options"])


async def test_the_queues_tables_are_found(database: Database) -> None:
    connector = QueueConnector(database.bot_url)
    await connector.open_async()

    rows = await connector.execute_query_all_async("SELECT count(*) AS jobs FROM procrastinate_jobs")

    assert rows == [{"jobs": 0}]
    await connector.close_async()


async def test_it_knows_how_long_it_has_been_waiting(database: Database) -> None:
    connector = QueueConnector(database.bot_url)
    await connector.open_async()
    assert connector.waiting_s() == 0

    sleeping = asyncio.create_task(connector.execute_query_async("SELECT pg_sleep(0.5)"))
    await until(lambda: connector.waiting_s() > 0.2)
    await sleeping

    assert connector.waiting_s() == 0
    await connector.close_async()


async def test_who_waits_for_an_answer_is_cut_off_by_closing(database: Database) -> None:
    connector = QueueConnector(database.bot_url, max_size=1)
    await connector.open_async()
    waiting = asyncio.create_task(connector.execute_query_async("SELECT pg_sleep(60)"))
    queueing = asyncio.create_task(connector.execute_query_async("SELECT 1"))
    await until(lambda: connector.waiting_s() > 0.1)

    async with asyncio.timeout(2):
        await connector.close_async()
        errors = await asyncio.gather(waiting, queueing, return_exceptions=True)

    assert [type(error) for error in errors] == [ConnectorException, ConnectorException]


async def test_listening_goes_on_over_a_new_connection(database: Database) -> None:
    connector = QueueConnector(database.bot_url)
    await connector.open_async()
    heard: list[str] = []

    async def note(*, channel: str, payload: str) -> None:
        heard.append(payload)

    listening = asyncio.create_task(connector.listen_notify(note, ["news"]))

    async def say(what: str) -> bool:
        await connector.execute_query_async("SELECT pg_notify('news', %(what)s)", what=what)
        return what in heard

    await until(lambda: say("one"))
    await connector.execute_query_async(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()"
    )
    await until(lambda: say("two"))

    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await connector.close_async()
