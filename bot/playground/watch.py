"""Lets the page and the tests see what changes, as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from bot.playground.state import Json

T = TypeVar("T")


class Watchers:
    """Tells every subscriber of every change. A change is JSON with at least a `kind`."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Json]] = set()
        self._changed = asyncio.Event()

    @property
    def is_watched(self) -> bool:
        """True when somebody wants to see each change, not only that there was one."""
        return bool(self._queues)

    def tell(self, kind: str, **details: object) -> None:
        """Report a change to everyone who watches; returns at once."""
        for queue in self._queues:
            queue.put_nowait({"kind": kind, **details})
        self._changed.set()
        self._changed = asyncio.Event()

    def subscribe(self) -> asyncio.Queue[Json]:
        """Return a queue that receives every change from now on; give it back with `unsubscribe`."""
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._queues.add(queue)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[Json]) -> None:
        """Stop filling this queue."""
        self._queues.discard(queue)

    async def wait_for(self, look: Callable[[], T | None], *, timeout_s: float) -> T:
        """Return what `look` finds, as soon as it finds something; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while (found := look()) is None:
                await self._changed.wait()
            return found
