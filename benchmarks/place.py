"""A database of the benchmarks' own: embedded, with fsync on, migrated, gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db import migrate
from bot.db.embedded import start_embedded
from bot.db.engine import Sessions, build_engine

TEAM = "T0BENCH"


@dataclass(frozen=True, slots=True)
class Place:
    """A migrated database: the bot's engine and sessions, and the address of the role that owns the tables."""

    engine: AsyncEngine
    sessions: Sessions
    owner_url: str

    async def connect_as_owner(self) -> asyncpg.Connection:
        """Return a bare connection that row-level security doesn't hold back."""
        return await _connect(self.owner_url)

    async def connect_as_bot(self) -> asyncpg.Connection:
        """Return a bare connection of the bot's role, without its codecs."""
        return await _connect(self.engine.url.render_as_string(hide_password=False))


async def _connect(address: str) -> asyncpg.Connection:
    url = make_url(address).set(drivername="postgresql")
    query = {"sslmode" if key == "ssl" else key: value for key, value in url.query.items()}  # asyncpg's own spelling
    return await asyncpg.connect(url.set(query=query).render_as_string(hide_password=False))


def shared_folder() -> Path:
    """Return the folder beside the repository, which holds data for measurement; it needn't be there."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    return Path(os.environ.get("RECOLLECT_SHARED", beside))  # noqa: TID251  # no setting of the bot's


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Make a directory that the server's account can enter, and remove it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="recollect-bench-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def open_place() -> AsyncIterator[Place]:
    """Start a server as production does, and migrate it."""
    with temporary_home() as home:
        server = start_embedded(home)
        try:
            await migrate.upgrade(server.owner_url, server.bot_url)
            engine = build_engine(server.bot_url)
            yield Place(engine, Sessions(engine), server.owner_url)
            await engine.dispose()
        finally:
            server.stop()
