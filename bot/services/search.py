"""Finding passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import structlog

from bot.db.engine import Sessions
from bot.errors import ModelUnavailable
from bot.llm import Embedder
from bot.repositories.channels import ChannelRepository
from bot.repositories.passages import PassageRepository
from bot.text.lexical import query_words
from bot.text.proximity import Nearness
from bot.values import Audience, ModelId, SearchResult, Vector

log = structlog.get_logger()

REORDERED = 20
"""How many of the best by score are put in order once more, by how near the question's words stand to each other."""


class SearchService:
    """Finds passages for a question among what its audience may read."""

    def __init__(
        self, sessions: Sessions, embedder: Embedder, *, passage_limit: int, floor: float, weight: float
    ) -> None:
        self._sessions = sessions
        self._embedder = embedder
        self._passage_limit = passage_limit
        self._floor = floor
        self._weight = weight

    def weighing(self, weight: float) -> SearchService:
        """Return the same search with another lexical share of the score: 0 is dense alone, 1 lexical alone."""
        return SearchService(
            self._sessions, self._embedder, passage_limit=self._passage_limit, floor=self._floor, weight=weight
        )

    async def embed(self, text: str) -> Vector | None:
        """Return the question's vector, shape (dimensions,); None when the embedding model doesn't answer."""
        try:
            return await self._embedder.embed_query(text)
        except ModelUnavailable as error:
            log.warning("search.by_words_alone", reason=str(error))
            return None

    async def search(
        self,
        text: str,
        *,
        audience: Audience,
        limit: int | None = None,
        document_ids: Sequence[UUID] | None = None,
        prefer: str | None = None,
        spread: bool = False,
        model_id: ModelId | None = None,
        vector: Vector | None = None,
        by_words: bool = False,
    ) -> SearchResult:
        """Return the passages nearest to `text`, best first; none when nothing clears the floor.

        What a passage's document is called, and where, is told by its share in the channel `prefer`, if it has one there.
        `spread`: at most half of them are of one document, while others come nearly as near to the text as the best.
        `model_id` and `vector` spare a look-up and an embedding where the caller has them; `by_words` asks for no
        embedding at all. Without one, as when the embedding model doesn't answer, BM25 alone makes the score.
        """
        limit = limit or self._passage_limit
        if vector is None and not by_words:
            vector = await self.embed(text)
        async with self._sessions.reading(audience) as session:
            if model_id is None:
                model_id = await ChannelRepository(session).get_embedding_model(audience.team_id)
            if model_id is None:
                return SearchResult()
            found = await PassageRepository(session).search(
                audience.team_id,
                query_words=query_words(text),
                vector=vector,
                model_id=model_id,
                audience=audience,
                weight=self._weight,
                floor=self._floor,
                limit=limit if spread else max(limit, REORDERED),
                share=(limit + 1) // 2 if spread else None,
                document_ids=document_ids,
                prefer=prefer,
            )
        is_blend = 0 < self._weight < 1  # each half alone stays as it is: evaluations set them side by side
        return _ordered(text, found, limit=limit) if is_blend else found.cut(limit)


def _ordered(text: str, found: SearchResult, *, limit: int) -> SearchResult:
    """Return the best `limit` passages, those whose words stand nearer to each other first. Scores stay what they are."""
    nearness = Nearness(text, found.term_weights)
    rank = {passage.chunk_id: passage.score + nearness.bonus(passage.text) for passage in found.nearest[:REORDERED]}
    order = sorted(found.nearest[:REORDERED], key=lambda passage: -rank[passage.chunk_id])
    nearest = (*order, *found.nearest[REORDERED:])
    kept = {passage.chunk_id for passage in found.passages}
    return replace(found, passages=tuple(p for p in nearest if p.chunk_id in kept), nearest=nearest).cut(limit)
