"""Memory that was let go of, given back to the system."""

from __future__ import annotations

import asyncio
import ctypes

GIVE_BACK_EVERY_S = 60.0


async def give_back(*, every_s: float = GIVE_BACK_EVERY_S) -> None:
    """Have the C library give back what it holds free, again and again; returns where it has no way to.

    glibc keeps freed memory for later, scattered as it is: some 70 MB once the local models are loaded, and more with
    each hour of answers. `malloc_trim` took 1 to 15 ms here, in a thread and without the interpreter's lock.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.to_thread(trim, 0)
        await asyncio.sleep(every_s)
