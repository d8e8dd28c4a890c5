"""The local answerer end to end: search, passages, the sentence chosen; with what answers there, and without.

Only for sets whose queries come with answers, and whose documents say their subject (`benchmarks/labelled.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from bot.eval.beir import BeirQuery, BeirSet
from bot.eval.metrics import auc, mean
from bot.eval.sets import Stocked
from bot.llm.extractive import ExtractiveModel
from bot.values import Prompt, Vector

PASSAGES = 3
"""What the local answerer reads of the passages it is given."""


@dataclass(frozen=True)
class Sight:
    """Where a query's answer was, and how sure the answerer."""

    confidence: float
    in_first: bool
    in_three: bool
    in_sight: bool


async def measure(stocked: Stocked, wanted: BeirSet, *, tick: Callable[[], None]) -> dict[str, float | None]:
    """Return the shares of answers in sight, and how well confidence tells answerable questions from others."""
    asked = [query for query in wanted.queries if query.metadata.get("answers")]
    if not asked:
        return {}
    model = ExtractiveModel(stocked.services.embedder, floor=0, passages=PASSAGES)
    groups = {document.id: document.metadata["group"] for document in wanted.documents}
    here, without, elsewhere = [], [], []
    for query in asked:
        theirs = {groups[name] for name in query.gains}
        by_subject = [id_ for id_, names in stocked.names.items() if groups[names[0]] not in theirs]
        others = [id_ for id_, names in stocked.names.items() if not query.gains.keys() & set(names)]
        vector = await stocked.services.embedder.embed_query(query.text)
        here.append(await _look(stocked, model, query, vector, None))
        without.append(await _look(stocked, model, query, vector, others))
        elsewhere.append(await _look(stocked, model, query, vector, by_subject))
        tick()
    sure = [sight.confidence for sight in here]
    return {
        "top1": mean([float(sight.in_first) for sight in here]),
        "top3": mean([float(sight.in_three) for sight in here]),
        "shown": mean([float(sight.in_sight) for sight in here]),
        "auc_article": auc(sure, [sight.confidence for sight in without]),
        "auc_topic": auc(sure, [sight.confidence for sight in elsewhere]),
    }


async def _look(
    stocked: Stocked, model: ExtractiveModel, query: BeirQuery, vector: Vector, document_ids: list[UUID] | None
) -> Sight:
    """Ask among some documents, None: all. Nothing found counts as no confidence at all."""
    found = await stocked.services.search.search(
        query.text, audience=stocked.audience, vector=vector, document_ids=document_ids
    )
    prompt = Prompt(query.text, query.text, found.passages[:PASSAGES], (), found.term_weights)
    scored = await model.rank(prompt)
    shown = "".join([piece async for piece in model.stream(prompt) if isinstance(piece, str)])
    answers = query.metadata["answers"]
    holds = [any(answer in one.candidate.reading for answer in answers) for one in scored[:3]]
    return Sight(
        confidence=scored[0].confidence if scored else 0.0,
        in_first=any(holds[:1]),
        in_three=any(holds),
        in_sight=any(answer in shown for answer in answers),
    )
