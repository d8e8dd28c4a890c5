"""Tries an operator's questions at every weight of the grid, by the bot's own search."""

from __future__ import annotations

from collections.abc import Sequence

from bot.eval.calibration import Trial, Tried
from bot.eval.metrics import ndcg
from bot.eval.questions import Expected
from bot.eval.runs import Tick, nearest
from bot.services.search import SearchService
from bot.values import Audience, Passage
from bot.wiring import Services


async def try_questions(
    services: Services,
    audience: Audience,
    questions: Sequence[Expected],
    *,
    weights: Sequence[float],
    tick: Tick = lambda: None,
) -> list[Tried]:
    """Return how each question does at each weight. Raises ServiceUnavailable."""
    searches = {weight: services.search.weighing(weight) for weight in weights}
    tried = []
    for expected in questions:
        tried.append(await _try(services, searches, audience, expected))
        tick()
    return tried


async def _try(
    services: Services, searches: dict[float, SearchService], audience: Audience, expected: Expected
) -> Tried:
    vector = await services.embedder.embed_query(expected.question)
    trials, filenames = {}, []
    for weight, search in searches.items():
        passages = await nearest(search, expected.question, audience, vector)
        right = [passage for passage in passages if not expected.refuse and expected.is_right(passage)]
        trials[weight] = _trial(expected, passages, right)
        filenames += [passage.filename for passage in right]
    group = None if expected.refuse else next(iter([expected.file] if expected.file else filenames), expected.text)
    return Tried(group, trials)


def _trial(expected: Expected, passages: Sequence[Passage], right: Sequence[Passage]) -> Trial:
    judge = expected.case.judge
    ranking = judge.rank(passages) if judge else None
    return Trial(
        ndcg=ndcg(ranking.gains, ranking.ideal, k=10) if ranking else None,
        best=max((passage.score for passage in passages), default=None),
        right=max((passage.score for passage in right), default=None),
    )
