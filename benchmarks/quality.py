"""What `make eval` holds the figures to, and the page it writes: docs/quality.md, a part for each set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from benchmarks.labelled import Labelled
from benchmarks.result import Measure, last_line, machine, versions
from bot.eval.figures import LATENCIES, QUALITY, Figure, Figures
from bot.eval.runs import LEGS

PAGE = Path(__file__).parents[1] / "docs" / "quality.md"

LIMITS = {
    "xquad_ndcg10": (0.981, 0.985),
    "med_ndcg10": (0.798, 0.815),
    "locomo_ndcg10": (0.577, 0.60),
    "xquad_top1": (0.80, 0.82),
    "xquad_top3": (0.93, 0.945),
    "xquad_shown": (0.91, 0.92),
    "xquad_auc_article": (None, 0.955),
    "xquad_auc_topic": (None, 0.993),
}
"""Floor, which must hold, and goal, by figure."""

OVER_LEGS = -0.002
"""How much below the better of dense and lexical the hybrid may be."""

_TITLES = {
    "ndcg10": "nDCG@10",
    "over_legs": "nDCG@10 above the better of dense and lexical",
    "top1": "Answer in the best sentence",
    "top3": "Answer in the best three",
    "shown": "Answer in what is shown",
    "auc_article": "Refusal AUC, the article there without the paragraph",
    "auc_topic": "Refusal AUC, the article not there",
    "quotes": "Quotes that stand in their passages",
    "answered": "Answered, of the answerable",
    "refusal_precision": "Refused rightly, of the refused",
    "refusal_recall": "Refused, of those to be refused",
}


def measures_of(name: str, figures: Figures, extra: Mapping[str, Figure], *, slack: float = 0) -> list[Measure]:
    """Return a set's figures with their goals, and floors lowered by `slack`; those that couldn't be counted are left out."""
    ndcg = {leg: figures.legs[leg]["ndcg@10"] or 0.0 for leg in LEGS}
    over = ndcg["hybrid"] - max(ndcg["dense"], ndcg["lexical"])
    named = figures.by_name
    found = {
        "ndcg10": ndcg["hybrid"],
        "over_legs": over,
        **extra,
        **{
            part.replace(".", "_"): named[part]
            for part in ("answered", "refusal.precision", "refusal.recall", "quotes")
        },
    }
    return [_measure(name, part, value, slack) for part, value in found.items() if value is not None]


def _measure(name: str, part: str, value: float, slack: float) -> Measure:
    if part == "quotes":
        return Measure(f"{name}_{part}", _TITLES[part], value, at_least=1, digits=3)
    floor, goal = (OVER_LEGS, None) if part == "over_legs" else LIMITS.get(f"{name}_{part}", (None, None))
    at_least = None if floor is None else floor - slack
    return Measure(f"{name}_{part}", _TITLES[part], value, at_least=at_least, goal=goal, digits=3)


def table(title: str, measures: Sequence[Measure]) -> Table:
    """Return the table that the terminal shows."""
    shown = Table(title=title, title_justify="left")
    for heading in _HEADINGS:
        shown.add_column(heading)
    for measure in measures:
        shown.add_row(*_row(measure), style=None if measure.holds else "bold red")
    return shown


_HEADINGS = ("What", "Measured", "Floor", "", "Goal", "")


def _row(measure: Measure) -> tuple[str, ...]:
    goal = measure.goal
    reached = "" if goal is None else "reached" if measure.value >= goal else "missed"
    return measure.title, measure.figure, measure.limit, measure.verdict, "" if goal is None else f"≥ {goal:g}", reached


def write(labelled: Labelled, figures: Figures, measures: Sequence[Measure]) -> None:
    """Put a set's part of the page in place of the former one; without one, at the end."""
    begin, end = f"<!-- Written by `make eval`: {labelled.name} -->", f"<!-- end of {labelled.name} -->"
    part = f"{begin}\n{_part(labelled, figures, measures)}\n{end}"
    page = PAGE.read_text()
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", page, re.DOTALL)
    PAGE.write_text(page[: found.start()] + part + page[found.end() :] if found else f"{page.rstrip()}\n\n{part}\n")


def _part(labelled: Labelled, figures: Figures, measures: Sequence[Measure]) -> str:
    asked = f"{figures.questions:,} questions, {figures.answerable:,} of them answerable"
    return "\n".join(
        [
            f"## {labelled.title}",
            "",
            f"`make eval ONLY={labelled.name}`, {datetime.now(UTC):%Y-%m-%d}; {asked}; {machine()}.",
            f"{versions()}.",
            "",
            *_markdown(_HEADINGS, [_row(measure) for measure in measures]),
            "",
            *_markdown(("Search", *LEGS), _search_rows(figures)),
            "",
            f"`{last_line(measures, command='eval')}`",
        ]
    )


def _search_rows(figures: Figures) -> list[tuple[str, ...]]:
    rows = [(name, *(f"{figures.legs[leg][name] or 0:.3f}" for leg in LEGS)) for name in QUALITY]
    times = [(name.replace("_", ", "), *(f"{figures.legs[leg][name] or 0:.1f}" for leg in LEGS)) for name in LATENCIES]
    return [*rows, *times]


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(cells) + " |" for cells in (headings, *rows)]
    return [lines[0], "|---" * len(headings) + "|", *lines[1:]]
