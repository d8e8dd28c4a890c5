"""Keeps a server that no longer answers from holding anybody up: every wait for it ends, and what hung is thrown away.

A server that is gone says so; one behind a dead network, or stopped, says nothing at all. asyncpg's own ways out (a
request to cancel, a rollback, a goodbye) then wait as well, so a connection that hung is dropped without them.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import asyncpg
import structlog
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.errors import DatabaseUnavailable

log = structlog.get_logger()

PING_TIMEOUT_S = 3.0
"""A connection that doesn't answer within this is replaced before anybody gets it."""

_GOODBYE_S = 3.0

_opened: WeakKeyDictionary[AsyncEngine, WeakSet[Any]] = WeakKeyDictionary()


def server_settings(timeout_s: float) -> dict[str, str]:
    """Return what a connection asks of the server, so that one whose client is gone doesn't keep its locks.

    `timeout_s` bounds a statement. The rest is the server's patience: with a client that stopped in the middle of a
    transaction (ours never wait for anything but the database), and with a network that carries nothing.
    """
    return {
        "statement_timeout": f"{timeout_s * 1000:.0f}",
        "idle_in_transaction_session_timeout": "10000",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


def guard(engine: AsyncEngine, *, ping_timeout_s: float = PING_TIMEOUT_S) -> None:
    """Look after the connections of an engine that was made with a `command_timeout`."""
    opened = _opened[engine] = WeakSet()
    event.listen(engine.sync_engine, "connect", lambda connection, _: opened.add(connection.driver_connection))
    event.listen(
        engine.sync_engine,
        "checkout",
        lambda connection, *_: connection.run_async(partial(_ping, timeout_s=ping_timeout_s)),
    )
    event.listen(engine.sync_engine, "handle_error", _drop_what_hung)


async def close_engine(engine: AsyncEngine) -> None:
    """Close an engine's connections, all at once; those that can't take leave within three seconds are dropped."""
    opened = [connection for connection in _opened.get(engine, ()) if not connection.is_closed()]
    farewells = await asyncio.gather(*(one.close(timeout=_GOODBYE_S) for one in opened), return_exceptions=True)
    if lost := sum(farewell is not None for farewell in farewells):
        log.warning("database.silent", connections=lost)
    await engine.dispose()


async def _ping(connection: Any, *, timeout_s: float) -> None:
    """Ask a pooled connection for a sign of life. Raises InvalidatePoolError: then the whole pool is made anew."""
    try:
        await connection.execute("SELECT 1", timeout=timeout_s)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # a TimeoutError is an OSError; the last is what a connection says that was ended in the middle of a word
        _drop(connection)
        raise InvalidatePoolError from error
    except asyncio.CancelledError:
        _drop(connection)
        raise


def _drop_what_hung(context: ExceptionContext) -> None:
    """Drop the connection whose statement timed out or was cancelled: it may never be heard of again."""
    error = context.original_exception
    if not isinstance(error, TimeoutError | asyncio.CancelledError):
        return
    if context.connection is not None and not context.connection.invalidated:
        _drop(context.connection.connection.driver_connection)
    context.is_disconnect = True
    if isinstance(error, TimeoutError):
        raise DatabaseUnavailable("database: no answer in time") from error


def _drop(connection: Any) -> None:
    """Close the socket, without a word to the server."""
    if connection is not None and not connection.is_closed():
        connection.terminate()
