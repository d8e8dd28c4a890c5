"""Figures of many outcomes, each by a name that thresholds and scripts can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.eval.case import Ranking
from bot.eval.metrics import mean, ndcg, percentile, recall, reciprocal_rank, share
from bot.eval.outcome import Answered, Outcome
from bot.eval.runs import LEGS

QUALITY: Mapping[str, Callable[[Ranking], float]] = {
    "ndcg@10": lambda found: ndcg(found.gains, found.ideal, k=10),
    "recall@5": lambda found: recall(found.gains, found.ideal, k=5),
    "recall@10": lambda found: recall(found.gains, found.ideal, k=10),
    "recall@100": lambda found: recall(found.gains, found.ideal, k=100),
    "mrr@10": lambda found: reciprocal_rank(found.gains, k=10),
}

LATENCIES = {"p50_ms": 50, "p95_ms": 95}

Figure = float | None
"""None where there is nothing to count."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens."""

    prompt: float
    completion: float


FREE = Prices(0, 0)
"""What models on this machine cost."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: by way of searching, and of the answers ({} when nobody was asked to answer)."""

    questions: int
    answerable: int
    legs: Mapping[str, Mapping[str, Figure]]
    answers: Mapping[str, Figure]

    @property
    def by_name(self) -> dict[str, Figure]:
        """Every figure by its name; those of the hybrid search, which the bot uses, have no prefix."""
        named = {f"{leg}.{name}": value for leg in LEGS for name, value in self.legs[leg].items()}
        return {**self.legs["hybrid"], **named, **self.answers}


def figures_of(outcomes: Sequence[Outcome], *, prices: Prices | None = None) -> Figures:
    """Count. Rankings are judged over the questions that something answers."""
    answered = [(outcome, outcome.answer) for outcome in outcomes if outcome.answer]
    return Figures(
        questions=len(outcomes),
        answerable=sum(not outcome.case.should_refuse for outcome in outcomes),
        legs={leg: _leg(outcomes, leg) for leg in LEGS},
        answers={**_refusals(answered), **_answers([answer for _, answer in answered], prices)} if answered else {},
    )


def _leg(outcomes: Sequence[Outcome], leg: str) -> dict[str, Figure]:
    found = [outcome.legs[leg] for outcome in outcomes]
    rankings = [one.ranking for one in found if one.ranking]
    quality = {name: mean([measure(ranking) for ranking in rankings]) for name, measure in QUALITY.items()}
    times = [one.duration_ms for one in found]
    return {**quality, **{name: percentile(times, percent) for name, percent in LATENCIES.items()}}


def _refusals(answered: Sequence[tuple[Outcome, Answered]]) -> dict[str, Figure]:
    """Of what was refused, how much should be; and of what should be, how much was."""
    refused = [outcome for outcome, answer in answered if not answer.found]
    right = sum(outcome.case.should_refuse for outcome in refused)
    wanted = sum(outcome.case.should_refuse for outcome, _ in answered)
    return {
        "answered": share(
            sum(answer.found for outcome, answer in answered if not outcome.case.should_refuse), len(answered) - wanted
        ),
        "refusal.precision": share(right, len(refused)) if wanted else None,
        "refusal.recall": share(right, wanted),
    }


def _answers(answers: Sequence[Answered], prices: Prices | None) -> dict[str, Figure]:
    prompt = sum(answer.usage.prompt_tokens for answer in answers)
    completion = sum(answer.usage.completion_tokens for answer in answers)
    times = [answer.duration_ms for answer in answers]
    return {
        "quotes": share(sum(answer.verified for answer in answers), sum(answer.quotes for answer in answers)),
        "tokens.prompt": prompt,
        "tokens.completion": completion,
        "cost_usd": None if prices is None else (prompt * prices.prompt + completion * prices.completion) / 1e6,
        **{f"answer.{name}": percentile(times, percent) for name, percent in LATENCIES.items()},
    }
