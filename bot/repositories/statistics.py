"""In how many chunks of the workspace each term stands: the query's half of BM25. Term 0 counts the chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.types import pack_sparsevecs
from bot.text.lexical import LEXICAL_VERSION
from bot.values import IndexedChunk, TermWeights

CHUNK_COUNT = 0
"""The term that stands for every chunk; hashed terms begin at 1."""


@dataclass(frozen=True, slots=True)
class Outdated:
    """A chunk whose lexical vector an older version of ours made: all that a new one is made of."""

    chunk_id: UUID
    text: str
    heading: str | None
    language: str | None


class StatisticsRepository:
    """Counts terms as chunks come and go."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self, team_id: str, chunks: Sequence[IndexedChunk], *, lexical_version: int = LEXICAL_VERSION
    ) -> None:
        """Count the terms of chunks just stored. Best done last in a transaction: it locks each term's row."""
        counts = Counter(term for chunk in chunks for term in chunk.lexical)
        await self.add_counts(team_id, {CHUNK_COUNT: len(chunks), **counts}, lexical_version=lexical_version)

    async def add_counts(
        self, team_id: str, counts: Mapping[int, int], *, lexical_version: int = LEXICAL_VERSION
    ) -> None:
        """Add to each term's count. Rows are locked in the terms' order, as by everybody: no deadlock."""
        parameters = {
            "team": team_id,
            "version": lexical_version,
            "terms": list(counts),
            "counts": list(counts.values()),
        }
        await self._session.execute(_ADD, parameters)

    async def get_counts(self, team_id: str, *, lexical_version: int = LEXICAL_VERSION) -> dict[int, int]:
        """Return every term's count."""
        statement = text("""
            SELECT term, chunk_count FROM term_statistics WHERE team_id = :team AND lexical_version = :version
        """)
        rows = await self._session.execute(statement, {"team": team_id, "version": lexical_version})
        return {row.term: row.chunk_count for row in rows}

    async def list_outdated(self, team_id: str, *, limit: int) -> list[Outdated]:
        """Return chunks with a lexical vector of another version than this release makes."""
        parameters = {"team": team_id, "version": LEXICAL_VERSION, "limit": limit}
        return [Outdated(*row) for row in await self._session.execute(_LIST_OUTDATED, parameters)]

    async def replace(self, team_id: str, weights: Mapping[UUID, TermWeights]) -> None:
        """Store these chunks' lexical vectors in place of outdated ones, and count their terms."""
        parameters = {
            "team": team_id,
            "version": LEXICAL_VERSION,
            "chunks": list(weights),
            "lexicals": pack_sparsevecs(list(weights.values())),
        }
        done = set(await self._session.scalars(_REPLACE, parameters))
        counts = Counter(term for chunk_id in done for term in weights[chunk_id])
        await self.add_counts(team_id, {CHUNK_COUNT: len(done), **counts})

    async def recount(self, team_id: str) -> int:
        """Count every term anew, and forget the counts of other versions; return how many were wrong.

        Whoever adds or takes away locks the number of chunks first, and so waits until this is done.
        """
        parameters = {"team": team_id, "version": LEXICAL_VERSION}
        await self._session.execute(_LOCK_COUNT, parameters)
        await self._session.execute(_FORGET_OTHERS, parameters)
        return int((await self._session.execute(_RECOUNT, parameters)).scalar_one())


async def subtract_statistics(session: AsyncSession, condition: str, parameters: Mapping[str, Any]) -> None:
    """Take the chunks about to be deleted out of the counts. `condition` chooses rows of chunk_embeddings as `e`.

    A chunk with vectors of two models counts once. Binds :team.
    """
    await session.execute(text(_SUBTRACT.format(condition=condition)), parameters)


_ADD = text("""
    INSERT INTO term_statistics (team_id, lexical_version, term, chunk_count)
    SELECT :team, :version, term, chunk_count
      FROM unnest(CAST(:terms AS integer[]), CAST(:counts AS integer[])) AS added (term, chunk_count)
     ORDER BY term
    ON CONFLICT (team_id, lexical_version, term) DO UPDATE
       SET chunk_count = term_statistics.chunk_count + excluded.chunk_count
""")

