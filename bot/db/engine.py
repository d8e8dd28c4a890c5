"""The engine, its pool, and the one way to a session: a transaction under a tenant's scope."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bot.db.guard import PING_TIMEOUT_S, guard, server_settings
from bot.db.types import register_codecs
from bot.errors import DatabaseUnavailable, InvalidSettings

_VECTOR_SCHEMA = """
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""

_QUEUE_SCHEMA = "procrastinate"

_REACH_SCHEMAS = f"""
    SELECT set_config('search_path', array_to_string(array_remove(array[
        nullif(current_setting('search_path'), ''),
        CASE WHEN $1 <> ALL (current_schemas(true)) THEN quote_ident($1) END,
        '{_QUEUE_SCHEMA}'], NULL), ', '), false)
"""

_OUTAGES = ("08", "25P03", "53", "57")
"""SQLSTATEs that pass: connection lost, cut for idling in a transaction, no resources (connections, memory, disk),
timed out, starting up or shutting down."""

_CONNECT_TIMEOUT_S = 5.0
_PLANS = {"plan_cache_mode": "force_custom_plan", "jit": "off"}
"""Custom plans only: a generic plan ignores how many channels a search may read."""


def build_engine(
    url: str,
    *,
    pool_size: int = 20,
    max_overflow: int = 10,
    pool_timeout_s: float = 30,
    pool_recycle_s: float = 1800,
    timeout_s: float = 30,
) -> AsyncEngine:
    """Return an engine whose connections speak binary vectors; nothing is connected yet.

    A statement that takes longer than `timeout_s` ends with its connection. Close it by `guard.close_engine`.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout_s,
        pool_recycle=int(pool_recycle_s),
        connect_args={
            "timeout": min(_CONNECT_TIMEOUT_S, timeout_s),
            "command_timeout": timeout_s,
            "server_settings": {**_PLANS, **server_settings(timeout_s)},
        },
    )
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.run_async(_prepare))
    guard(engine, ping_timeout_s=min(PING_TIMEOUT_S, timeout_s))
    return engine


async def _prepare(connection: Any) -> None:
    schema = await connection.fetchval(_VECTOR_SCHEMA)
    if schema is None:
        message = (
            "The database has no pgvector. Run `bot migrate up`, or ask an administrator for: CREATE EXTENSION vector"
        )
        raise InvalidSettings("extension vector is missing", user_message=message)
    await register_codecs(connection, schema)
    await connection.execute(_REACH_SCHEMAS, schema)


Session = AsyncSession
"""What `Sessions.tenant` hands out, by a name of ours: who only passes it on needs to know no more of it."""


class Sessions:
    """Hands out sessions; `tenant` is the unit of work, and nothing else opens one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._make = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def tenant(self, team_id: str) -> AsyncIterator[AsyncSession]:
        """Open a transaction that sees this workspace's rows alone; commit at the end, roll back on error.

        Raises DatabaseUnavailable when PostgreSQL can't be reached or goes away; nothing is stored then,
        unless it went away during the commit itself.
        """
        try:
            async with self._make.begin() as session:
                await self._enter(session, team_id)
                yield session
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise DatabaseUnavailable(f"database: {type(error).__name__}") from error
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None) or ""
            if error.connection_invalidated or state.startswith(_OUTAGES):
                raise DatabaseUnavailable(f"database: {type(error).__name__} {state}") from error
            raise

    @staticmethod
    async def _enter(session: AsyncSession, team_id: str) -> None:
        try:
            await session.execute(text("SELECT set_config('app.team', :team, true)"), {"team": team_id})
        except (OSError, InvalidRequestError) as error:  # nobody listens, or new connections die at once as well;
            # inside the block an OSError would be the caller's own
            raise DatabaseUnavailable(f"database: {type(error).__name__}") from error
