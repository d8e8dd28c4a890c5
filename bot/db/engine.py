"""The engine, its pool, and the one way to a session: a transaction under a tenant's scope."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bot.db.types import register_codecs
from bot.errors import DatabaseUnavailable, InvalidSettings

_VECTOR_SCHEMA = """
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""


def build_engine(
    url: str, *, pool_size: int = 20, max_overflow: int = 10, pool_timeout_s: float = 30, pool_recycle_s: float = 1800
) -> AsyncEngine:
    """Return an engine whose connections speak binary vectors; nothing is connected yet.

    Custom plans only: a generic plan ignores how many channels a search may read.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout_s,
        pool_recycle=int(pool_recycle_s),
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text goes into the log; what people wrote does not
        connect_args={"timeout": 10, "server_settings": {"plan_cache_mode": "force_custom_plan", "jit": "off"}},
    )
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.run_async(_prepare))
    return engine


async def _prepare(connection: Any) -> None:
    schema = await connection.fetchval(_VECTOR_SCHEMA)
    if schema is None:
        message = (
            "The database has no pgvector. Run `bot migrate up`, or ask an administrator for: CREATE EXTENSION vector"
        )
        raise InvalidSettings("extension vector is missing", user_message=message)
    await register_codecs(connection, schema)


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
                await session.execute(text("SELECT set_config('app.team', :team, true)"), {"team": team_id})
                yield session
        except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
            raise DatabaseUnavailable(f"database: {type(error).__name__}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseUnavailable(f"database: {type(error).__name__}") from error
            raise


async def copy_rows(
    session: AsyncSession, table: str, columns: Sequence[str], records: Iterable[tuple[Any, ...]]
) -> None:
    """COPY records into a table inside the session's transaction. Vectors go as packed bytes (bot.db.types)."""
    await session.execute(text("SELECT 1"))  # COPY as a session's first act would stand outside its transaction
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    if driver is None:
        raise DatabaseUnavailable("the connection is closed")
    await driver.copy_records_to_table(table, records=records, columns=columns)
