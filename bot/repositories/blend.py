"""Search in one statement: BM25 and cosine over every row the audience may read, blended.

score = w · BM25 / Σ idf·qtf·(k1 + 1) + (1 − w) · cosine. The divisor is the most that this query could get, so that
scores compare across queries, and one number serves as rank and as floor. The statement is exact: it scores every
visible row. Why so, and its measurements: docs/decisions/0003-extractive-answers.md.

A word's terms in all languages count as one word, which is as rare as they are together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, RowMapping, text

from bot.db.types import LEXICAL_DIMENSIONS, pack_halfvec
from bot.repositories.naming import NAME, SHOWN_FIRST
from bot.text.lexical import K1, LEXICAL_VERSION
from bot.values import Audience, ModelId, Passage, QueryWord, SearchResult, Vector

NEAR = 0.8
"""Of the best score: whatever comes as near takes the place of passages beyond their document's share.

A share of four in eight passages then costs nothing: recall@8 of the evidence stays .768 on LoCoMo with each conversation
as one document, and .992 on XQuAD. At 0.7 it would be .760, and .728 for anything above the floor: long documents are
asked about often.
"""

CANDIDATES = 256
"""Passages among which no document gets more than its share: one that fills them all by itself still does."""

READABLE = """
    SELECT s.document_id FROM document_shares s
     WHERE s.team_id = :team AND s.channel_id = ANY(CAST(:channels AS text[]))
       AND (CAST(:documents AS uuid[]) IS NULL OR s.document_id = ANY(CAST(:documents AS uuid[])))
       AND s.document_id NOT IN (
           SELECT id FROM documents WHERE team_id = :team AND status IN ('processing', 'error'))"""
"""Chooses the documents that an audience may read: whole ones. Those that aren't are few, and listed by an index."""

VISIBLE = f"""
    (SELECT DISTINCT document_id FROM ({READABLE} OFFSET 0) AS readable OFFSET 0) AS r
    CROSS JOIN LATERAL (
        SELECT * FROM chunk_embeddings
         WHERE team_id = :team AND model_id = :model AND document_id = r.document_id OFFSET 0) AS e"""
"""Rows of chunk_embeddings as `e`: what an audience may read, by one model's vectors.

Document by document, by OFFSET 0: given the lot, the planner guesses at ten, and reads a table of few large documents
from end to end.
"""

PASSAGE = f"""
    c.id AS chunk_id, c.document_id, {NAME} AS filename, c.content, c.char_start, c.char_end, c.page, c.heading,
    s.channel_id, s.message_ts, s.thread_ts"""

PASSAGE_SOURCES = f"""
    JOIN LATERAL (
        SELECT * FROM document_chunks WHERE team_id = :team AND id = found.chunk_id OFFSET 0) c ON true
    JOIN LATERAL (
        SELECT filename, created_at FROM documents WHERE team_id = :team AND id = c.document_id AND status = 'ready' OFFSET 0) d ON true
    JOIN LATERAL (
        SELECT s.channel_id, s.message_ts, s.thread_ts, s.filename, s.created_at FROM document_shares s
         WHERE s.team_id = :team AND s.document_id = c.document_id AND s.channel_id = ANY(CAST(:channels AS text[]))
         ORDER BY s.channel_id <> CAST(:prefer AS text), {SHOWN_FIRST} LIMIT 1) s ON true"""
"""Fetches what a person sees of rows `found (chunk_id)`: name and place by one share that the audience may know of.

Row by row, by OFFSET 0: a planner without statistics, as after the first documents, would join by reading them all.
"""

