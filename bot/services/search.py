"""Finding passages."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from bot.db.engine import Sessions
from bot.llm import Embedder
from bot.repositories.channels import ChannelRepository
from bot.repositories.passages import PassageRepository
from bot.text.lexical import query_terms
from bot.values import Audience, ModelId, SearchResult, Vector


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

    async def embed(self, text: str) -> Vector:
        """Return the question's vector, shape (dimensions,). Raises ModelUnavailable."""
        return await self._embedder.embed_query(text)

    async def search(
        self,
        text: str,
        *,
        audience: Audience,
        limit: int | None = None,
        document_ids: Sequence[UUID] | None = None,
        model_id: ModelId | None = None,
        vector: Vector | None = None,
    ) -> SearchResult:
        """Return the passages nearest to `text`, best first; none when nothing clears the floor.

        `model_id` and `vector` spare a look-up and an embedding where the caller has them.
        Raises ModelUnavailable when the embedder fails; nothing is stored either way.
        """
        if vector is None:
            vector = await self._embedder.embed_query(text)
        async with self._sessions.tenant(audience.team_id) as session:
            if model_id is None:
                model_id = await ChannelRepository(session).get_embedding_model(audience.team_id)
            if model_id is None:
                return SearchResult()
            return await PassageRepository(session).search(
                audience.team_id,
                query_terms=query_terms(text),
                vector=vector,
                model_id=model_id,
                audience=audience,
                weight=self._weight,
                floor=self._floor,
                limit=limit or self._passage_limit,
                document_ids=document_ids,
            )
