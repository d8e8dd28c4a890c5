"""Passages: stored chunks with both their vectors, and the ways to find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import DocumentChunk, DocumentShare
from bot.db.types import pack_halfvec, pack_sparsevecs
from bot.repositories.blend import (
    PASSAGE,
    PASSAGE_SOURCES,
    SEARCH,
    VISIBLE,
    passage_from,
    search_parameters,
    search_result,
    visible_parameters,
)
from bot.repositories.neighbours import EXACT_SETTINGS, INDEX_SETTINGS, OVERFETCH, Metric, Neighbour, VectorIndex
from bot.repositories.statistics import subtract_statistics
from bot.text.clean import clean, clean_or_none, to_json
from bot.text.lexical import LEXICAL_VERSION
from bot.values import Audience, IndexedChunk, ModelId, Passage, QueryWord, SearchResult, Vector, new_id

BATCH = 500
"""Chunks sent in one statement: some 2 MB."""


class PassageRepository:
    """Keeps passages, and finds them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def store(
        self,
        team_id: str,
        document_id: UUID,
        model_id: ModelId,
        chunks: Sequence[IndexedChunk],
        *,
        language: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Store chunks of a document that is held (ReadingRepository.hold); return how many.

        Counting their terms is a step of its own (StatisticsRepository.add), best left to the end of the transaction.
        """
        shared = {
            "team": team_id,
            "document": document_id,
            "model": model_id,
            "language": clean_or_none(language),
            "metadata": to_json(dict(metadata or {})),
            "version": LEXICAL_VERSION,
        }
        for batch in _batches(chunks):
            ids = [new_id() for _ in batch]
            await self._session.execute(_INSERT_CHUNKS, {**shared, **_chunk_columns(ids, batch)})
            await self._session.execute(_INSERT_VECTORS, {**shared, **_vector_columns(ids, batch)})
        return len(chunks)

    async def delete(self, team_id: str, document_id: UUID) -> None:
        """Delete the chunks of a document that is held, their terms leaving the statistics.

        Store others in a later transaction: each counts terms once, in their order, or two could wait for each other.
        """
        parameters = {"team": team_id, "document": document_id}
        await subtract_statistics(self._session, "e.document_id = :document", parameters)
        await self._session.execute(_DELETE, parameters)

    async def search(
        self,
        team_id: str,
        *,
        query_words: Sequence[QueryWord],
        vector: Vector | None,
        model_id: ModelId,
        audience: Audience,
        weight: float = 0.5,
        floor: float,
        limit: int,
        share: int | None = None,
        document_ids: Sequence[UUID] | None = None,
        prefer: str | None = None,
    ) -> SearchResult:
        """Return the best of what the audience may read: every visible chunk is scored, in one statement.

        `weight` is the lexical share of the score; it is 1 without a `vector`. One document gives at most `share` passages
        while others come near the best (`blend.NEAR`) and clear the floor. Of a passage's shares the one in channel
        `prefer` is named, when there is one.
        """
        _same_team(team_id, audience)
        parameters = search_parameters(
            audience,
            model_id,
            query_words,
            vector,
            weight=weight,
            floor=floor,
            limit=limit,
            share=share,
            document_ids=document_ids,
            prefer=prefer,
        )
        return search_result((await self._session.execute(SEARCH, parameters)).all(), floor=floor)

    async def nearest(
        self,
        team_id: str,
        vector: Vector,
        *,
        model_id: ModelId,
        dimensions: int,
        audience: Audience,
        limit: int,
        metric: Metric = "cosine",
        max_distance: float | None = None,
        document_ids: Sequence[UUID] | None = None,
        approximate: bool = False,
    ) -> list[Neighbour]:
        """Return the passages whose vectors are nearest by one measure, at most `max_distance` away.

        `approximate` takes the HNSW index of this model and measure, where there is one; should it yield fewer rows
        than wanted, the search is done again, exactly.
        """
        _same_team(team_id, audience)
        index = VectorIndex(model_id, dimensions, metric)
        parameters: dict[str, Any] = {
            **visible_parameters(audience, model_id, document_ids),
            "vector": pack_halfvec(vector),
            "limit": limit,
            "candidates": limit * OVERFETCH if approximate else limit,
        }
        rows: Sequence[Any] = ()
        if approximate:
            await self._session.execute(INDEX_SETTINGS)
            rows = (await self._session.execute(index.nearest(approximate=True), parameters)).mappings().all()
            await self._session.execute(EXACT_SETTINGS)
        if len(rows) < limit:
            parameters["candidates"] = limit
            rows = (await self._session.execute(index.nearest(approximate=False), parameters)).mappings().all()
        found = [Neighbour(_scored(row, metric), row["distance"]) for row in rows]
        return [neighbour for neighbour in found if max_distance is None or neighbour.distance <= max_distance]

    async def count_visible(self, team_id: str, *, audience: Audience, model_id: ModelId, cap: int) -> int:
        """Return how many chunks an exact search would score; counting stops at `cap`."""
        _same_team(team_id, audience)
        statement = text(f"SELECT count(*) FROM (SELECT 1 FROM {VISIBLE} LIMIT :cap) AS seen")
        parameters = {**visible_parameters(audience, model_id, None), "cap": cap}
        return (await self._session.execute(statement, parameters)).scalar_one()  # type: ignore[no-any-return]

    async def list_chunks(
        self, team_id: str, document_id: UUID, *, audience: Audience, after_index: int = -1, limit: int = 100
    ) -> list[DocumentChunk]:
        """Return a document's chunks in order, from the one after `after_index`; [] when the audience can't read it."""
        _same_team(team_id, audience)
        shared = select(DocumentShare.document_id).where(
            DocumentShare.team_id == team_id, DocumentShare.channel_id.in_(sorted(audience.channel_ids))
        )
        statement = (
            select(DocumentChunk)
            .where(DocumentChunk.team_id == team_id, DocumentChunk.document_id == document_id)
            .where(DocumentChunk.document_id.in_(shared), DocumentChunk.chunk_index > after_index)
            .order_by(DocumentChunk.chunk_index)
            .limit(limit)
        )
        return list(await self._session.scalars(statement.execution_options(populate_existing=True)))

    async def list_passages(self, team_id: str, chunk_ids: Sequence[UUID], *, audience: Audience) -> list[Passage]:
        """Return these chunks as passages, in the order asked; those gone, or not the audience's to read, are left out."""
        _same_team(team_id, audience)
        parameters = {
            "team": team_id,
            "chunks": list(chunk_ids),
            "channels": sorted(audience.channel_ids),
            "prefer": None,
        }
        rows = (await self._session.execute(_LIST_PASSAGES, parameters)).mappings()
        return [passage_from(row) for row in rows]


def _batches(chunks: Sequence[IndexedChunk]) -> Iterator[Sequence[IndexedChunk]]:
    return (chunks[start : start + BATCH] for start in range(0, len(chunks), BATCH))


def _chunk_columns(ids: list[UUID], batch: Sequence[IndexedChunk]) -> dict[str, list[Any]]:
    chunks = [indexed.chunk for indexed in batch]
    return {
        "ids": ids,
        "indexes": [chunk.index for chunk in chunks],
        "contents": [clean(chunk.text) for chunk in chunks],
        "token_counts": [chunk.token_count for chunk in chunks],
        "pages": [chunk.page for chunk in chunks],
        "starts": [chunk.char_start for chunk in chunks],
        "ends": [chunk.char_end for chunk in chunks],
        "headings": [clean_or_none(chunk.heading) for chunk in chunks],
    }


def _vector_columns(ids: list[UUID], batch: Sequence[IndexedChunk]) -> dict[str, list[Any]]:
    return {
        "ids": ids,
        "embeddings": [pack_halfvec(indexed.embedding) for indexed in batch],
        "lexicals": pack_sparsevecs([indexed.lexical for indexed in batch]),
    }


def _scored(row: Mapping[str, Any], metric: Metric) -> Passage:
    distance = row["distance"]
    cosine = {"cosine": 1 - distance, "inner_product": -distance, "l2": 1 - distance * distance / 2}[metric]
    return passage_from(row, cosine=cosine, score=cosine)  # type: ignore[arg-type]


def _same_team(team_id: str, audience: Audience) -> None:
    if audience.team_id != team_id:
        raise ValueError("an audience of another workspace")


# COPY would be a little faster, but is refused under row-level security.
_INSERT_CHUNKS = text("""
    INSERT INTO document_chunks (team_id, id, document_id, chunk_index, content, token_count, page, char_start, char_end,
                                 heading, language, metadata)
    SELECT :team, id, CAST(:document AS uuid), chunk_index, content, token_count, page, char_start, char_end, heading,
           CAST(:language AS text), CAST(:metadata AS jsonb)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:indexes AS integer[]), CAST(:contents AS text[]),
                  CAST(:token_counts AS integer[]), CAST(:pages AS integer[]), CAST(:starts AS integer[]),
                  CAST(:ends AS integer[]), CAST(:headings AS text[]))
           AS t (id, chunk_index, content, token_count, page, char_start, char_end, heading)
""")

_INSERT_VECTORS = text("""
    INSERT INTO chunk_embeddings (team_id, model_id, document_id, chunk_id, embedding, lexical, lexical_version)
    SELECT :team, CAST(:model AS smallint), CAST(:document AS uuid), chunk_id, embedding, lexical,
           CAST(:version AS smallint)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:embeddings AS halfvec[]), CAST(:lexicals AS sparsevec[]))
           AS t (chunk_id, embedding, lexical)
""")

_DELETE = text("DELETE FROM document_chunks WHERE team_id = :team AND document_id = :document")

_LIST_PASSAGES = text(f"""
    SELECT {PASSAGE}
      FROM unnest(CAST(:chunks AS uuid[])) WITH ORDINALITY AS found (chunk_id, place) {PASSAGE_SOURCES}
     ORDER BY found.place
""")
