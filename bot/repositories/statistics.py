"""In how many chunks of the workspace each term stands: the query's half of BM25. Term 0 counts the chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.lexical import LEXICAL_VERSION
from bot.values import IndexedChunk

CHUNK_COUNT = 0
"""The term that stands for every chunk; hashed terms begin at 1."""


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
