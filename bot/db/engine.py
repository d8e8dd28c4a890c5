"""The engine, its pool, and the two ways to a session: a transaction for the bot's own work, or for an audience's eyes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import TextClause, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bot.db.guard import PING_TIMEOUT_S, guard, server_settings
from bot.db.types import register_codecs
from bot.errors import DatabaseUnavailable, InvalidSettings, WorkspaceGone
from bot.values import Audience

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


_AS_THE_BOT = text("SELECT enter_workspace(:team, 'workspace')")

_AS_THE_PURGE = text("SELECT set_config('app.team', :team, true) = :team, set_config('app.scope', 'workspace', true)")

_AS_AN_AUDIENCE = text("""
    SELECT enter_workspace(:team, 'audience'),
           set_config('app.channels', CAST(CAST(:channels AS text[]) AS text), true),
           set_config('transaction_read_only', 'on', true)
""")
"""What the policies look at (bot/db/protection.py), until the transaction ends. PostgreSQL itself quotes the channels.

The first column of each says whether the workspace lets us in: `enter_workspace` (revision 0008).
"""

Session = AsyncSession
"""What `Sessions` hands out, by a name of ours: who only passes it on needs to know no more of it."""


class Sessions:
    """Hands out sessions; `tenant` and `reading` are the units of work, and nothing else opens one.

    Both raise WorkspaceGone when the workspace was uninstalled: then nothing of it may be read or written any more; what
    is in a transaction by then ends before anything is purged. They raise DatabaseUnavailable when PostgreSQL can't be
    reached or goes away; nothing is stored then, unless it went away during the commit itself.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._make = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def tenant(self, team_id: str) -> AsyncIterator[AsyncSession]:
        """Open a transaction of the bot's own, in which it sees and writes all of this workspace, and nothing else.

        Commits at the end, rolls back on error.
        """
        async with self._transaction(_AS_THE_BOT, {"team": team_id}) as session:
            yield session

    @asynccontextmanager
    async def reading(self, audience: Audience) -> AsyncIterator[AsyncSession]:
        """Open a transaction that sees what this audience may read, whatever is asked in it, and can't write."""
        scope = {"team": audience.team_id, "channels": sorted(audience.channel_ids)}
        async with self._transaction(_AS_AN_AUDIENCE, scope) as session:
            yield session

    @asynccontextmanager
    async def purging(self, team_id: str) -> AsyncIterator[AsyncSession]:
        """Open a transaction of the bot's own in a workspace, though it was uninstalled: for its purge alone."""
        async with self._transaction(_AS_THE_PURGE, {"team": team_id}) as session:
            yield session

    @asynccontextmanager
    async def _transaction(self, scope: TextClause, values: Mapping[str, Any]) -> AsyncIterator[AsyncSession]:
        try:
            async with self._make.begin() as session:
                await self._enter(session, scope, values)
                yield session
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise DatabaseUnavailable(f"database: {type(error).__name__}") from error
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None) or ""
            if error.connection_invalidated or state.startswith(_OUTAGES):
                raise DatabaseUnavailable(f"database: {type(error).__name__} {state}") from error
            raise

    @staticmethod
    async def _enter(session: AsyncSession, scope: TextClause, values: Mapping[str, Any]) -> None:
        try:
            is_open: bool = (await session.execute(scope, values)).one()[0]
        except (OSError, InvalidRequestError) as error:  # nobody listens, or new connections die at once as well;
            # inside the block an OSError would be the caller's own
            raise DatabaseUnavailable(f"database: {type(error).__name__}") from error
        if not is_open:
            raise WorkspaceGone(f"{values['team']} was uninstalled")
