"""The demo on a database of its own: it says where it is, and remembers nothing of the one before."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import aiohttp
import pytest
from rich.console import Console
from sqlalchemy import text

from bot.config import Settings
from bot.db.cluster import is_served
from bot.db.engine import Sessions
from bot.demo import DEMO_TEAM_ID, demo
from bot.errors import InvalidSettings
from tests.cli import start_bot, urls
from tests.conftest import TEAM, Database
from tests.repositories.builders import store_texts


@pytest.fixture
def settings(database: Database) -> Settings:
    """Settings for the test's database."""
    return Settings(_env_file=None, database_url=database.bot_url, database_owner_url=database.owner_url)


@asynccontextmanager
async def running_demo(database: Database, directory: Path) -> AsyncIterator[tuple[Process, str]]:
    """Run `bot demo` until the block ends; yields the process and the address it printed."""
    process = await start_bot("demo", "--no-open", "--port", "0", cwd=directory, **urls(database))
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(r"Open (http://\S+)", printed)):
                line = await process.stdout.readline()
                assert line, f"it ended: {printed}"
                printed += line.decode()
        yield process, found[1]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 30)


async def count(sessions: Sessions, team_id: str, table: str) -> int:
    async with sessions.tenant(team_id) as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_it_prints_an_address_where_the_page_is(tmp_path: Path, database: Database) -> None:
    async with running_demo(database, tmp_path) as (_, address), aiohttp.ClientSession() as http:
        response = await http.get(address)
        page = await response.text()

    assert response.status == 200
    assert response.content_type == "text/html"
    assert "Recollect" in page


async def test_each_demo_begins_with_an_empty_memory_and_leaves_others_alone(
    tmp_path: Path, database: Database, sessions: Sessions
) -> None:
    for team_id in (DEMO_TEAM_ID, TEAM):
        async with sessions.tenant(team_id) as session:
            await store_texts(session, ["We open at eight."], team_id=team_id)

    async with running_demo(database, tmp_path):
        for table in (
            "documents",
            "document_chunks",
            "chunk_embeddings",
            "users",
            "messages",
            "work WHERE task <> 'expire'",
        ):
            assert await count(sessions, DEMO_TEAM_ID, table) == 0, table

    assert await count(sessions, TEAM, "documents") == 1
    assert await count(sessions, TEAM, "chunk_embeddings") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_quietly_when_told_to(tmp_path: Path, database: Database, number: signal.Signals) -> None:
    async with running_demo(database, tmp_path) as (process, _):
        process.send_signal(number)
        _, err = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    assert b"Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_told_while_it_starts_it_ends_as_quietly_and_its_database_with_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    home = Path(tempfile.mkdtemp(prefix="recollect-"))
    home.chmod(0o755)  # the server may run as somebody else
    process = await start_bot("demo", "--no-open", "--port", "0", cwd=tmp_path, RECOLLECT_HOME=str(home))
    async with asyncio.timeout(30):
        while not (home / "data" / "postmaster.pid").exists():
            await asyncio.sleep(0.01)

    process.send_signal(number)
    _, err = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    assert b"Traceback" not in err
    assert not is_served(home / "data")
    shutil.rmtree(home)


async def test_a_taken_port_is_told_with_a_way_out(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSettings) as refused:
            await demo(settings, host="127.0.0.1", port=port, console=Console(file=StringIO()))

    assert refused.value.user_message.startswith(f"Port {port} is taken. Try another: bot demo --port ")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_of_another_machine_is_not_called_taken(settings: Settings, host: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        await demo(settings, host=host, port=0, console=Console(file=StringIO()))

    assert "taken" not in refused.value.user_message
    assert host in refused.value.user_message
