"""What a role meets in its database: read for `bot doctor`, never changed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from bot.errors import DatabaseUnavailable

_TIMEOUT_S = 10

_FACTS = text("""
    SELECT current_setting('server_version') AS server_version,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector_version,
           r.rolname AS role, r.rolsuper AS is_superuser, r.rolbypassrls AS bypasses_row_security,
           (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p')
               AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema') AS owned_tables,
           CASE WHEN to_regclass('workspaces') IS NOT NULL
                THEN has_table_privilege(r.oid, 'workspaces', 'INSERT') END AS may_write
      FROM pg_roles r WHERE r.rolname = current_user
""")


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The server's and pgvector's versions (None: not installed), and how much the connecting role may do.

    `may_write` is None while our tables aren't there.
    """

    server_version: str
    vector_version: str | None
    role: str
    is_superuser: bool
    bypasses_row_security: bool
    owned_tables: int
    may_write: bool | None


async def inspect(url: str) -> DatabaseFacts:
    """Return what a connection by this URL meets. Raises DatabaseUnavailable, a refusal included."""
    engine = create_async_engine(url, poolclass=pool.NullPool, connect_args={"timeout": _TIMEOUT_S})
    try:
        async with engine.connect() as connection:
            return DatabaseFacts(**(await connection.execute(_FACTS)).mappings().one())
    except (DBAPIError, OSError) as error:
        message = "The role in DATABASE_URL can't connect: check its password, and run: bot migrate up"
        raise DatabaseUnavailable(f"database: {type(error).__name__}", user_message=message) from error
    finally:
        await engine.dispose()
