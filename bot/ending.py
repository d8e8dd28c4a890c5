"""Tasks that are to end, and do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def end_tasks(
    tasks: Iterable[asyncio.Task[Any]], *, within_s: float | None = None, again_s: float = 2.0
) -> set[asyncio.Task[Any]]:
    """Cancel tasks, again every `again_s` seconds, until all have ended; return those that haven't `within_s`.

    What they end with isn't raised, and is there for whoever asks.

    Once isn't enough: before Python 3.12 `asyncio.wait_for`, with which drivers wait too, loses a cancellation that
    comes together with what it waits for (python/cpython#86296), and a loop that outlives that error goes on for ever.
    """
    ending = set(tasks)
    pending = {task for task in ending if not task.done()}
    loop = asyncio.get_running_loop()
    ends_at = None if within_s is None else loop.time() + within_s
    while pending and (ends_at is None or loop.time() < ends_at):
        for task in pending:
            task.cancel()
        pause_s = again_s if ends_at is None else min(again_s, ends_at - loop.time())
        _, pending = await asyncio.wait(pending, timeout=pause_s)
    for task in ending - pending:
        if not task.cancelled():
            task.exception()  # so that nobody calls it never retrieved
    return pending
