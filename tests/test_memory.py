"""What a process has let go of doesn't stay with it."""

from __future__ import annotations

import asyncio
import ctypes

import psutil

from bot.memory import give_back


def rss_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


async def test_what_was_freed_in_pieces_goes_back_to_the_system() -> None:
    pieces = [bytearray(1_000) for _ in range(60_000)]
    kept = pieces[::100]  # one in each stretch of memory: none is free as a whole
    del pieces
    before = rss_mib()

    giving = asyncio.create_task(give_back())
    await asyncio.wait({giving}, timeout=1)

    assert giving.done() != hasattr(ctypes.CDLL(None), "malloc_trim"), "it goes on where there is a way, and only there"
    assert giving.done() or before - rss_mib() > 30, "of some 60"
    giving.cancel()
    assert len(kept) == 600
