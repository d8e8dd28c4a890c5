"""One WebSocket of the app, which can fall silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from bot.playground.state import Json

SILENCE_POLL_S = 0.1
FAREWELL_S = 1.0
ENDINGS = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})


@dataclass(eq=False, slots=True)
class Connection:
    """One open WebSocket; a `stalled` one stays open and neither sends nor hears anything, pings included."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    stalled: bool = False

    async def send(self, message: Json) -> None:
        """Send JSON, unless stalled: then nothing is sent, and nobody is told."""
        if not self.stalled:
            await self.socket.send_str(json.dumps(message))

    async def texts(self) -> AsyncIterator[str]:
        """Yield what the app sends until the connection is over, and answer its pings and its farewell."""
        while (message := await self.socket.receive()).type not in ENDINGS:
            if message.type is WSMsgType.PING and not self.stalled:
                await self.socket.pong(message.data)
            elif message.type is WSMsgType.TEXT and not self.stalled:
                yield message.data
        while self.stalled and self.transport is not None and not self.transport.is_closing():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(SILENCE_POLL_S)
        await self.socket.close(drain=False)

    def hang_up(self) -> None:
        """End it once everything is sent, without the farewell of a WebSocket."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Break it without a word."""
        if self.transport is not None:
            self.transport.abort()


async def accepted(request: web.Request) -> Connection:
    """Take a connection; pings and farewells are answered by hand, for a stalled one must not."""
    socket = web.WebSocketResponse(timeout=FAREWELL_S, autoping=False, autoclose=False)
    await socket.prepare(request)
    return Connection(socket, request.transport)
