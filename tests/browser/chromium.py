"""A headless Chromium, driven over the Chrome DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root, where Chromium refuses its sandbox; it opens nothing but our own page
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
START_S = 30.0
CALL_S = 20.0

Json = dict[str, Any]


class ProtocolError(Exception):
    """Chromium refused a call."""


class Chromium:
    """The connection to one browser: calls go out, and events come in, for any number of tabs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._listeners: dict[str, Callable[[str, Json], None]] = {}

    async def call(self, method: str, *, session_id: str | None = None, **params: Any) -> Json:
        """Return the result of a method, in a tab when its session is named. Raises ProtocolError."""
        number = next(self._numbers)
        message: Json = {"id": number, "method": method, "params": params}
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json(message | ({"sessionId": session_id} if session_id else {}))
            async with asyncio.timeout(CALL_S):
                answer = await self._waiting[number]
        finally:
            del self._waiting[number]
        if "error" in answer:
            raise ProtocolError(f"{method}: {answer['error']['message']}")
        result: Json = answer["result"]
        return result

    def listen(self, session_id: str, listener: Callable[[str, Json], None]) -> None:
        """Have `listener(method, params)` called for every event of a tab."""
        self._listeners[session_id] = listener

    async def receive(self) -> None:
        """Hand on what arrives until the browser is gone."""
        async for message in self._socket:
            told: Json = message.json()
            if "id" in told:
                future = self._waiting.get(told["id"])
                if future is not None and not future.done():
                    future.set_result(told)
            elif (listener := self._listeners.get(told.get("sessionId", ""))) is not None:
                listener(told["method"], told["params"])


@asynccontextmanager
async def chromium() -> AsyncIterator[Chromium]:
    """Start a Chromium with an empty profile; it ends with the block. Raises FileNotFoundError when there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise FileNotFoundError("These tests need Chromium (on Debian: apt-get install chromium).")
    profile = Path(tempfile.mkdtemp(prefix="recollect-chromium-"))
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        program, *FLAGS, f"--user-data-dir={profile}", stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        address = await _address(profile, process)
        async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
            browser = Chromium(socket)
            receiving = asyncio.create_task(browser.receive())
            yield browser
            await browser.call("Browser.close")
            await receiving
    finally:
        await _end(process)
        shutil.rmtree(profile, ignore_errors=True)


async def _address(profile: Path, process: asyncio.subprocess.Process) -> str:
    """Return where the browser listens, once it says so in its profile."""
    told = profile / "DevToolsActivePort"
    async with asyncio.timeout(START_S):
        while not (told.exists() and len(lines := told.read_text().split()) == 2):
            if process.returncode is not None:
                raise ChildProcessError(f"Chromium ended at once with code {process.returncode}.")
            await asyncio.sleep(0.05)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait a moment for the browser to go by itself, then end it and its children."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
