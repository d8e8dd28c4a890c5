"""Search in a workspace of 20,000 chunks: against numpy's brute force, and by the HNSW indexes."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import TypeVar, get_args

import numpy as np
from sqlalchemy import text

from benchmarks.place import TEAM, Place
from benchmarks.result import Measure
from benchmarks.rows import DIMENSIONS, Maker, count_terms, prepare_team, record_document, store
from bot.db.types import pack_halfvec
from bot.repositories.blend import visible_parameters
from bot.repositories.neighbours import INDEX_SETTINGS, Metric, VectorIndex
from bot.repositories.passages import PassageRepository
from bot.text.lexical import K1, query_words
from bot.values import Audience, IndexedChunk, ModelId, Vector

CHUNKS = 20_000
DOCUMENT_CHUNKS = 100
LIMIT = 10
QUERIES = 40
WEIGHT = 0.5
FEW, MANY, REST = "C0FEW", "C0MANY", "C0REST"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question made of words of some chunk, and a vector near some topic."""

    words: str
    vector: Vector


@dataclass(slots=True)
class Corpus:
    """What is stored, by channel: the chunks and their texts' order in the arrays."""

    chunks: list[IndexedChunk]
    channels: list[str]
    model_id: ModelId

    def rows(self, *channels: str) -> list[IndexedChunk]:
        """Return the chunks that somebody may read who is in these channels alone."""
        return [chunk for chunk, channel in zip(self.chunks, self.channels, strict=True) if channel in channels]


async def measure(place: Place, *, chunks: int = CHUNKS, queries: int = QUERIES) -> list[Measure]:
    """Fill a workspace, search it, index it, and search it again."""
    maker = Maker(seed=7)
    corpus = await _fill(place, maker, chunks)
    asked = [Asked(" ".join(maker.text().split()[:12]), maker.vector()) for _ in range(queries)]
    few = await _blended(place, corpus, asked, FEW)
    many = await _blended(place, corpus, asked, FEW, MANY)
    seen_few, seen_many = len(corpus.rows(FEW)), len(corpus.rows(FEW, MANY))
    setting = f"top {LIMIT} of {seen_few:,} visible chunks of {len(corpus.chunks):,}; {queries} queries"
    return [
        Measure("search_recall", f"Search among {seen_few:,}: recall", few.recall, at_least=1.0,
                note=f"against numpy's brute force; {setting}"),
        Measure("search_p50_ms", f"Search among {seen_few:,}", few.p50_ms, "ms", note="median, transaction and all"),
        Measure("search_many_recall", f"Search among {seen_many:,}: recall", many.recall),
        Measure("search_many_p50_ms", f"Search among {seen_many:,}", many.p50_ms, "ms"),
        *await _indexed(place, corpus, asked),
    ]  # fmt: skip


async def _fill(place: Place, maker: Maker, count: int) -> Corpus:
    """Store documents: a twentieth of the chunks in one channel, the next nine twentieths in another."""
    user_id, model_id = await prepare_team(place)
    corpus = Corpus([], [], model_id)
    for start in range(0, count, DOCUMENT_CHUNKS):
        channel = FEW if start < count // 20 else MANY if start < count // 2 else REST
        document = maker.chunks(DOCUMENT_CHUNKS)
        await store(place, await record_document(place, user_id, channel_id=channel), model_id, document)
        corpus.chunks += document
        corpus.channels += [channel] * len(document)
    await count_terms(place, corpus.chunks)
    owner = await place.connect_as_owner()
    await owner.execute("VACUUM ANALYZE")
    await owner.close()
    return corpus


@dataclass(frozen=True, slots=True)
class Found:
    recall: float
    p50_ms: float


async def _blended(place: Place, corpus: Corpus, asked: Sequence[Asked], *channels: str) -> Found:
    audience = Audience(TEAM, frozenset(channels))
    scores = _BruteForce(corpus, corpus.rows(*channels))
    recalls, times = [], []
    for question in asked:

        async def search(question: Asked = question) -> list[float]:
            async with place.sessions.tenant(TEAM) as session:
                result = await PassageRepository(session).search(
                    TEAM,
                    query_words=query_words(question.words),
                    vector=question.vector,
                    model_id=corpus.model_id,
                    audience=audience,
                    weight=WEIGHT,
                    floor=0,
                    limit=LIMIT,
                )
            return [passage.score for passage in result.nearest]

        found, taken_ms = await _timed(search)
        best = np.sort(scores.of(question))[::-1][:LIMIT]
        recalls.append(sum(score >= best[-1] - 1e-4 for score in found) / LIMIT)  # halves: the last digit may differ
        times.append(taken_ms)
    return Found(mean(recalls), median(times))


