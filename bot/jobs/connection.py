"""The queue's connections to PostgreSQL: procrastinate speaks psycopg, and must notice when nobody answers any more."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import psycopg
import structlog
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url
from typing_extensions import LiteralString

log = structlog.get_logger()

_RECONNECT_S = 1.0
_CONNECT_TIMEOUT_S = 5
_POOL_TIMEOUT_S = 5.0
_CLOSE_S = 0.5


def conninfo_from(url: str) -> str:
    """Return libpq's form of the bot's database address; names are looked up in the queue's schema too."""
    parts = make_url(url)
    query = {"sslmode" if name == "ssl" else name: value for name, value in parts.query.items()}
    given = {"host": parts.host, "port": parts.port, "user": parts.username, "password": parts.password} | query
    return make_conninfo(
        dbname=parts.database,
        connect_timeout=_CONNECT_TIMEOUT_S,
        options="-c search_path=public,procrastinate",
        application_name="recollect-queue",
        **{name: value for name, value in given.items() if value is not None},
    )


class QueueConnector(PsycopgConnector):
    """A connector that knows how long it has been waiting for an answer, and can be cut off."""

    def __init__(self, url: str, *, max_size: int = 8) -> None:
        self._open: WeakSet[psycopg.AsyncConnection[Any]] = WeakSet()
        self._calls: dict[object, float] = {}
        super().__init__(
            conninfo=conninfo_from(url),
            min_size=1,
            max_size=max_size,
            timeout=_POOL_TIMEOUT_S,
            reconnect_timeout=_POOL_TIMEOUT_S,
            configure=self._note,
        )

    async def _note(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._open.add(connection)

    def waiting_s(self) -> float:
        """Return for how many seconds the oldest unanswered statement has been under way; 0 when there is none."""
        return time.monotonic() - min(self._calls.values()) if self._calls else 0.0

    def sever(self) -> None:
        """Shut every socket down: whoever waits on one gets an error now, which a silent network would never bring."""
        for connection in list(self._open):
            if not connection.closed:
                with socket.socket(fileno=os.dup(connection.fileno())) as handle, suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)  # an OSError says that the other side was faster

    async def close_async(self) -> None:
        """Close for good, whoever waits for an answer or for a connection; within a second, or nearly."""
        self.sever()
        if self._async_pool is not None:
            await self._async_pool.close(timeout=_CLOSE_S)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        call = object()
        self._calls[call] = time.monotonic()
        try:
            yield
        finally:
            del self._calls[call]

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        with self._timed():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        with self._timed():
            return await super().execute_query_one_async(query, **arguments)

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        with self._timed():
            return await super().execute_query_all_async(query, **arguments)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled. A lost connection is opened again; until then polling brings the jobs."""
        names = list(channels)
        while True:
            with suppress(ConnectorException):
                await super().listen_notify(on_notification=on_notification, channels=names)
            await asyncio.sleep(_RECONNECT_S)
