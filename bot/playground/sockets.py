"""Socket Mode: the app opens a WebSocket, and everything comes to it in envelopes."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from uuid import uuid4

from aiohttp import WSMsgType, web

from bot.playground.delivery import ACK_TIMEOUT_S, NotAcknowledged
from bot.playground.state import Json, Store

MAX_CONNECTIONS = 10


class Sockets:
    """The open connections, and the envelopes that wait for their acknowledgement.

    An event goes to any one of them, in turn. Without a connection it waits `ack_timeout_s` for one.
    """

    def __init__(self, store: Store, *, on_change: Callable[[int], None]) -> None:
        self._store = store
        self._on_change = on_change
        self._tickets: set[str] = set()
        self._open: list[web.WebSocketResponse] = []
        self._waiting: dict[str, asyncio.Future[Json | None]] = {}
        self._turn = 0
        self._connected = asyncio.Condition()
        self.ack_timeout_s = ACK_TIMEOUT_S

    @property
    def connection_count(self) -> int:
        """How many connections the app holds."""
        return len(self._open)

    def new_ticket(self) -> str:
        """Return a secret that opens one connection, once."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Hold one connection of the app until either side closes it."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403, text="invalid_ticket")
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if len(self._open) >= MAX_CONNECTIONS:
            await socket.send_json(
                {"type": "disconnect", "reason": "too_many_websockets", "debug_info": self._debug_info()}
            )
            await socket.close()
            return socket
        await self._welcome(socket)
        try:
            await self._listen(socket)
        finally:
            self._drop(socket)
        return socket

    async def wait_connected(self, *, timeout_s: float = 10.0) -> None:
        """Return as soon as the app is connected; raises NotAcknowledged when it doesn't come."""
        try:
            async with asyncio.timeout(timeout_s), self._connected:
                await self._connected.wait_for(lambda: self._open)
        except TimeoutError as error:
            raise NotAcknowledged("connection_failed") from error

    async def deliver(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Json | None:
        """Send one envelope and return the payload of its acknowledgement."""
        await self.wait_connected(timeout_s=self.ack_timeout_s)
        envelope: Json = {
            "envelope_id": str(uuid4()),
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        answer: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        self._waiting[envelope["envelope_id"]] = answer
        try:
            async with asyncio.timeout(self.ack_timeout_s):
                await self._next_socket().send_str(json.dumps(envelope))
                return await answer
        except TimeoutError as error:
            raise NotAcknowledged("timeout") from error
        except ConnectionError as error:
            raise NotAcknowledged("connection_failed") from error
        finally:
            self._waiting.pop(envelope["envelope_id"], None)

    async def refresh(self, *, reason: str = "refresh_requested") -> None:
        """Ask the app to reconnect, as Slack does every few hours; a mere "warning" closes nothing."""
        for socket in list(self._open):
            self._drop(socket)
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": self._debug_info()})
            if reason == "warning":
                self._open.append(socket)

    async def cut(self) -> None:
        """Close every connection without a word."""
        for socket in list(self._open):
            self._drop(socket)
            await socket.close()

    async def _welcome(self, socket: web.WebSocketResponse) -> None:
        self._open.append(socket)
        await socket.send_json(
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

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            answer = _acknowledgement(message.data)
            waiting = self._waiting.get(str(answer.get("envelope_id")))
            if waiting is not None and not waiting.done():
                waiting.set_result(answer.get("payload"))

    def _next_socket(self) -> web.WebSocketResponse:
        if not self._open:
            raise ConnectionResetError("the app's last connection just closed")
        self._turn += 1
        return self._open[self._turn % len(self._open)]

    def _drop(self, socket: web.WebSocketResponse) -> None:
        if socket in self._open:
            self._open.remove(socket)
            self._on_change(len(self._open))

    def _debug_info(self) -> Json:
        return {"host": "playground", "build_number": 1, "approximate_connection_time": 18_060}


def _acknowledgement(text: str) -> Json:
    """Read what the app sent; {} for what is no JSON object."""
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
