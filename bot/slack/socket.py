"""One WebSocket of Socket Mode, from its opening to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import structlog
from aiohttp import WSMsgType

from bot.ending import end_tasks
from bot.slack.envelopes import Envelope, envelope_from

log = structlog.get_logger()

PING_INTERVAL_S = 3.0
UNANSWERED_LIMIT = 3
"""Pings without a sign of life after which the connection is taken for dead."""

_CLOSE_TIMEOUT_S = 1.0
_TALK = frozenset({WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG, WSMsgType.BINARY})


class Socket:
    """Hears envelopes until Slack, the network or we end it.

    `due` is set when another one should take its place: Slack is about to close it, or it `is_over` already. `why`
    says so in words. Whatever `on_envelope` is given, it must take at once.
    """

    def __init__(
        self, websocket: aiohttp.ClientWebSocketResponse, on_envelope: Callable[[Socket, Envelope], None]
    ) -> None:
        self._websocket = websocket
        self._on_envelope = on_envelope
        self._heard_at = time.monotonic()
        self._unanswered = 0
        self.greeted = asyncio.Event()
        self.due = asyncio.Event()
        self.is_over = False
        self.why = ""
        self._tasks = [
            asyncio.create_task(self._listen(), name="socket"),
            asyncio.create_task(self._ping(), name="socket.ping"),
        ]

    @classmethod
    async def open(
        cls, session: aiohttp.ClientSession, url: str, on_envelope: Callable[[Socket, Envelope], None]
    ) -> Socket:
        """Connect. Raises aiohttp.ClientError, OSError."""
        timeout = aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S)
        websocket = await session.ws_connect(url, autoping=False, timeout=timeout)
        return cls(websocket, on_envelope)

    @property
    def silent_s(self) -> float:
        """Seconds since Slack gave a sign of life."""
        return time.monotonic() - self._heard_at

    async def ready(self) -> None:
        """Wait for Slack's greeting. Raises OSError when the socket is over before that."""
        waits = [asyncio.create_task(event.wait()) for event in (self.greeted, self.due)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self.greeted.is_set():
            raise ConnectionResetError(self.why)

    async def send(self, text: str) -> bool:
        """Send text; False when the connection is over."""
        try:
            await self._websocket.send_str(text)
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def close(self) -> None:
        """End it, within two seconds whatever the other side does."""
        self._end("closed")
        await end_tasks(self._tasks)
        try:
            async with asyncio.timeout(2 * _CLOSE_TIMEOUT_S):
                await self._websocket.close()
        except (aiohttp.ClientError, OSError, TimeoutError):
            log.debug("socket.unclosed")

    async def _listen(self) -> None:
        try:
            while (message := await self._websocket.receive()).type in _TALK:
                self._heard_at, self._unanswered = time.monotonic(), 0
                if message.type is WSMsgType.PING:
                    await self._websocket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._take(message.data)
        except (aiohttp.ClientError, OSError) as error:
            self._end(f"the connection broke ({type(error).__name__})")
        else:
            self._end(f"Slack closed the connection ({message.type.name})")

    def _take(self, text: str) -> None:
        envelope = envelope_from(text)
        if envelope is None:
            log.warning("envelope.unreadable", characters=len(text))
        elif envelope.kind == "hello":
            self.greeted.set()
        elif envelope.kind == "disconnect":
            self._replace(f"Slack asked to reconnect ({envelope.reason[:40]})")
        else:
            self._on_envelope(self, envelope)

    async def _ping(self) -> None:
        """Ask for a sign of life. Pings are counted, not seconds: a process that was asleep has just not listened."""
        while self._unanswered < UNANSWERED_LIMIT:
            self._unanswered += 1
            try:
                async with asyncio.timeout(PING_INTERVAL_S):
                    await self._websocket.ping()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                log.debug("socket.unpinged", error=type(error).__name__)
            await asyncio.sleep(PING_INTERVAL_S)
        self._end(f"nothing was heard for {self.silent_s:.0f} s")

    def _end(self, why: str) -> None:
        self.is_over = True
        self._replace(why)

    def _replace(self, why: str) -> None:
        self.why = self.why or why
        self.due.set()
