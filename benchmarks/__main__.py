"""Measure speed and memory: `make bench`, or `python -m benchmarks [--quick] [--only NAME]…`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib import resources

from rich.console import Console

from benchmarks import ingest, memory, process, search, server, turn, walls
from benchmarks.place import open_place
from benchmarks.result import PAGE, Measure, last_line, page, table
from bot.log import configure

PARTS = ("server", "ingest", "memory", "search", "walls", "turn", "process")


def main(arguments: Sequence[str]) -> int:
    """Measure, show, write the page, and return 1 when a limit is missed. Part of it is shown and not written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs and smaller files: some two minutes")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be repeated")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    measures: list[Measure] = []
    for part in options.only or PARTS:
        console.print(f"Measuring {part} …", style="dim")
        measures += (
            server.measure(runs=3 if options.quick else 5)
            if part == "server"
            else asyncio.run(_part(part, quick=options.quick))
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table(measures))
    if not options.only and not options.quick:
        PAGE.write_text(page(measures, command="make bench"))
    print(last_line(measures))
    return 0 if all(measure.holds for measure in measures) else 1


async def _part(name: str, *, quick: bool) -> list[Measure]:
    if name == "ingest":
        async with open_place() as place:
            return await ingest.measure(place, runs=5 if quick else ingest.RUNS)
    if name == "memory":
        async with open_place() as place:
            return await memory.measure(place, pages=memory.PAGES[:2] if quick else memory.PAGES)
    if name == "search":
        async with open_place() as place:
            return await search.measure(place, chunks=4_000 if quick else search.CHUNKS)
    if name == "walls":
        return await _walls(quick=quick)
    if name == "turn":
        return await turn.measure(questions=5 if quick else 10)
    return await process.measure(questions=5 if quick else 12, pdf=_small_pdf() if quick else None)


async def _walls(*, quick: bool) -> list[Measure]:
    """Measure each shape of documents on a place of its own; the quick form one shape, and few chunks."""
    chunks, visible = (4_000, walls.VISIBLE[:1]) if quick else (walls.CHUNKS, walls.VISIBLE)
    measures = []
    for shape in walls.SHAPES[:1] if quick else walls.SHAPES:
        async with open_place() as place:
            measures += await walls.measure(place, shape, chunks=chunks, visible=visible)
    return measures


def _small_pdf() -> tuple[str, bytes]:
    shipped = resources.files("bot") / "smoke_files" / "brackwater-handbook.pdf"
    return "shipped.pdf", shipped.read_bytes() + b"\n% other bytes: another document\n"


if __name__ == "__main__":
    configure("console", "WARNING")
    sys.exit(main(sys.argv[1:]))
