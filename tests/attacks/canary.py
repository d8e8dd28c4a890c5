"""Listeners that nobody may reach, and a folder that nobody may change."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from tests.attacks.hostile import Traps


class Canary(asyncio.DatagramProtocol):
    """Counts whoever reaches it: by TCP, UDP, a unix socket or a signal; knows what was written beside the parser."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"canary-{secrets.token_hex(8)}"
        self.homes = folder / "homes"
        self.outside = folder / "outside"
        self.connections: list[str] = []
        self.signals = 0
        self.traps = Traps(0, self.outside, self.mark)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection, and what it says first."""
        self.connections.append(repr(writer.get_extra_info("peername")))
        writer.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.connections.append(f"UDP {addr!r}")

    def signalled(self) -> None:
        self.signals += 1

    def prepare(self) -> None:
        """Make the folders anew, as they must be found again."""
        for folder in (self.homes, self.outside):
            folder.mkdir(exist_ok=True)
        self.traps.kept.write_text(self.mark)

    def written(self) -> list[str]:
        """Return what isn't as it was prepared, and mend it."""
        found = [str(path) for path in self.outside.iterdir() if path.name not in {"kept", "socket"}]
        found += [str(path) for path in self.homes.iterdir()]
        found += [str(path) for path in self.homes.parent.iterdir() if path not in {self.homes, self.outside}]
        if not self.traps.kept.exists() or self.traps.kept.read_text() != self.mark:
            found.append("the secret")
        for path in self.outside.iterdir():
            if path.name != "socket":
                path.unlink()
        self.prepare()
        return found

    def left(self) -> list[int]:
        """Return processes that a child left behind, and end them: they carry the mark in their command."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            command = process.info["cmdline"] or []
            if process.info["status"] != psutil.STATUS_ZOMBIE and any(self.mark in word for word in command):
                found.append(process.pid)
                process.kill()
        return found


@asynccontextmanager
async def canary() -> AsyncIterator[Canary]:
    """Listen on the loopback, and let parsers' folders be made beside the one that is watched."""
    loop, before = asyncio.get_running_loop(), tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="recollect-t10-") as folder:
        watched = Canary(Path(folder))
        watched.prepare()
        tcp = await asyncio.start_server(watched.answer, "127.0.0.1", 0)
        port = tcp.sockets[0].getsockname()[1]
        udp, _ = await loop.create_datagram_endpoint(lambda: watched, local_addr=("127.0.0.1", port))
        unix = await asyncio.start_unix_server(watched.answer, watched.outside / "socket")
        watched.traps = Traps(port, watched.outside, watched.mark)
        loop.add_signal_handler(signal.SIGUSR1, watched.signalled)
        tempfile.tempdir = os.fspath(watched.homes)
        try:
            yield watched
        finally:
            tempfile.tempdir = before
            loop.remove_signal_handler(signal.SIGUSR1)
            udp.close()
            tcp.close()
            unix.close()
