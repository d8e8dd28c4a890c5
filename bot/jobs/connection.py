"""The queue's connections to PostgreSQL: procrastinate speaks psycopg, and must notice when nobody answers any more."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString
from weakref import WeakSet

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url

_RECONNECT_S = 1.0
_LISTEN_S = 5.0
_CONNECT_TIMEOUT_S = 5
_POOL_TIMEOUT_S = 5.0
_CLOSE_S = 0.5


def conninfo_from(url: str) -> str:
    """Return libpq's form of the bot's database address; names are looked up in the queue's schema too."""
    parts = make_url(url)
    query = {"sslmode" if name == "ssl" else name: str(value) for name, value in parts.query.items()}
    where = {"host": parts.host, "port": parts.port, "user": parts.username, "password": parts.password}
    given = {name: str(value) for name, value in where.items() if value is not None} | query
    return make_conninfo(
        **given,
        dbname=parts.database,
        connect_timeout=_CONNECT_TIMEOUT_S,
        options="-c search_path=public,procrastinate",
        application_name="recollect-queue",
    )


class QueueConnector(PsycopgConnector):
    """A connector that knows how long it has been waiting for an answer, and can be cut off."""

    def __init__(self, url: str, *, max_size: int = 8) -> None:
        self._open: WeakSet[psycopg.AsyncConnection[Any]] = WeakSet()
        self._calls: dict[object, float] = {}
        self._conninfo = conninfo_from(url)
        super().__init__(
            conninfo=self._conninfo,
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
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
        return row

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        with self._timed():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
        return rows

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled. A lost connection is opened again; until then polling brings the jobs.

        procrastinate's own listening is cancelled in vain when a notification comes at that moment: before Python
        3.12, `asyncio.wait_for` then loses the cancellation.
        """
        names = list(channels)
        while True:
            with suppress(psycopg.Error):
                await self._listen(on_notification, names)
            await asyncio.sleep(_RECONNECT_S)

    async def _listen(self, on_notification: Notify, channels: Sequence[str]) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            await self._note(connection)
            for name in channels:
                await connection.execute(SQL("LISTEN {}").format(Identifier(name)))
            while True:
                async for notification in connection.notifies(timeout=_LISTEN_S):
                    await on_notification(channel=notification.channel, payload=notification.payload)
                with self._timed():
                    await connection.execute("SELECT 1")
