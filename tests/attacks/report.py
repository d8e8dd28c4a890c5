"""How the attacks' figures are shown: a table, one line for scripts, and their part of docs/security.md."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from benchmarks.result import machine
from tests.faults.report import HEADINGS, ROOT, Result

PAGE = ROOT / "docs" / "security.md"
FOLDER = ROOT / ".attacks"
"""Results; never committed."""

CODE = ("bot", "alembic", "tests/attacks", "tests/faults", "tests/fakes.py", "requirements.lock")
"""What a result is a statement about: a commit that touches nothing of it leaves results valid."""

BEGIN = "<!-- Written by `make attacks`; don't edit. -->"
END = "<!-- End of what `make attacks` wrote. -->"


def table(results: Iterable[Result]) -> Table:
    """Return the table that the terminal shows."""
    shown = Table(title="Recollect, under attack")
    for heading in HEADINGS:
        shown.add_column(heading, justify="right" if heading == "Found" else "left")
    for result in results:
        for row, figure in zip(_rows(result), result.figures, strict=True):
            shown.add_row(*row, style=None if figure.holds else "bold red")
    return shown


def last_line(results: Sequence[Result]) -> str:
    """Return the line a script can read: whether all limits hold, which tests missed one, then every figure."""
    good = bool(results) and all(result.holds for result in results)
    missed = ",".join(str(result.number) for result in results if not result.holds)
    failed = [f"failed_tests={missed}"] if missed else []
    each = [f"t{result.number}_{figure.name}={figure.number}" for result in results for figure in result.figures]
    return " ".join([f"attacks: {'ok' if good else 'failed'}", f"tests={len(results)}", *failed, *each])


def figures(results: Sequence[Result], *, expected: Sequence[tuple[int, str]], version: str) -> str:
    """Return the figures' part of the page. `expected` are numbers and titles of all tests: what didn't run is said."""
    run = {result.number for result in results}
    rows = ["| " + " | ".join(row) + " |" for result in results for row in _rows(result)]
    missing = [f"- {number}. {title}" for number, title in expected if number not in run]
    seeds = ", ".join(f"{result.number}: {result.seed}" for result in results)
    minutes = sum(result.seconds for result in results) / 60
    return "\n".join(
        [
            f"- {datetime.now(UTC):%Y-%m-%d}, Recollect at {version}, {machine()}",
            f"- {minutes:.0f} minutes in all; seeds {seeds}",
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|---|---|---:|---|---|",
            *rows,
            "",
            *(["Not run at this version:", "", *missing, ""] if missing else []),
            f"`{last_line(results)}`",
        ]
    )


def with_figures(page: str, written: str) -> str:
    """Return the page with its figures replaced. Raises ValueError when the page has no place for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for figures")
    return f"{before}{BEGIN}\n\n{written}\n\n{END}{after}"


def write_page(results: Sequence[Result], *, expected: Sequence[tuple[int, str]], version: str) -> None:
    """Put the figures into docs/security.md."""
    PAGE.write_text(with_figures(PAGE.read_text(), figures(results, expected=expected, version=version)))


def code_version(root: Path = ROOT) -> str:
    """Return the last commit that touched what is attacked, with `-dirty` when something of it isn't committed."""
    commit = _git(root, "log", "-1", "--format=%h", "--", *CODE)
    changed = _git(root, "status", "--porcelain", "--", *CODE)
    return (commit or "none") + ("-dirty" if changed else "")


def _rows(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for index, figure in enumerate(result.figures):
        title = f"{result.number}. {result.title}" if index == 0 else ""
        what = f"{figure.title}; {figure.note}" if figure.note else figure.title
        rows.append((title, what, figure.shown, figure.limit, figure.verdict))
    return rows


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
