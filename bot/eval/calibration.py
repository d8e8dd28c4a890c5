"""The blend's weight and the relevance floor that fit an operator's own questions, judged on questions held out.

Each weight of the grid is the bot's own search at that weight. The weight chosen has the best mean nDCG@10; among those
within `TIE` of it the nearest to the one in use, for so small a difference says nothing. The floor chosen is the highest
that keeps `KEPT` of the right passages: it costs next to nothing, and refuses what it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.errors import InvalidRequest
from bot.eval.metrics import mean, share

FLOORS = tuple(step / 100 for step in range(101))
FOLDS = 5
TIE = 0.002
KEPT = 0.98


@dataclass(frozen=True, slots=True)
class Trial:
    """One question at one weight: its nDCG@10, the scores of the best passage and of the best one that is right.

    None for what wasn't found, and `ndcg` for questions that nothing answers.
    """

    ndcg: float | None
    best: float | None
    right: float | None

    def is_refused(self, floor: float) -> bool:
        """Tell whether no passage passes the floor."""
        return self.best is None or self.best < floor

    def keeps(self, floor: float) -> bool:
        """Tell whether a right passage passes the floor."""
        return self.right is not None and self.right >= floor


@dataclass(frozen=True, slots=True)
class Tried:
    """One question by every weight of the grid; `group` is the document that answers it, None where nothing does."""

    group: str | None
    trials: dict[float, Trial]


@dataclass(frozen=True, slots=True)
class Choice:
    """A weight with its floor."""

    weight: float
    floor: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How choices do: mean nDCG@10, the share of questions of which a right passage passes, and refusal by the floor."""

    ndcg: float | None
    kept: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What to set, and how that does: on all questions, and chosen without the questions it is judged by."""

    choice: Choice
    fitted: Quality
    held_out: Quality
    now: Choice
    as_it_is: Quality
    grid: tuple[tuple[Choice, Quality], ...]
    folds: int


def weights_of_grid(now: float) -> list[float]:
    """Return the weights that are tried: steps of a twentieth, and the one in use."""
    return sorted({*(step / 20 for step in range(21)), now})


def calibrate(tried: Sequence[Tried], *, now: Choice) -> Calibration:
    """Choose. Raises InvalidRequest for questions about fewer than two documents: none could be held out."""
    folds = _folds(tried)
    placed = list(zip(tried, folds, strict=True))
    held_out: list[tuple[Tried, Choice]] = []
    for number in sorted(set(folds)):
        learned = choose([one for one, fold in placed if fold != number], now=now)
        held_out += [(one, learned) for one, fold in placed if fold == number]
    choice = choose(tried, now=now)
    grid = [Choice(weight, _floor(tried, weight)) for weight in tried[0].trials]
    return Calibration(
        choice=choice,
        fitted=_quality_of(tried, choice),
        held_out=_quality(held_out),
        now=now,
        as_it_is=_quality_of(tried, now),
        grid=tuple((entry, _quality_of(tried, entry)) for entry in grid),
        folds=len(set(folds)),
    )


def choose(tried: Sequence[Tried], *, now: Choice) -> Choice:
    """Return the weight and the floor that fit these questions best."""
    ndcg = {weight: _quality_of(tried, Choice(weight, 0)).ndcg or 0.0 for weight in tried[0].trials}
    best = max(ndcg.values())
    weight = min((weight for weight in ndcg if ndcg[weight] >= best - TIE), key=lambda each: abs(each - now.weight))
    return Choice(weight, _floor(tried, weight))


def _floor(tried: Sequence[Tried], weight: float) -> float:
    """Return the highest floor that keeps enough of the right passages that are found at this weight; 0 when none is."""
    found = [right for one in tried if (right := one.trials[weight].right) is not None]
    kept = {floor: sum(right >= floor for right in found) for floor in FLOORS}
    return max((floor for floor in FLOORS if found and kept[floor] >= KEPT * len(found)), default=0.0)


def _quality_of(tried: Sequence[Tried], choice: Choice) -> Quality:
    return _quality([(one, choice) for one in tried])


def _quality(chosen: Sequence[tuple[Tried, Choice]]) -> Quality:
    judged = [(one.group is None, one.trials[choice.weight], choice.floor) for one, choice in chosen]
    answerable = [(trial, floor) for should_refuse, trial, floor in judged if not should_refuse]
    refused = [should_refuse for should_refuse, trial, floor in judged if trial.is_refused(floor)]
    return Quality(
        ndcg=mean([trial.ndcg or 0.0 for trial, _ in answerable]),
        kept=mean([float(trial.keeps(floor)) for trial, floor in answerable]),
        precision=share(sum(refused), len(refused)),
        recall=share(sum(refused), len(judged) - len(answerable)),
    )


def _folds(tried: Sequence[Tried]) -> list[int]:
    """Return each question's fold: those on one document together, those to be refused spread evenly."""
    groups = list(dict.fromkeys(one.group for one in tried if one.group is not None))
    if len(groups) < 2:  # noqa: PLR2004  # one to learn from, one to hold out
        message = "Ask about two documents at least, better about twenty: questions on one say nothing of another."
        raise InvalidRequest("too few documents", user_message=message)
    count = min(FOLDS, len(groups))
    folds, refused = [], 0
    for one in tried:
        folds.append((refused if one.group is None else groups.index(one.group)) % count)
        refused += one.group is None
    return folds
