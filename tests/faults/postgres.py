"""A PostgreSQL of the suite's own: durable, killed and restarted at will, and looked into past all proxies."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

from bot.db.embedded import BOT, DATABASE, OWNER, EmbeddedServer, start_embedded

_RESTART_TIMEOUT_S = 60
_SEARCH_PATH = {"search_path": "public, procrastinate"}
"""Our tables' schema, and the queue's."""


class Postgres:
    """The bundled server on a home that is removed afterwards; it writes to disk as a real one does.

    Without that a restart might lose what was committed, and the bot would be blamed. Start it on the main thread.
    """

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="recollect-faults-"))
        self._home.chmod(0o755)  # the server may run as somebody else
        self._server: EmbeddedServer | None = None
        self._watching: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        self._server = start_embedded(self._home)
        self._watching = asyncio.create_task(self._server.watch(interval_s=0.05))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.terminate()
        if self._watching is not None:
            self._watching.cancel()
        if self._server is not None:
            self._server.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def socket(self) -> Path:
        """Where it listens: what a proxy forwards to."""
        assert self._server is not None
        return self._server.socket_dir / ".s.PGSQL.5432"

    @staticmethod
    def url(port: int, *, owner: bool = False) -> str:
        """Return the database's URL as seen through a proxy on this port of the loopback."""
        return f"postgresql://{OWNER if owner else BOT}@127.0.0.1:{port}/{DATABASE}?sslmode=disable"

    async def fetch(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        """Run a statement as the owner, past row-level security and proxies; waits for a server that restarts."""
        deadline = time.monotonic() + _RESTART_TIMEOUT_S
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    where = str(self.socket.parent)
                    self._connection = await asyncpg.connect(
                        host=where, port=5432, user=OWNER, database=DATABASE, server_settings=_SEARCH_PATH
                    )
                return [dict(row) for row in await self._connection.fetch(statement, *arguments)]
            except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                self._connection = None
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def value(self, statement: str, *arguments: object) -> Any:
        """Return the first column of the first row, None when there is no row."""
        rows = await self.fetch(statement, *arguments)
        return next(iter(rows[0].values())) if rows else None

    async def restart_immediate(self) -> float:
        """Kill the server as `pg_ctl restart -m immediate` does; return when it accepts again, in monotonic seconds.

        Nothing is flushed and nobody is told; the next start replays the log.
        """
        assert self._server is not None
        before = self._pid()
        os.kill(before, signal.SIGQUIT)
        async with asyncio.timeout(_RESTART_TIMEOUT_S):
            while not (self._server.is_running() and self._pid() != before):
                await asyncio.sleep(0.02)
        await self.value("SELECT 1")
        return time.monotonic()

    def _pid(self) -> int:
        """Return the postmaster's id, 0 while there is none."""
        try:
            return int((self._home / "data" / "postmaster.pid").read_text().split("\n")[0])
        except (FileNotFoundError, PermissionError, ValueError):
            return 0
