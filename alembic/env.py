"""How Alembic runs here: on the connection that bot.db.migrate hands over, or by `alembic -x owner_url=…`."""

from __future__ import annotations

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, make_url, pool
from sqlalchemy.ext.asyncio import create_async_engine

from bot.db.models import Base


def _is_ours(thing: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:  # noqa: ARG001, FBT001
    """Leave out the vector indexes, which a job makes once a model's rows are many."""
    return not (kind == "index" and reflected and thing.dialect_options["postgresql"]["using"] == "hnsw")


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=_is_ours,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect_and_migrate() -> None:
    arguments = context.get_x_argument(as_dictionary=True)
    context.config.attributes["bot_role"] = make_url(arguments["bot_url"]).username
    engine = create_async_engine(arguments["owner_url"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    asyncio.run(_connect_and_migrate())