SEARCH = text(f"""
WITH counted AS MATERIALIZED (
    SELECT q.term, q.qtf, q.word, q.is_own, coalesce(t.chunk_count, 0) AS chunks,
           sum(coalesce(t.chunk_count, 0)) OVER (PARTITION BY q.word) AS df
      FROM unnest(CAST(:terms AS integer[]), CAST(:counts AS integer[]), CAST(:words AS integer[]),
                  CAST(:own AS boolean[])) AS q (term, qtf, word, is_own)
      LEFT JOIN term_statistics t ON t.team_id = :team AND t.lexical_version = :version AND t.term = q.term
), asked AS MATERIALIZED (
    SELECT term, qtf, is_own, ln(1 + (greatest(all_chunks.chunks, df) - df + .5) / (df + .5)) AS idf
      FROM counted
     CROSS JOIN (SELECT coalesce(sum(chunk_count), 0) AS chunks FROM term_statistics
                  WHERE team_id = :team AND lexical_version = :version AND term = 0) AS all_chunks
     WHERE is_own OR counted.chunks > 0
), ceiling AS MATERIALIZED (
    SELECT sum(idf * qtf * CAST(:k1 AS double precision) + idf * qtf) AS most FROM asked WHERE is_own
), query AS MATERIALIZED (
    SELECT CAST('{{' || coalesce(string_agg(term || ':' || CAST(idf * qtf / most AS real), ',' ORDER BY term), '')
                || '}}/{LEXICAL_DIMENSIONS}' AS sparsevec) AS lexical
      FROM asked CROSS JOIN ceiling
), candidates AS MATERIALIZED (
    SELECT chunk_id, document_id, cosine, lexical,
           CAST(:weight AS double precision) * lexical + (1 - CAST(:weight AS double precision)) * cosine AS score
      FROM (SELECT e.chunk_id, e.document_id,
                   coalesce(-(e.embedding <#> CAST(:vector AS halfvec)), 0) AS cosine,
                   CASE e.lexical_version WHEN :version
                        THEN -(e.lexical <#> (SELECT lexical FROM query)) ELSE 0 END AS lexical
              FROM {VISIBLE}
            OFFSET 0) AS scored  -- so that each score is computed once
     ORDER BY score DESC, chunk_id
     LIMIT :candidates
), found AS MATERIALIZED (
    SELECT chunk_id, cosine, lexical, score
      FROM (SELECT *, row_number() OVER (PARTITION BY document_id ORDER BY score DESC, chunk_id) AS place,
                   max(score) OVER () AS best
              FROM candidates) AS placed
     ORDER BY score < CAST(:floor AS double precision),
              score >= CAST(:floor AS double precision) AND (place > :share OR score < {NEAR} * best), score DESC, chunk_id
     LIMIT :limit
)
SELECT (SELECT json_object_agg(term, idf) FROM asked) AS term_weights,
       found.cosine, found.lexical, found.score, {PASSAGE}
  FROM found {PASSAGE_SOURCES}
 ORDER BY found.score DESC, found.chunk_id
""")


def search_parameters(
    audience: Audience,
    model_id: ModelId,
    query_words: Sequence[QueryWord],
    vector: Vector | None,
    *,
    weight: float,
    floor: float,
    limit: int,
    share: int | None,
    document_ids: Sequence[UUID] | None,
    prefer: str | None,
) -> dict[str, Any]:
    """Return what `SEARCH` binds. Without a vector the lexical score stands alone; without a `share`, a document has all."""
    asked = [(term, place, word) for place, word in enumerate(query_words) for term in word.terms]
    return {
        **visible_parameters(audience, model_id, document_ids, prefer=prefer),
        "terms": [term for term, _, _ in asked],
        "counts": [word.count for _, _, word in asked],
        "words": [place for _, place, _ in asked],
        "own": [term == word.own for term, _, word in asked],
        "version": LEXICAL_VERSION,
        "k1": K1,
        "vector": None if vector is None else pack_halfvec(vector),
        "weight": 1.0 if vector is None else weight,
        "floor": floor,
        "limit": limit,
        "share": limit if share is None else share,
        "candidates": limit if share is None else max(limit, CANDIDATES),
    }


def visible_parameters(
    audience: Audience, model_id: ModelId, document_ids: Sequence[UUID] | None, *, prefer: str | None = None
) -> dict[str, Any]:
    """Return what `VISIBLE` and `PASSAGE_SOURCES` bind."""
    return {
        "team": audience.team_id,
        "model": model_id,
        "channels": sorted(audience.channel_ids),
        "documents": None if document_ids is None else list(document_ids),
        "prefer": prefer,
    }


def search_result(rows: Sequence[Row[Any]], *, floor: float) -> SearchResult:
    """Return the value made from `SEARCH`'s rows."""
    nearest = tuple(
        passage_from(
            row._mapping,  # noqa: SLF001  # the public name of a row's mapping, in spite of its look
            cosine=min(1.0, row.cosine),
            lexical=min(1.0, row.lexical),
            score=min(1.0, row.score),
        )
        for row in rows
    )
    weights = (rows[0].term_weights or {}) if rows else {}
    return SearchResult(
        passages=tuple(passage for passage in nearest if passage.score >= floor),
        nearest=nearest,
        term_weights={int(term): float(weight) for term, weight in weights.items()},
    )


def passage_from(row: RowMapping, *, cosine: float = 0.0, lexical: float = 0.0, score: float = 0.0) -> Passage:
    """Return the passage of a row with the columns of `PASSAGE`."""
    return Passage(
        chunk_id=row["chunk_id"],
        document_id=row["document_id"],
        filename=row["filename"],
        text=row["content"],
        char_start=row["char_start"],
        char_end=row["char_end"],
        page=row["page"],
        heading=row["heading"],
        cosine=cosine,
        lexical=lexical,
        score=score,
        channel_id=row["channel_id"],
        message_ts=row["message_ts"],
        thread_ts=row["thread_ts"],
    )
