"""What reading a long document takes: the memory of the process that reads and of the sandbox's child, by pages."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import Place
from benchmarks.result import Measure

PAGES = (20, 200, 2_000)
MB = 2**20
OWN_GROWTH_MB = 24
"""It was 8 when this was written, of it 4 the text; 34 with all vectors at hand at once."""

CHILD_MB = 256
"""Half of what the sandbox lets a child have."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One document read: how much more memory than before the reader held at most, and its child's peak, in bytes."""

    pages: int
    growth: int
    child: int
    passages: int
    seconds: float


async def measure(place: Place, *, pages: Sequence[int] = PAGES) -> list[Measure]:
    """Read documents of so many pages, each in a process of its own."""
    readings = [await read(place, pages=count) for count in pages]
    return [measured for reading in readings for measured in _measures(reading, readings[0])]


async def read(place: Place, *, pages: int) -> Reading:
    """Read a PDF in a process of its own. Raises RuntimeError when it can't be read."""
    url = place.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "benchmarks.reader", url, str(pages)]
    root = Path(__file__).parents[1]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=root)
    said, _ = await process.communicate()
    figures = said.decode().split()
    if process.returncode or len(figures) != 5:  # what the reader prints
        raise RuntimeError(f"the reader ended with {process.returncode}: {said.decode().strip()}")
    before, after, child, passages = map(int, figures[:4])
    return Reading(pages, after - before, child, passages, float(figures[4]))


def _measures(reading: Reading, shortest: Reading) -> list[Measure]:
    name, pages = f"pages_{reading.pages}", f"{reading.pages:,} pages"
    note = f"{reading.passages:,} passages, in {reading.seconds:.1f} s with vectors that cost nothing"
    return [
        Measure(f"{name}_mb", f"Memory more while {pages} are read", reading.growth / MB, "MB", note=note,
                at_most=shortest.growth / MB + OWN_GROWTH_MB if reading is not shortest else None),
        Measure(f"{name}_child_mb", "The sandbox's child meanwhile", reading.child / MB, "MB", at_most=CHILD_MB,
                note="at most; it ends with the file"),
    ]  # fmt: skip
