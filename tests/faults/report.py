"""What a fault test found, and how it is shown: a table, one line for scripts, docs/reliability.md."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Self

from rich.table import Table

from benchmarks.result import machine
from tests.faults.checker import Verdict

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
CODE = ("bot", "alembic", "tests/faults", "tests/fakes.py", "requirements.lock")
"""What a result is a statement about: a commit that touches nothing of it leaves results valid."""


class Scale(Enum):
    """How much is done: `QUICK` for every commit, `FULL` for the page, `SELFTEST` with a mechanism switched off."""

    QUICK = "quick"
    FULL = "full"
    SELFTEST = "selftest"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. With `at_most` or `at_least` it is a promise; without, it is for information.

    `of` is how many chances there were: 0 of N says with 95 % confidence that the rate is under 3/N (rule of three).
    """

    name: str
    title: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    of: int | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """False when a limit is missed; what isn't a number misses every limit, and so does nothing of nothing."""
        if self.of == 0:
            return False
        if self.at_most is not None and not self.value <= self.at_most:
            return False
        return self.at_least is None or self.value >= self.at_least

    @property
    def limit(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    @property
    def verdict(self) -> str:
        return "" if not self.limit and self.holds else "ok" if self.holds else "MISSED"

    @property
    def number(self) -> str:
        """The value for a script: whole numbers bare, others to two digits."""
        return f"{self.value:.0f}" if float(self.value).is_integer() else f"{self.value:.2f}"

    @property
    def shown(self) -> str:
        """The value for a person: `0 of 1,000 (< 0.3 %)`, `4.21 s`."""
        if self.of is None:
            return f"{self.number} {self.unit}".strip()
        bound = f" (< {300 / self.of:.2g} %)" if self.of > 9 and not self.value else ""
        return f"{self.number} of {self.of:,}{bound}"


@dataclass(slots=True)
class Result:
    """What one test found. `evidence` are lines for whoever must find out why a limit was missed."""

    number: int
    title: str
    scale: str
    seed: int
    figures: list[Figure]
    evidence: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return bool(self.figures) and all(figure.holds for figure in self.figures)

    def figure(self, name: str) -> Figure:
        """Return this figure; KeyError when there is none."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        written = json.loads(text)
        return cls(**{**written, "figures": [Figure(**figure) for figure in written["figures"]]})


def figures_of(verdict: Verdict) -> list[Figure]:
    """Return what every test promises of its questions."""

    def none(name: str, title: str, found: Sequence[object], of: int) -> Figure:
        return Figure(name, title, len(found), at_most=0, of=of)

    return [
        none("lost", "acknowledged, never answered", verdict.lost, verdict.acked),
        none("duplicated", "answered twice", verdict.duplicated, verdict.asked),
        none("misordered", "answered out of order in its thread", verdict.misordered, verdict.asked),
        none("unfinished", "streams left spinning", verdict.unfinished, verdict.asked),
        none("unexpected", "answers nobody asked for", verdict.unexpected, verdict.asked),
        none("unanswered", "never answered, acknowledged or not", verdict.unanswered, verdict.asked),
        Figure("overtaken", "answered late because Slack brought it late", len(verdict.overtaken), of=verdict.asked),
        Figure("apologised", "apologies instead of answers", verdict.apologised, of=verdict.asked),
    ]


def result_of(
    number: int, title: str, scale: Scale, seed: int, verdict: Verdict, *figures: Figure, evidence: Sequence[str] = ()
) -> Result:
    """Return a test's result: what became of its questions, then its own figures."""
    return Result(number, title, scale.value, seed, [*figures_of(verdict), *figures], [*verdict.least(), *evidence])


HEADINGS = ("Test", "What", "Found", "Limit", "")


def table(results: Iterable[Result]) -> Table:
    """Return the table that the terminal shows."""
    shown = Table(title="Recollect, under faults")
    for heading in HEADINGS:
        shown.add_column(heading, justify="right" if heading == "Found" else "left")
    for result in results:
        for row, figure in zip(_rows(result), result.figures, strict=True):
            shown.add_row(*row, style=None if figure.holds else "bold red")
    return shown


def _rows(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for index, figure in enumerate(result.figures):
        title = f"{result.number}. {result.title}" if index == 0 else ""
        what = f"{figure.title}; {figure.note}" if figure.note else figure.title
        rows.append((title, what, figure.shown, figure.limit, figure.verdict))
    return rows


def last_line(results: Sequence[Result]) -> str:
    """Return the line a script can read: the sums of what may not happen, the worst recovery, then every figure."""
    good = bool(results) and all(result.holds for result in results)
    sums = [
        f"{name}={sum(f.value for r in results for f in r.figures if f.name == name):.0f}"
        for name in ("lost", "duplicated", "misordered")
    ]
    each = [f"t{r.number}_{f.name}={f.number}" for r in results for f in r.figures if f.name not in _SUMMED]
    failed = [f"failed_tests={','.join(str(r.number) for r in results if not r.holds)}"] if not good else []
    return " ".join([f"faults: {'ok' if good else 'failed'}", f"tests={len(results)}", *sums, *failed, *each])


_SUMMED = frozenset(
    {"lost", "duplicated", "misordered", "unfinished", "unexpected", "unanswered", "overtaken", "apologised"}
)


def page(results: Sequence[Result], *, expected: Sequence[tuple[int, str]], version: str) -> str:
    """Return docs/reliability.md. `expected` are numbers and titles of all tests: what didn't run is said."""
    run = {result.number for result in results}
    rows = ["| " + " | ".join(row) + " |" for result in results for row in _rows(result)]
    missing = [f"- {number}. {title}" for number, title in expected if number not in run]
    seeds = ", ".join(f"{result.number}: {result.seed}" for result in results)
    minutes = sum(result.seconds for result in results) / 60
    return "\n".join(
        [
            "# Reliability",
            "",
            "Written by `make faults`; don't edit. Real processes of the bot, a Slack and a model on this machine, a",
            "real PostgreSQL, and proxies that misbehave between them. Afterwards every question is accounted for, as",
            "Jepsen's total-queue checker does it. “0 of N” is what was seen: the bound beside it says how rare a fault",
            "must be for that to happen by chance in 95 of 100 runs (3/N). `python -m tests.faults --self-test` shows",
            "that each test fails when the mechanism it guards is switched off.",
            "",
            f"- {datetime.now(UTC):%Y-%m-%d}, Recollect at {version}, {machine()}",
            f"- {minutes:.0f} minutes in all; seeds {seeds}",
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|---|---|---:|---|---|",
            *rows,
            "",
            *(["Not run at this version:", "", *missing, ""] if missing else []),
            f"`{last_line(results)}`",
            "",
        ]
    )


def save(result: Result, folder: Path, *, version: str) -> None:
    """Keep a result beside the others of the same version."""
    kept = folder / version
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"t{result.number:02}.json").write_text(result.to_json())


def saved(folder: Path, *, version: str) -> list[Result]:
    """Return what was kept of this version, by number."""
    return [Result.from_json(path.read_text()) for path in sorted((folder / version).glob("t*.json"))]


def code_version(root: Path = ROOT) -> str:
    """Return the last commit that touched what is tested, with `-dirty` when something of it isn't committed."""
    commit = _git(root, "log", "-1", "--format=%h", "--", *CODE)
    changed = _git(root, "status", "--porcelain", "--", *CODE)
    return (commit or "none") + ("-dirty" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
