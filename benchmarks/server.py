"""How long the embedded server takes to come up."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.place import temporary_home
from benchmarks.result import Measure
from bot.db.embedded import start_embedded


def measure(*, runs: int = 5) -> list[Measure]:
    """Start servers on new homes, stop each and start it again. On the main thread."""
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(runs):
        with temporary_home() as home:
            for taken in (cold, warm):
                started = time.perf_counter()
                server = start_embedded(home)
                taken.append(time.perf_counter() - started)
                server.stop()
    note = f"median of {runs}; worst"
    return [
        Measure("server_cold_s", "Embedded PostgreSQL, cold", median(cold), "s", at_most=6,
                note=f"initdb, start, first query; {note} {max(cold):.1f}"),
        Measure("server_warm_s", "Embedded PostgreSQL, warm", median(warm), "s", at_most=1,
                note=f"start, first query; {note} {max(warm):.2f}"),
    ]  # fmt: skip
