"""A TCP proxy that misbehaves on request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

Target: TypeAlias = tuple[str, int] | Path
"""Where connections lead: a host and port, or a Unix socket."""

_CHUNK = 64 * 2**10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER, no time: closing sends RST


class Gate:
    """Lets bytes through in one direction, or holds them back."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def shut(self, *, shut: bool) -> None:
        (self._open.clear if shut else self._open.set)()

    async def passed(self) -> None:
        await self._open.wait()


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._abandoned = False

    async def carry(self, reader: asyncio.StreamReader) -> None:
        """Carry bytes both ways until a side closes, or forever when the server's side was cut off."""
        await self._proxy.requests.passed()
        try:
            replies, self._server = await self._proxy.dial()
        except OSError:
            self.reset()
            return
        there = asyncio.create_task(self._pump(reader, self._server, self._proxy.requests))
        back = asyncio.create_task(self._pump(replies, self._client, self._proxy.replies))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if self._abandoned:
                there.cancel()
                await asyncio.wait({there})  # one coroutine may read at a time
                await _discard(reader)
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            self.close()

    def abandon(self) -> None:
        """Close the server's side and tell the client nothing."""
        self._abandoned = True
        if self._server is not None:
            self._server.transport.abort()

    def reset(self) -> None:
        """Break both sides; the client sees its connection reset."""
        raw = self._client.get_extra_info("socket")
        if raw is not None and raw.fileno() >= 0:  # it isn't closed yet
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None:
                writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: Gate) -> None:
        with contextlib.suppress(ConnectionError):  # the other side is gone: that ends the link
            while data := await reader.read(_CHUNK):
                if self._proxy.latency_s:
                    await asyncio.sleep(self._proxy.latency_s)
                await gate.passed()
                writer.write(data)
                await writer.drain()


async def _discard(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(_CHUNK):
            pass


class FaultProxy:
    """Listens on a loopback port and forwards to `target`; each fault lasts until `heal`.

    `latency_s` delays every piece of data, each way.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], Link] = {}
        self.requests = Gate()
        self.replies = Gate()
        self.latency_s = 0.0
        self.port = 0

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    @property
    def connection_count(self) -> int:
        """How many connections it holds."""
        return len(self._links)

    def black_hole(self, *, requests: bool = True, replies: bool = True) -> None:
        """Hold everything back, silently; what was sent arrives after `heal`, as TCP would bring it.

        With `replies` alone what is asked is done, and nobody hears of it.
        """
        self.requests.shut(shut=requests)
        self.replies.shut(shut=replies)

    def half_open(self) -> None:
        """Let the server lose its end of every connection that is open; the clients aren't told. New ones work."""
        for link in self._links.values():
            link.abandon()

    def reset(self) -> None:
        """Reset every connection that is open; new ones work."""
        for link in list(self._links.values()):
            link.reset()

    async def down(self) -> None:
        """Refuse connections, and reset those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()
        links = list(self._links)
        for task in links:
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def heal(self) -> None:
        """Be an ordinary proxy again, on the same port."""
        self.latency_s = 0.0
        self.black_hole(requests=False, replies=False)
        if self._server is None:
            await self._listen()

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the target. Raises OSError."""
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        link = self._links[task] = Link(self, writer)
        try:
            await link.carry(reader)
        except asyncio.CancelledError:
            link.close()  # down() ends it; asyncio's server would log a cancelled callback as an error
        finally:
            del self._links[task]
