"""Measure quality on the labelled sets: `make eval`, or `python -m benchmarks.eval [--quick] [--only NAME]…`.

Each set is converted to BEIR's layout, and goes the way of `bot eval beir`, with the models on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from benchmarks import answering, quality
from benchmarks.labelled import SETS, Labelled
from benchmarks.place import shared_folder, temporary_home
from benchmarks.remembering import Remembering
from benchmarks.result import Measure, last_line
from bot.config import Settings
from bot.console import progress_bars
from bot.db.storage import Storage, open_storage
from bot.eval.beir import BeirQuery, BeirSet, read_beir
from bot.eval.figures import Figure, figures_of
from bot.eval.outcome import Outcome
from bot.eval.runs import Runner
from bot.eval.sets import stock
from bot.log import configure

QUICK_QUERIES, QUICK_DOCUMENTS = 40, 80
QUICK_SLACK = 0.1
"""How far below its floor a figure of so few questions may be."""

T = TypeVar("T")


def main(arguments: Sequence[str]) -> int:
    """Measure, show, write the page, and return 1 when a floor is missed. The quick form writes nothing."""
    names = [labelled.name for labelled in SETS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eval", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sample of each set: two minutes")
    parser.add_argument("--only", action="append", choices=names, help="one set; may be repeated")
    options = parser.parse_args(arguments)
    console, data = Console(width=None if sys.stdout.isatty() else 160), shared_folder() / "data"
    measures: list[Measure] = []
    missing, unread = [], 0
    for labelled in SETS:
        if options.only and labelled.name not in options.only:
            continue
        if not (data / labelled.path).exists():
            missing.append(labelled.name)
            continue
        evaluated = asyncio.run(_evaluate(labelled, data, quick=options.quick))
        figures = figures_of(evaluated.outcomes)
        found = quality.measures_of(labelled.name, figures, evaluated.sights, slack=QUICK_SLACK if options.quick else 0)
        console.print(quality.table(labelled.title, found))
        if not options.quick:
            quality.write(labelled, figures, found)
        measures += found
        unread += evaluated.unread
    if missing:
        console.print(
            f"NOT RUN: {len(missing)} of {len(SETS)} sets aren't in {data}: {', '.join(missing)}", style="yellow"
        )
    if measures:
        measures.append(Measure("unread", "Documents that couldn't be read", unread, at_most=0, digits=0))
        measures.append(Measure("sets_not_run", "Sets that aren't there", len(missing), digits=0))
    print(last_line(measures, command="eval"))
    return 0 if measures and all(measure.holds for measure in measures) else 1


@dataclass(slots=True)
class Evaluated:
    """What came of a set's parts, one after the other; `sights` are the last one's."""

    outcomes: list[Outcome] = field(default_factory=list)
    sights: dict[str, Figure] = field(default_factory=dict)
    unread: int = 0


async def _evaluate(labelled: Labelled, data: Path, *, quick: bool) -> Evaluated:
    """Read, ask and answer all parts of a set, each in a workspace of its own."""
    evaluated, local = Evaluated(), Remembering()
    with temporary_home() as home, tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            _env_file=None, recollect_home=home, database_url=None, chat_model="local", embedding_model="local"
        )
        async with open_storage(settings) as storage:
            for part in labelled.write(data, Path(folder)):
                wanted = read_beir(part)
                await _evaluate_part(settings, storage, local, sample(wanted) if quick else wanted, evaluated)
    await local.close()
    return evaluated


async def _evaluate_part(
    settings: Settings, storage: Storage, local: Remembering, wanted: BeirSet, evaluated: Evaluated
) -> None:
    with progress_bars() as bars:
        steps = bars.add_task(wanted.name, total=len(wanted.documents) + 2 * len(wanted.queries))
        tick = lambda: bars.advance(steps)  # noqa: E731
        async with stock(settings, storage, wanted.documents, local=local, tick=tick) as stocked:
            runner = Runner(stocked.services, stocked.audience, user_id=stocked.user_id, answers=True)
            evaluated.outcomes += await runner.run(stocked.cases(wanted), tick=tick)
            evaluated.sights = await answering.measure(stocked, wanted, tick=tick)
            evaluated.unread += len(stocked.unread)


def sample(wanted: BeirSet, *, queries: int = QUICK_QUERIES, documents: int = QUICK_DOCUMENTS) -> BeirSet:
    """Return some queries, evenly taken, what is relevant to them, and other documents around it, half and half."""
    chosen: list[BeirQuery] = []
    needed: set[str] = set()
    for query in _evenly(wanted.queries, queries):
        if not chosen or len(needed | query.gains.keys()) <= documents / 2:
            chosen.append(query)
            needed |= query.gains.keys()
    others = [document for document in wanted.documents if document.id not in needed]
    kept = needed | {document.id for document in _evenly(others, documents - len(needed))}
    return BeirSet(wanted.name, [document for document in wanted.documents if document.id in kept], chosen)


def _evenly(things: Sequence[T], count: int) -> list[T]:
    return list(things[:: -(-len(things) // max(1, count)) or 1])


if __name__ == "__main__":
    configure("console", "WARNING")
    sys.exit(main(sys.argv[1:]))