class _BruteForce:
    """The blend's scores, computed in memory: the formula of retrieval, written a second time."""

    def __init__(self, corpus: Corpus, visible: Sequence[IndexedChunk]) -> None:
        self._total = len(corpus.chunks)
        self._frequency = Counter(term for chunk in corpus.chunks for term in chunk.lexical)
        self._visible = visible
        self._vectors = np.stack([chunk.embedding for chunk in visible]).astype(np.float16).astype(np.float32)

    def of(self, question: Asked) -> Vector:
        """Return the score of every visible chunk."""
        terms = {word.own: word.count for word in query_words(question.words)}
        idf = {
            term: math.log(1 + (self._total - self._frequency[term] + 0.5) / (self._frequency[term] + 0.5))
            for term in terms
        }
        most = sum(idf[term] * count * (K1 + 1) for term, count in terms.items())
        lexical = [sum(idf[t] * n * chunk.lexical.get(t, 0) for t, n in terms.items()) for chunk in self._visible]
        cosine = self._vectors @ question.vector.astype(np.float16).astype(np.float32)
        blend: Vector = WEIGHT * np.array(lexical, dtype=np.float32) / np.float32(most) + (1 - WEIGHT) * cosine
        return blend


async def _indexed(place: Place, corpus: Corpus, asked: Sequence[Asked]) -> list[Measure]:
    """Build an index for cosine and one for L2; compare with the exact search over everything."""
    measures = []
    audience = Audience(TEAM, frozenset([FEW, MANY, REST]))
    for metric in get_args(Metric):
        if metric == "inner_product":
            continue
        index = VectorIndex(corpus.model_id, DIMENSIONS, metric)
        owner = await place.connect_as_owner()
        started = time.perf_counter()
        await owner.execute(index.create_sql)
        built_s = time.perf_counter() - started
        await owner.close()
        exact = [await _timed(_nearest(place, index, audience, question, approximate=False)) for question in asked]
        near = [await _timed(_nearest(place, index, audience, question, approximate=True)) for question in asked]
        overlap = [len(set(a) & set(b)) / LIMIT for (a, _), (b, _) in zip(exact, near, strict=True)]
        exact_ms, near_ms = median(ms for _, ms in exact), median(ms for _, ms in near)
        planned = await _plan_uses(place, index, audience, asked[0])
        measures += [
            Measure(f"{metric}_exact_ms", f"Nearest by {metric} of {len(corpus.chunks):,}, exact", exact_ms, "ms"),
            Measure(f"{metric}_hnsw_ms", "The same by HNSW", near_ms, "ms",
                    note=f"recall {mean(overlap):.3f}; index built in {built_s:.1f} s"),
            Measure(f"{metric}_plan", "Its plan takes the index", float(planned), at_least=1, note="1 = yes"),
        ]  # fmt: skip
    return measures


def _nearest(
    place: Place, index: VectorIndex, audience: Audience, question: Asked, *, approximate: bool
) -> Callable[[], Awaitable[list[object]]]:
    async def search() -> list[object]:
        async with place.sessions.tenant(TEAM) as session:
            found = await PassageRepository(session).nearest(
                TEAM,
                question.vector,
                model_id=index.model_id,
                dimensions=DIMENSIONS,
                audience=audience,
                limit=LIMIT,
                metric=index.metric,
                approximate=approximate,
            )
        return [neighbour.passage.chunk_id for neighbour in found]

    return search


async def _plan_uses(place: Place, index: VectorIndex, audience: Audience, question: Asked) -> bool:
    parameters = {
        **visible_parameters(audience, index.model_id, None),
        "vector": pack_halfvec(question.vector),
        "limit": LIMIT,
        "candidates": 4 * LIMIT,
    }
    async with place.sessions.tenant(TEAM) as session:
        await session.execute(INDEX_SETTINGS)
        plan = await session.execute(text(f"EXPLAIN {index.nearest(approximate=True).text}"), parameters)
        return index.name in "\n".join(plan.scalars())


async def _timed(act: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    started = time.perf_counter()
    done = await act()
    return done, 1000 * (time.perf_counter() - started)
