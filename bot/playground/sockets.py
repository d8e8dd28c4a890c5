"""Socket Mode: the app's WebSocket connections, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import web

from bot.playground.connection import Connection, accepted
from bot.playground.delivery import ACK_TIMEOUT_S, NotAcknowledged
from bot.playground.state import Json, Store

MAX_CONNECTIONS = 10


@dataclass(slots=True)
class Sockets:
    """The open connections, and the envelopes that wait for their acknowledgement.

    An event goes to any one of them, in turn; `copies` of it go out, each under its own envelope_id. Without a
    connection it waits `ack_timeout_s` for one. While `down` nobody gets a connection and nothing is sent, so that
    events are lost once Slack's tries are over. While `disabled`, Socket Mode is switched off in the app's settings.
    """

    _store: Store
    _on_change: Callable[[int], None]
    ack_timeout_s: float = ACK_TIMEOUT_S
    copies: int = 1
    down: bool = False
    disabled: bool = False
    connected_total: int = 0
    _tickets: set[str] = field(default_factory=set)
    _open: list[Connection] = field(default_factory=list)
    _waiting: dict[str, asyncio.Future[Json | None]] = field(default_factory=dict)
    _turn: int = 0
    _connected: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def connection_count(self) -> int:
        """How many connections the app holds, as far as Slack knows."""
        return len(self._open)

    @property
    def live_count(self) -> int:
        """How many of them something flows through."""
        return sum(not connection.stalled for connection in self._open)

    def new_ticket(self) -> str:
        """Return a secret that opens one connection, once."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Hold one connection of the app until either side closes it."""
        if self.down:
            return web.Response(status=503, text="service_unavailable")
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403, text="invalid_ticket")
        self._tickets.discard(ticket)
        connection = await accepted(request)
        if len(self._open) >= MAX_CONNECTIONS:
            await connection.send(self._disconnect("too_many_websockets"))
            await connection.socket.close()
            return connection.socket
        await self._welcome(connection)
        try:
            await self._listen(connection)
        finally:
            self._drop(connection)
        return connection.socket

    async def wait_connected(self, *, timeout_s: float = 10.0, count: int = 1) -> None:
        """Return as soon as the app holds so many live connections; raises NotAcknowledged when it doesn't."""
        try:
            async with asyncio.timeout(timeout_s), self._connected:
                await self._connected.wait_for(lambda: self.live_count >= count)
        except TimeoutError as error:
            raise NotAcknowledged("connection_failed") from error

    async def deliver(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Json | None:
        """Send one envelope, or as many copies as are asked for, and return the first acknowledgement's payload."""
        await self._wait_open()
        answer: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        sent: list[str] = []
        try:
            async with asyncio.timeout(self.ack_timeout_s):
                for _ in range(self.copies if kind == "events_api" else 1):
                    envelope = _envelope(kind, payload, attempt=attempt, reason=reason)
                    sent.append(envelope["envelope_id"])
                    self._waiting[sent[-1]] = answer
                    await self._next().send(envelope)
                return await answer
        except TimeoutError as error:
            raise NotAcknowledged("timeout") from error
        except ConnectionError as error:
            raise NotAcknowledged("connection_failed") from error
        finally:
            for envelope_id in sent:
                self._waiting.pop(envelope_id, None)

    async def refresh(self, *, reason: str = "refresh_requested") -> None:
        """Ask the app to reconnect, as Slack does every few hours; a mere "warning" closes nothing."""
        for connection in list(self._open):
            if reason != "warning":
                self._drop(connection)
            await connection.send(self._disconnect(reason))

    async def disable(self) -> None:
        """Switch Socket Mode off in the app's settings: every link is disabled, and there are no new ones."""
        self.disabled = True
        connections = list(self._open)
        await self.refresh(reason="link_disabled")
        for connection in connections:
            connection.hang_up()

    async def close(self) -> None:
        """Close every connection properly, as Slack does before it restarts a server."""
        connections, self._open[:] = list(self._open), []
        self._on_change(0)
        await asyncio.gather(*(connection.socket.close() for connection in connections))

    async def cut(self) -> None:
        """Break every connection without a word."""
        for connection in list(self._open):
            self._drop(connection)
            connection.abort()

    def stall(self) -> int:
        """Let every connection fall silent, though it stays open; returns how many. New ones work."""
        silent = [connection for connection in self._open if not connection.stalled]
        for connection in silent:
            connection.stalled = True
        return len(silent)

    def forget_stalled(self) -> None:
        """Send nothing more into connections that fell silent, as Slack does once it notices."""
        for connection in [c for c in self._open if c.stalled]:
            self._drop(connection)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Have no Socket Mode for the length of the block. What happens meanwhile is lost once the tries are over."""
        self.down = True
        await self.cut()
        try:
            yield
        finally:
            self.down = False

    async def _wait_open(self) -> None:
        if self.down:
            raise NotAcknowledged("connection_failed")
        if not self._open:
            await self.wait_connected(timeout_s=self.ack_timeout_s)

    async def _welcome(self, connection: Connection) -> None:
        self._open.append(connection)
        self.connected_total += 1
        await connection.send(
            {
                "type": "hello",
                "num_connections": len(self._open),
                "debug_info": self._debug_info(),
                "connection_info": {"app_id": self._store.app_id},
            }
        )
        self._on_change(len(self._open))
        async with self._connected:
            self._connected.notify_all()

    async def _listen(self, connection: Connection) -> None:
        async for text in connection.texts():
            answer = _acknowledgement(text)
            waiting = self._waiting.get(str(answer.get("envelope_id")))
            if waiting is not None and not waiting.done():
                waiting.set_result(answer.get("payload"))

    def _next(self) -> Connection:
        if not self._open:
            raise ConnectionResetError("the app's last connection just closed")
        self._turn += 1
        return self._open[self._turn % len(self._open)]

    def _drop(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            self._on_change(len(self._open))

    def _disconnect(self, reason: str) -> Json:
        return {"type": "disconnect", "reason": reason, "debug_info": self._debug_info()}

    def _debug_info(self) -> Json:
        return {"host": "playground", "build_number": 1, "approximate_connection_time": 18_060}


def _envelope(kind: str, payload: Json, *, attempt: int, reason: str) -> Json:
    envelope: Json = {
        "envelope_id": str(uuid4()),
        "type": kind,
        "payload": payload,
        "accepts_response_payload": kind != "events_api",
    }
    return envelope | ({"retry_attempt": attempt, "retry_reason": reason} if kind == "events_api" else {})


def _acknowledgement(text: str) -> Json:
    """Read what the app sent; {} for what is no JSON object."""
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