_LIST_OUTDATED = text("""
    SELECT c.id, c.content, c.heading, c.language
      FROM (SELECT DISTINCT chunk_id FROM chunk_embeddings
             WHERE team_id = :team AND lexical_version <> :version LIMIT :limit) e
      JOIN document_chunks c ON c.team_id = :team AND c.id = e.chunk_id
     ORDER BY c.id
""")

_REPLACE = text("""
    WITH replaced AS (
        UPDATE chunk_embeddings e SET lexical = n.lexical, lexical_version = :version
          FROM unnest(CAST(:chunks AS uuid[]), CAST(:lexicals AS sparsevec[])) AS n (chunk_id, lexical)
         WHERE e.team_id = :team AND e.chunk_id = n.chunk_id AND e.lexical_version <> :version
        RETURNING e.chunk_id
    )
    SELECT DISTINCT chunk_id FROM replaced
""")

_LOCK_COUNT = text("""
    SELECT chunk_count FROM term_statistics
     WHERE team_id = :team AND lexical_version = :version AND term = 0 FOR UPDATE
""")

_FORGET_OTHERS = text("""
    DELETE FROM term_statistics s
     WHERE s.team_id = :team AND s.lexical_version <> :version
       AND NOT EXISTS (SELECT FROM chunk_embeddings e
                        WHERE e.team_id = :team AND e.lexical_version = s.lexical_version)
""")

_RECOUNT = text("""
    WITH stored AS (
        SELECT DISTINCT ON (chunk_id) CAST(lexical AS text) AS lexical
          FROM chunk_embeddings WHERE team_id = :team AND lexical_version = :version ORDER BY chunk_id
    ), counted AS (
        SELECT CAST(split_part(entry, ':', 1) AS integer) AS term, count(*) AS chunk_count
          FROM stored, string_to_table(substring(lexical FROM '^{(.+)}'), ',') AS entry GROUP BY 1
        UNION ALL
        SELECT 0, count(*) FROM stored
    ), missed AS (
        INSERT INTO term_statistics (team_id, lexical_version, term, chunk_count)
        SELECT :team, :version, term, chunk_count FROM counted ORDER BY term
        ON CONFLICT (team_id, lexical_version, term) DO UPDATE SET chunk_count = excluded.chunk_count
         WHERE term_statistics.chunk_count <> excluded.chunk_count
        RETURNING term
    ), left_over AS (
        DELETE FROM term_statistics
         WHERE team_id = :team AND lexical_version = :version AND term NOT IN (SELECT term FROM counted)
        RETURNING chunk_count
    )
    SELECT (SELECT count(*) FROM missed) + (SELECT count(*) FROM left_over WHERE chunk_count > 0)
""")

# A sparsevec's text is {term:weight,term:weight}/dimensions.
_SUBTRACT = """
    WITH gone AS (
        SELECT DISTINCT ON (e.chunk_id) e.lexical_version, CAST(e.lexical AS text) AS lexical
          FROM chunk_embeddings e WHERE e.team_id = :team AND {condition}
         ORDER BY e.chunk_id, e.lexical_version
    ), terms AS (
        SELECT lexical_version, CAST(split_part(entry, ':', 1) AS integer) AS term
          FROM gone, string_to_table(substring(lexical FROM '^{{(.+)}}'), ',') AS entry
        UNION ALL
        SELECT lexical_version, 0 FROM gone
    ), counts AS (
        SELECT lexical_version, term, count(*) AS chunk_count FROM terms GROUP BY lexical_version, term
    ), locked AS MATERIALIZED (
        SELECT s.lexical_version, s.term, c.chunk_count
          FROM counts c JOIN term_statistics s USING (lexical_version, term)
         WHERE s.team_id = :team
         ORDER BY s.lexical_version, s.term
           FOR UPDATE OF s
    )
    UPDATE term_statistics s SET chunk_count = greatest(0, s.chunk_count - l.chunk_count)
      FROM locked l
     WHERE s.team_id = :team AND s.lexical_version = l.lexical_version AND s.term = l.term
"""
