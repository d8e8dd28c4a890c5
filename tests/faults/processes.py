"""The bot as processes of its own: started, frozen, killed, ended, watched."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

READY_TIMEOUT_S = 60.0
"""Two cores may have much to do."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_RESTART_PAUSE_S = 0.5
_LOOK_S = 0.1
_TAIL_CHARS = 2_000
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: its code (negative: the signal), and how long after it was asked to."""

    code: int
    seconds: float


def bot_command(*arguments: str, sabotage: str | None = None) -> list[str]:
    """Return the command line of `bot ARGUMENTS`, with a mechanism switched off where `sabotage` names one."""
    module = ["bot"] if sabotage is None else ["tests.faults.sabotage", sabotage]
    return [sys.executable, "-m", *module, *arguments]


class BotProcess:
    """A program, serving HTTP on a port that stays the same over restarts; it learns it as HTTP_PORT."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, log: Path) -> None:
        self.name = name
        self.log = log
        self.port = free_port()
        self.starts = 0
        self._command = command
        self._environment = {**environment, "HTTP_PORT": str(self.port), "PYTHONPATH": str(_ROOT)}
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True while the process lives, frozen or not."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; it isn't ready yet."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,  # a developer's .env lies elsewhere
                env=self._environment,
                start_new_session=True,
                preexec_fn=_dies_with_us(),
            )
        self.starts += 1

    def keep_up(self) -> None:
        """From now on start the process again whenever it ends by itself or is killed, as a supervisor does."""
        self._keeping = asyncio.create_task(self._keep())

    async def wait_ready(self, *, timeout_s: float = READY_TIMEOUT_S) -> float:
        """Return how many seconds it took until `/readyz` says 200. Raises TimeoutError with the end of the log."""
        began = time.monotonic()
        while await self.status("/readyz") != 200:
            if not self.is_running and self._keeping is None:
                raise RuntimeError(f"{self.name} ended: {self.tail()}")
            if time.monotonic() - began > timeout_s:
                raise TimeoutError(f"{self.name} isn't ready after {timeout_s:g} s: {self.tail()}")
            await asyncio.sleep(_LOOK_S)
        return time.monotonic() - began

    async def status(self, path: str, *, timeout_s: float = 5.0) -> int:
        """Return the HTTP status of a path, 0 when there is no answer in time."""
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self.url + path) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    def kill9(self) -> None:
        """End the process without a word."""
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the process where it stands (SIGSTOP)."""
        self._send(signal.SIGSTOP)

    def wake(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self._send(signal.SIGCONT)

    async def terminate(self, *, timeout_s: float = 30.0) -> Exit:
        """Ask the process to end (SIGTERM) and wait; kills it after `timeout_s`. It isn't started again."""
        self._let_go()
        assert self._process is not None
        began = time.monotonic()
        self._send(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            self._send(signal.SIGKILL)
            code = await self._process.wait()
        return Exit(code, time.monotonic() - began)

    async def close(self) -> None:
        """End the process at once, whatever state it is in."""
        self._let_go()
        if self.is_running:
            self._send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def rss_mib(self) -> float:
        """Return the resident memory of the process and its children; 0 when it is gone."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            return sum(p.memory_info().rss for p in (process, *process.children(recursive=True))) / 2**20
        return 0.0

    def file_descriptors(self) -> int:
        """Return how many files and sockets it has open; 0 when it is gone."""
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(self.pid).num_fds())
        return 0

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of its log."""
        written = self.log.read_text(errors="replace").splitlines()[-lines:] if self.log.exists() else []
        return "\n".join(written)[-_TAIL_CHARS:]

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            await asyncio.sleep(_RESTART_PAUSE_S)
            await self.start()

    def _let_go(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.is_running:
                os.kill(self.pid, number)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _dies_with_us() -> Callable[[], None] | None:
    """Return what a child does before it becomes the bot: ask Linux to be killed with this process."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # looked up before the fork
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
