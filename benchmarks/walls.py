"""What row-level security costs a search: the same statement by the bot's role and by one that no policy holds back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.place import TEAM, Place
from benchmarks.result import Measure
from benchmarks.rows import Maker, count_terms, prepare_team, record_document, store
from benchmarks.search import LIMIT, WEIGHT, Asked
from bot.db.engine import Session, Sessions, build_engine
from bot.db.guard import close_engine
from bot.repositories.passages import PassageRepository
from bot.text.lexical import query_words
from bot.values import Audience, ModelId

CHUNKS = 60_000
VISIBLE = (1_000, 10_000, 50_000)
QUERIES = 40
AT_MOST = 1.5
MADE = 1_000
"""Chunks that are stored as ingestion does; the others are copies."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How long documents are: the shorter, the more of them a policy has to look up."""

    name: str
    title: str
    document_chunks: int


SHAPES = (Shape("", "documents of 100 chunks", 100), Shape("short_", "documents of 5 chunks", 5))


async def measure(
    place: Place, shape: Shape, *, chunks: int = CHUNKS, visible: Sequence[int] = VISIBLE, queries: int = QUERIES
) -> list[Measure]:
    """Fill a workspace, and search among so many of its chunks in both ways by turns."""
    maker = Maker(seed=11)
    model_id = await _fill(place, maker, shape, chunks, visible)
    asked = [Asked(" ".join(maker.text().split()[:12]), maker.vector()) for _ in range(queries)]
    engine = build_engine(place.owner_url, pool_size=1)
    try:
        return [
            await _compare(place, Sessions(engine), shape, model_id, asked, seen=seen, channels=channels)
            for channels, seen in enumerate(visible, 1)
        ]
    finally:
        await close_engine(engine)


async def _fill(place: Place, maker: Maker, shape: Shape, chunks: int, visible: Sequence[int]) -> ModelId:
    """Store documents, and copies of them: in the first channels as many chunks as are to be seen there."""
    user_id, model_id = await prepare_team(place)
    made = maker.chunks(min(MADE, chunks))
    for start in range(0, len(made), shape.document_chunks):
        document_id = await record_document(place, user_id, channel_id="C0")
        taken = made[start : start + shape.document_chunks]
        document = [replace(one, chunk=replace(one.chunk, index=index)) for index, one in enumerate(taken)]
        await store(place, document_id, model_id, document)
    await count_terms(place, made)
    owner = await place.connect_as_owner()
    await owner.execute(_PLACE, chunks // len(made) - 1, len(made), shape.document_chunks, list(visible))
    for statement in _COPY:
        await owner.execute(statement)
    await owner.execute("VACUUM ANALYZE")
    await owner.close()
    return model_id


_PLACE = """
    CREATE TEMPORARY TABLE copies AS
    SELECT placed.*, 'C' || (SELECT count(*) FROM unnest(CAST($4 AS bigint[])) AS seen WHERE begins >= seen) AS channel_id
      FROM (SELECT d.id AS of, n, CASE n WHEN 0 THEN d.id ELSE CAST(md5(d.id || '/' || n) AS uuid) END AS id,
                   n * $2 + (rank() OVER (PARTITION BY n ORDER BY d.id) - 1) * $3 AS begins
              FROM documents d CROSS JOIN generate_series(0, $1) AS n) AS placed
"""
"""The documents that are there and those to come: where each begins among all chunks decides on its channel."""

_COPY = (
    """INSERT INTO documents (team_id, id, uploader_id, filename, status)
       SELECT d.team_id, c.id, d.uploader_id, d.filename, d.status FROM copies c JOIN documents d ON d.id = c.of
        WHERE n > 0 ORDER BY begins""",
    "UPDATE document_shares s SET channel_id = c.channel_id FROM copies c WHERE c.id = s.document_id",
    """INSERT INTO document_shares (team_id, id, document_id, channel_id, shared_by)
       SELECT s.team_id, c.id, c.id, c.channel_id, s.shared_by FROM copies c JOIN document_shares s ON s.document_id = c.of
        WHERE n > 0 ORDER BY begins""",
    """INSERT INTO document_chunks (team_id, id, document_id, chunk_index, content, token_count, char_start, char_end)
       SELECT t.team_id, CAST(md5(t.id || '/' || n) AS uuid), c.id, chunk_index, content, token_count, char_start, char_end
         FROM copies c JOIN document_chunks t ON t.document_id = c.of WHERE n > 0 ORDER BY begins, chunk_index""",
    """INSERT INTO chunk_embeddings (team_id, model_id, document_id, chunk_id, embedding, lexical, lexical_version)
       SELECT e.team_id, model_id, c.id, CAST(md5(e.chunk_id || '/' || n) AS uuid), embedding, lexical, lexical_version
         FROM copies c JOIN chunk_embeddings e ON e.document_id = c.of WHERE n > 0 ORDER BY begins, e.chunk_id""",
)
"""A copy costs a search what the document costs, and storing it next to nothing."""


async def _compare(
    place: Place,
    unheld: Sessions,
    shape: Shape,
    model_id: ModelId,
    asked: Sequence[Asked],
    *,
    seen: int,
    channels: int,
) -> Measure:
    audience = Audience(TEAM, frozenset(f"C{number}" for number in range(channels)))
    behind: list[float] = []
    without: list[float] = []
    for turn, question in enumerate([asked[0], *asked]):  # the first is for warmth
        ways = [(behind, place.sessions.reading(audience)), (without, unheld.tenant(TEAM))]
        for times, scope in ways if turn % 2 else ways[::-1]:
            times.append(await _search(scope, audience, model_id, question))
    p50, base = median(behind[1:]), median(without[1:])
    return Measure(
        f"walls_{shape.name}{seen}",
        f"Search among {seen:,} behind the walls, {shape.title}",
        p50 / base,
        "×",
        at_most=AT_MOST,
        note=f"{p50:.1f} ms beside {base:.1f} as a role that no policy holds back; medians of {len(asked)}, by turns",
    )


async def _search(
    scope: AbstractAsyncContextManager[Session], audience: Audience, model_id: ModelId, question: Asked
) -> float:
    """Return the milliseconds of the search alone, without its transaction's beginning and end."""
    async with scope as session:
        started = time.perf_counter()
        result = await PassageRepository(session).search(
            TEAM,
            query_words=query_words(question.words),
            vector=question.vector,
            model_id=model_id,
            audience=audience,
            weight=WEIGHT,
            floor=0,
            limit=LIMIT,
        )
        taken_ms = 1000 * (time.perf_counter() - started)
    assert len(result.nearest) == LIMIT  # what finds nothing would be fast
    return taken_ms
