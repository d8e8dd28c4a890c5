"""One server per run, one migrated template on it, one clone of that per test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, pool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.db import migrate
from bot.db.embedded import start_embedded
from bot.db.engine import Sessions, build_engine

TEAM = "T0TEST"
OTHER_TEAM = "T0OTHER"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
"""Which of the processes that share the tests this is; they may share a server too."""

BOT = f"recollect_test_bot_{WORKER}"
BOT_PASSWORD = "recollect"
NO_SHARED_FOLDER = "the shared folder isn't here"

_numbers = itertools.count()


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

    async def create(self, *, template: str | None = None) -> Database:
        """Make a database, empty or a clone. The name says which run and which worker it belongs to."""
        name = f"recollect_{WORKER}_{os.getpid()}_{next(_numbers)}"
        await execute(self.owner_url, f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.database(name)

    async def drop(self, database: Database) -> None:
        await execute(self.owner_url, f"DROP DATABASE {database.name} WITH (FORCE)")


def _render(url: URL) -> str:
    return url.render_as_string(hide_password=False)


async def execute(url: str, *statements: str) -> None:
    """Run statements outside any transaction."""
    engine = create_async_engine(url, poolclass=pool.NullPool, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
    finally:
        await engine.dispose()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server to make databases on: TEST_DATABASE_URL, a container (TEST_DATABASE=container), or one of our own."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield Server(url)
    elif os.environ.get("TEST_DATABASE") == "container":
        yield from _container(os.environ.get("TEST_DATABASE_IMAGE", "pgvector/pgvector:pg17"))
    else:
        yield from _embedded()


def _container(image: str) -> Iterator[Server]:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415  # slow to import, rarely wanted

    with PostgresContainer(image, driver="asyncpg") as container:
        yield Server(container.get_connection_url())


def _embedded() -> Iterator[Server]:
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
async def empty_database(server: Server) -> AsyncIterator[Database]:
    """A database of the test's own with nothing in it."""
    database = await server.create()
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
def shared() -> Path:
    """The folder of samples and contracts that lies beside the repository; a stranger's clone has none."""
    folder = Path(os.environ.get("RECOLLECT_SHARED") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(NO_SHARED_FOLDER)
    return folder


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Count aloud, last of all, the tests that lack the shared folder; any other skip fails the run."""
    if hasattr(session.config, "workerinput"):  # one process of several: the one that started it counts for all
        return (yield)
    reporter: pytest.TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    reasons = [report.longrepr[2] for report in reporter.stats.get("skipped", [])]
    unexplained = [reason for reason in reasons if NO_SHARED_FOLDER not in reason]
    if unexplained and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield
    for reason in unexplained:
        reporter.write_line(f"FAILED: nothing may be skipped here: {reason}", red=True)
    if len(reasons) > len(unexplained):
        count = len(reasons) - len(unexplained)
        reporter.write_line(f"NOT RUN: {count} tests that need the shared folder (RECOLLECT_SHARED)", yellow=True)
