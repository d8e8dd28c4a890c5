"""The database as the settings want it: the server that comes along or another, migrated, with its pool open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bot.config import Settings
from bot.db import migrate
from bot.db.embedded import default_home, start_embedded
from bot.db.engine import Sessions, build_engine
from bot.db.guard import close_engine


@dataclass(frozen=True, slots=True)
class Storage:
    """A migrated database."""

    sessions: Sessions
    owner_url: str
    bot_url: str


@dataclass(frozen=True, slots=True)
class Server:
    """A database by its two URLs: that of the role that migrates, and that of the bot, who owns nothing."""

    owner_url: str
    bot_url: str


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[Server]:
    """Start the embedded server, and keep it up, unless DATABASE_URL names another; nothing is connected or migrated.

    Raises InvalidSettings or DatabaseUnavailable when the embedded one doesn't start.
    """
    if settings.database_url is not None:
        yield Server(settings.database_owner_url or settings.database_url, settings.database_url)
        return
    server = start_embedded(settings.recollect_home or default_home())
    watching = asyncio.create_task(server.watch())
    try:
        yield Server(server.owner_url, server.bot_url)
    finally:
        watching.cancel()
        server.stop()


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[Storage]:
    """Start the embedded server unless DATABASE_URL names another, migrate, and open the pool.

    Raises InvalidSettings (extension, role, version) or DatabaseUnavailable, each saying what to do.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(settings))
        await migrate.upgrade(server.owner_url, server.bot_url)
        engine = build_engine(
            server.bot_url,
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_max_overflow,
            pool_timeout_s=settings.database_pool_timeout_s,
            pool_recycle_s=settings.database_pool_recycle_s,
            timeout_s=settings.database_timeout_s,
        )
        stack.push_async_callback(close_engine, engine)
        yield Storage(Sessions(engine), server.owner_url, server.bot_url)
