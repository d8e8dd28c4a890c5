"""One server per run, one migrated template on it, one clone of that per test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from testcontainers.community.postgres import PostgresContainer

from bot.db import migrate
from bot.db.embedded import start_embedded
from bot.db.engine import Sessions, build_engine

TEAM = "T0TEST"
OTHER_TEAM = "T0OTHER"
BOT = "recollect_test_bot"
BOT_PASSWORD = "recollect"

_numbers = itertools.count()
_without_shared: list[str] = []


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test's own, by the URL of its owner and that of the bot, who owns nothing."""

    owner_url: str
    bot_url: str

    @property
    def name(self) -> str:
        return make_url(self.owner_url).database or ""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL to test on; `owner_url` names a database to connect to while others come and go."""

    owner_url: str

    def database(self, name: str) -> Database:
        owner = make_url(self.owner_url).set(database=name)
        return Database(_render(owner), _render(owner.set(username=BOT, password=BOT_PASSWORD)))

    async def execute(self, *statements: str) -> None:
        """Run statements outside any transaction."""
        connection = await connect(self.owner_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def create(self, *, template: str | None = None) -> Database:
        """Make a database, empty or a clone. The name says which run and which worker it belongs to."""
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        name = f"recollect_{worker}_{os.getpid()}_{next(_numbers)}"
        await self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.database(name)

    async def drop(self, database: Database) -> None:
        await self.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


def _render(url: URL) -> str:
    return url.render_as_string(hide_password=False)


async def connect(url: str) -> asyncpg.Connection:
    """Connect past SQLAlchemy, for what has to stand outside a transaction."""
    parts = make_url(url)
    host = parts.host or parts.query.get("host")
    port = parts.port or parts.query.get("port")
    return await asyncpg.connect(
        host=host, port=port, user=parts.username, password=parts.password, database=parts.database
    )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server to make databases on: TEST_DATABASE_URL, a container (TEST_DATABASE=container), or one of our own."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield Server(url)
    elif os.environ.get("TEST_DATABASE") == "container":
        image = os.environ.get("TEST_DATABASE_IMAGE", "pgvector/pgvector:pg17")
        with PostgresContainer(image, driver="asyncpg") as container:
            yield Server(container.get_connection_url())
    else:
        home = Path(tempfile.mkdtemp(prefix="recollect-"))
        home.chmod(0o755)  # the server may run as somebody else
        embedded = start_embedded(home, throwaway=True)
        yield Server(embedded.owner_url)
        embedded.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
async def template(server: Server) -> AsyncIterator[Database]:
    """The database that all others are clones of, brought up by the real migrations."""
    database = await server.create()
    await migrate.upgrade(database.owner_url, database.bot_url)
    yield database
    await server.drop(database)


@pytest.fixture
async def database(server: Server, template: Database) -> AsyncIterator[Database]:
    """A migrated database of the test's own."""
    database = await server.create(template=template.name)
    yield database
    await server.drop(database)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """An engine as the bot's role, which owns nothing."""
    engine = build_engine(database.bot_url, pool_size=5, max_overflow=0)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    """The way to a tenant's transaction, on the test's own database."""
    return Sessions(engine)


@pytest.fixture(scope="session")
def _shared_folder() -> Path | None:
    folder = Path(os.environ.get("RECOLLECT_SHARED") or Path(__file__).parents[2] / "shared")
    return folder if folder.is_dir() else None


@pytest.fixture
def shared(_shared_folder: Path | None, request: pytest.FixtureRequest) -> Path:
    """The folder of samples and contracts that lies beside the repository; a stranger's clone has none."""
    if _shared_folder is None:
        _without_shared.append(request.node.nodeid)
        pytest.skip("no shared folder")
    return _shared_folder


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped anything, the tests that lack the shared folder apart."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if skipped > len(_without_shared) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud what could not be tested here."""
    if _without_shared:
        terminalreporter.write_line(
            f"{len(_without_shared)} tests NOT RUN: they need the shared folder (RECOLLECT_SHARED), which isn't here"
        )
