"""Asks questions by the bot's own search and answerer, dense, lexical and hybrid side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from bot.eval.case import Case
from bot.eval.outcome import Answered, Found, Outcome
from bot.repositories.passages import PassageRepository
from bot.services.search import SearchService
from bot.values import Answer, Audience, Citation, Passage, Vector
from bot.wiring import Services

LIMIT = 100
"""Passages of a ranking: recall@100 looks no further."""

LEGS = ("dense", "lexical", "hybrid")

Tick = Callable[[], None]
"""Told after each question."""


class Runner:
    """Runs questions among what an audience may read.

    Dense and lexical are the bot's own search, its blend's weight at 0 and at 1; hybrid is the one that the bot uses.
    """

    def __init__(self, services: Services, audience: Audience, *, user_id: UUID, answers: bool) -> None:
        self._services = services
        self._audience = audience
        self._user_id = user_id
        self._answers = answers
        self._searches = {
            "dense": services.search.weighing(0.0),
            "lexical": services.search.weighing(1.0),
            "hybrid": services.search,
        }

    async def run(self, cases: Sequence[Case], *, tick: Tick = lambda: None) -> list[Outcome]:
        """Return what came of each question. Raises ServiceUnavailable: figures of half the questions are worth nothing."""
        outcomes = []
        for case in cases:
            outcomes.append(await self._run(case))
            tick()
        return outcomes

    async def _run(self, case: Case) -> Outcome:
        started = time.perf_counter()
        vector = await self._services.embedder.embed_query(case.text)
        embedding_ms = _ms_since(started)
        legs = {name: await self._find(case, name, vector, embedding_ms) for name in LEGS}
        return Outcome(case, legs, await self._answer(case) if self._answers else None)

    async def _find(self, case: Case, leg: str, vector: Vector, embedding_ms: float) -> Found:
        started = time.perf_counter()
        passages = await nearest(self._searches[leg], case.text, self._audience, vector)
        duration_ms = _ms_since(started) + (0 if leg == "lexical" else embedding_ms)
        return Found(case.judge.rank(passages) if case.judge else None, duration_ms)

    async def _answer(self, case: Case) -> Answered:
        started = time.perf_counter()
        answer = await self._services.answers.rehearse(self._audience, case.text, user_id=self._user_id)
        duration_ms = _ms_since(started)
        return Answered(answer.found, len(answer.citations), await self._verified(answer), answer.usage, duration_ms)

    async def _verified(self, answer: Answer) -> int:
        """Return how many quotes stand, word for word, where they say: read anew from the database."""
        chunk_ids = [citation.chunk_id for citation in answer.citations]
        async with self._services.sessions.reading(self._audience) as session:
            found = await PassageRepository(session).list_passages(
                self._audience.team_id, list(dict.fromkeys(chunk_ids)), audience=self._audience
            )
        passages = {passage.chunk_id: passage for passage in found}
        return sum(stands(citation, passages.get(citation.chunk_id)) for citation in answer.citations)


async def nearest(search: SearchService, text: str, audience: Audience, vector: Vector) -> Sequence[Passage]:
    """Return the best passages, floor or no floor: a ranking is judged whole."""
    return (await search.search(text, audience=audience, limit=LIMIT, vector=vector)).nearest


def stands(citation: Citation, passage: Passage | None) -> bool:
    """Tell whether a quote is what its passage holds at its offsets."""
    if passage is None:
        return False
    start = citation.char_start - passage.char_start
    return start >= 0 and bool(citation.quote) and passage.text.startswith(citation.quote, start)


def _ms_since(started: float) -> float:
    return 1000 * (time.perf_counter() - started)
