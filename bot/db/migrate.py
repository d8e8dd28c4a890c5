"""Brings a database to a revision of the schema. Safe when several processes start together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bot.db.requirements import (
    ensure_extension,
    ensure_role,
    require_creation,
    require_rights,
    require_server,
    sqlstate,
)
from bot.errors import DatabaseUnavailable, InvalidSettings

log = structlog.get_logger()

_LOCK = 0x5265636F6C6C  # "Recoll"
_LOOK_S = 0.1
_CONNECT_TIMEOUT_S = 10
_WRONG_URL = {"28000", "28P01", "3D000"}  # no such role, wrong password, no such database
_UNAVAILABLE = ("08", "53", "57P")  # connection lost, no resources, starting up or shutting down


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands: its revision (None: nothing there), the newest we know, and what lies between.

    `pending` is in the order in which an upgrade takes them. `is_newer`: a release after ours made `current`.
    """

    current: str | None
    head: str
    pending: list[str]
    is_newer: bool = False


async def upgrade(owner_url: str, bot_url: str, revision: str = "head") -> None:
    """Migrate up to `revision`. Makes extension and role when they are missing and the owner may make them.

    A revision that only a newer release knows is left as it is: while a deploy rolls, both run on its tables.

    Raises InvalidSettings when an administrator must do something first, and says what; DatabaseUnavailable. Each
    revision is one transaction: a failure leaves the one before it.
    """
    bot = make_url(bot_url)
    async with locked(owner_url) as connection:
        await require_server(connection)
        schema = await ensure_extension(connection)
        stand = await _status(connection)
        if stand.is_newer:
            log.warning("schema.newer", current=stand.current, known=stand.head)
        if stand.pending:
            await require_creation(connection)
            await ensure_role(connection, bot, vector_schema=schema)
            await _alembic(connection, lambda config: command.upgrade(config, revision), bot_role=bot.username)
        await require_rights(connection, bot)


async def downgrade(owner_url: str, revision: str = "base") -> None:
    """Migrate down to `revision`; `base` leaves no table of ours. Extension and role stay: they may serve others.

    Raises InvalidSettings when a newer release made the tables: only that one knows how to take them away.
    """
    async with locked(owner_url) as connection:
        await ensure_extension(connection)
        stand = await _status(connection)
        if stand.is_newer:
            raise InvalidSettings(
                f"unknown revision {stand.current}",
                user_message=f"The database is at revision {stand.current}, which a newer release made. Bring it down "
                "with that release.",
            )
        await _alembic(connection, lambda config: command.downgrade(config, revision), bot_role=None)
        if revision == "base":
            await connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
            await connection.commit()


async def status(owner_url: str) -> SchemaStatus:
    """Return where the database stands. Reads only."""
    async with _connected(owner_url) as connection:
        return await _status(connection)


async def _status(connection: AsyncConnection) -> SchemaStatus:
    current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    await connection.rollback()
    known = scripts()
    head = known.get_current_head() or ""
    if current is not None and current not in {script.revision for script in known.walk_revisions()}:
        return SchemaStatus(current=current, head=head, pending=[], is_newer=True)
    pending = [script.revision for script in known.iterate_revisions(head, current or "base")]
    return SchemaStatus(current=current, head=head, pending=pending[::-1])


def scripts() -> ScriptDirectory:
    """Return the revisions this release knows."""
    return ScriptDirectory.from_config(_config())


async def _alembic(connection: AsyncConnection, act: Callable[[Config], None], *, bot_role: str | None) -> None:
    def run(sync: Connection) -> None:
        act(_config(connection=sync, bot_role=bot_role))

    await connection.run_sync(run)


def _config(**attributes: Any) -> Config:
    """Return Alembic's settings: the scripts lie beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parents[1]
    installed = package / "_alembic"
    config = Config()
    config.set_main_option("script_location", str(installed if installed.exists() else package.parent / "alembic"))
    config.attributes.update(attributes)
    return config


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url, poolclass=pool.NullPool, connect_args={"timeout": _CONNECT_TIMEOUT_S})
    try:
        async with engine.connect() as connection:
            yield connection
    except OSError as error:  # TimeoutError is one
        raise DatabaseUnavailable(f"database: {type(error).__name__}") from error
    except DBAPIError as error:
        if sqlstate(error) in _WRONG_URL:
            raise InvalidSettings(
                f"PostgreSQL refuses the connection: {sqlstate(error)}",
                user_message="PostgreSQL answers, and refuses: check user, password and database name of DATABASE_URL "
                "(and DATABASE_OWNER_URL, when it is set).",
            ) from error
        if error.connection_invalidated or str(sqlstate(error)).startswith(_UNAVAILABLE):
            raise DatabaseUnavailable(f"database: {sqlstate(error)}") from error
        raise
    finally:
        await engine.dispose()


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[AsyncConnection]:
    """Connect and hold the migrations' lock. Tried again and again: a statement that waits would block index builds."""
    async with _connected(url) as connection:
        while not await connection.scalar(text(f"SELECT pg_try_advisory_lock({_LOCK})")):
            await connection.rollback()
            await asyncio.sleep(_LOOK_S)
        await connection.rollback()
        yield connection
