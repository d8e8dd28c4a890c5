"""How an evaluation is shown: tables for people, one JSON object for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from bot.console import printable
from bot.eval.calibration import Calibration, Quality
from bot.eval.figures import LATENCIES, QUALITY, Figure, Figures
from bot.eval.runs import LEGS


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, and by what: names of models, and the settings that the figures hold for."""

    title: str
    embedder: str
    answerer: str
    blend_weight: float
    relevance_floor: float
    figures: Figures
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def as_json(self) -> dict[str, Any]:
        """Everything, figures by their names; null where there was nothing to count."""
        return {
            "title": self.title,
            "embedding_model": self.embedder,
            "answering_model": self.answerer,
            "blend_weight": self.blend_weight,
            "relevance_floor": self.relevance_floor,
            **self.counts,
            "questions": self.figures.questions,
            "answerable": self.figures.answerable,
            "figures": self.figures.by_name,
        }

    @property
    def heading(self) -> str:
        """One line on what the figures are of."""
        counts = [f"{count:,} {name}" for name, count in self.counts.items() if count]
        asked = f"{self.figures.questions:,} questions, {self.figures.answerable:,} of them answerable"
        return printable(f"{self.title}: {', '.join([*counts, asked])}")


def search_table(report: Report) -> Table:
    """Return how each way of searching did."""
    table = Table(title=f"Search by {report.embedder}, lexical share {report.blend_weight:g}", title_justify="left")
    table.add_column("")
    for leg in LEGS:
        table.add_column(leg, justify="right")
    for name in QUALITY:
        table.add_row(name, *(_share(report.figures.legs[leg][name]) for leg in LEGS))
    for name in LATENCIES:
        table.add_row(name.replace("_", ", "), *(_time(report.figures.legs[leg][name]) for leg in LEGS))
    return table


def answer_table(report: Report) -> Table:
    """Return how the answers were."""
    named = report.figures.answers
    table = Table(title=f"Answers by {report.answerer}", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    for name, words in _SHARES.items():
        table.add_row(words, _share(named[name]))
    table.add_row("tokens read and written", f"{_count(named['tokens.prompt'])} + {_count(named['tokens.completion'])}")
    table.add_row("cost", _money(named["cost_usd"]))
    for name in LATENCIES:
        table.add_row(name.replace("_", ", "), _time(named[f"answer.{name}"]))
    return table


def calibration_table(found: Calibration, *, embedder: str) -> Table:
    """Return every weight with the floor that fits it, then what is set now and what to set."""
    table = Table(title=f"Calibration for {embedder}", title_justify="left")
    for name in ("BLEND_WEIGHT", "RELEVANCE_FLOOR", "ndcg@10", "right passages kept", "refused rightly", "refused"):
        table.add_column(name, justify="right")
    for choice, quality in found.grid:
        table.add_row(*_row(f"{choice.weight:g}", f"{choice.floor:g}", quality))
    table.add_section()
    table.add_row(*_row(f"now {found.now.weight:g}", f"{found.now.floor:g}", found.as_it_is))
    table.add_row(*_row(f"best {found.choice.weight:g}", f"{found.choice.floor:g}", found.fitted))
    table.add_row(*_row("held out", f"{found.folds} folds", found.held_out))
    return table


def _row(weight: str, floor: str, quality: Quality) -> tuple[str, ...]:
    figures = (quality.ndcg, quality.kept, quality.precision, quality.recall)
    return weight, floor, *map(_share, figures)


_SHARES = {
    "answered": "answered, of the answerable",
    "refusal.precision": "refused rightly, of the refused",
    "refusal.recall": "refused, of those to be refused",
    "quotes": "quotes that stand in their passages",
}


def _share(value: Figure) -> str:
    return "–" if value is None else f"{value:.3f}"


def _time(value: Figure) -> str:
    return "–" if value is None else f"{value:.1f}"


def _count(value: Figure) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _money(value: Figure) -> str:
    return "unknown: say --prices" if value is None else f"{value:.4f} US dollars"
