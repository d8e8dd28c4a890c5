"""Ending when asked: the first SIGINT or SIGTERM asks, the second insists, and whatever hangs is cut off in the end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

from bot.slack.connection import SlackConnection
from bot.web.server import WebServer

log = structlog.get_logger()

MARGIN_S = 3.5
"""What ending takes beyond the grace of the work under way: a worker's last word, the database's, the server's."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LAST_WORD_S = 0.3


class Stop:
    """A wish to end, which comes once."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._starting: asyncio.Task[Any] | None = None

    @property
    def is_asked(self) -> bool:
        """True once somebody wants the end."""
        return self._asked.is_set()

    async def wait(self) -> None:
        """Wait until somebody wants the end. Whoever calls this has started: until then, a wish cancels them."""
        self._starting = None
        await self._asked.wait()

    def ask(self) -> None:
        """Want the end."""
        self._asked.set()
        if self._starting is not None:
            self._starting.cancel()

    async def bring_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` to its end; cancel it when the end is wanted before it came to `wait`."""
        task = self._starting = asyncio.create_task(work, name="main")
        try:
            await task
        except asyncio.CancelledError:
            if not self.is_asked:
                raise


async def until_stopped(work: Callable[[Stop], Coroutine[Any, Any, None]], *, limit_s: float) -> None:
    """Run `work`, which waits on the `Stop` it is given and then ends, until a signal comes.

    `limit_s` after the first signal the process exits with 0 whatever hangs, at the second at once (128 + the signal).
    The work was handed back by then, or is taken over by others: its rows tell.
    """
    stop = Stop()
    with _heard(stop, limit_s=limit_s):
        await stop.bring_up(work(stop))


@contextmanager
def _heard(stop: Stop, *, limit_s: float) -> Iterator[None]:
    """Listen to signals, by handlers of Python's own: those of a loop aren't called while something blocks it."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _: FrameType | None) -> None:
        if stop_asked.is_set():
            os._exit(128 + number)
        stop_asked.set()
        _start_clock(limit_s)
        loop.call_soon_threadsafe(stop.ask)

    stop_asked = threading.Event()
    former = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _start_clock(limit_s: float) -> None:
    clock = threading.Timer(limit_s - _LAST_WORD_S, _cut_off)
    clock.daemon = True
    clock.start()


def _cut_off() -> None:
    """End the process. The word of it has a thread of its own: the log may be what hangs."""
    word = threading.Thread(target=lambda: log.warning("bot.cut_off"), daemon=True)
    word.start()
    word.join(_LAST_WORD_S)
    os._exit(0)


async def wind_down(
    server: WebServer,
    connection: SlackConnection | None,
    stop_work: Callable[[float], Awaitable[None]] | None,
    *,
    grace_s: float,
) -> None:
    """Take nothing on any more, and let what is under way end in its time; the rest is handed back."""
    log.info("bot.stopping")
    server.refuse()
    ending: list[Awaitable[None]] = [] if connection is None else [connection.close()]
    if stop_work is not None:
        ending.append(stop_work(grace_s))
    await asyncio.gather(*ending)
