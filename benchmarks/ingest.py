"""Ingestion with both vectors at hand: what production does, beside COPY and the ORM, into the same tables and indexes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg
from pgvector import HalfVector, SparseVector
from pgvector.sqlalchemy import HALFVEC, SPARSEVEC
from sqlalchemy import SmallInteger, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.place import TEAM, Place
from benchmarks.result import Measure
from benchmarks.rows import DIMENSIONS, Maker, prepare_team, record_document, store
from bot.db.models import DocumentChunk
from bot.db.types import LEXICAL_DIMENSIONS, pack_halfvec, pack_sparsevecs, register_codecs
from bot.text.lexical import LEXICAL_VERSION
from bot.values import IndexedChunk, ModelId, new_id

DOCUMENT_SIZES = (100, 300, 500)
RUNS = 15
ORM_EVERY = 3
"""The ORM takes part in each third run: it is slow, and its ratio isn't close."""

Chunks = Sequence[IndexedChunk]
Way = Callable[[Sequence[UUID]], Awaitable[float]]
"""Stores every document under these ids; returns the seconds it took."""

CHUNK_COLUMNS = (
    "team_id", "id", "document_id", "chunk_index", "content", "token_count", "page", "char_start", "char_end",
    "heading", "language", "metadata",
)  # fmt: skip
VECTOR_COLUMNS = ("team_id", "model_id", "document_id", "chunk_id", "embedding", "lexical", "lexical_version")


async def measure(place: Place, *, runs: int = RUNS, sizes: Sequence[int] = DOCUMENT_SIZES) -> list[Measure]:
    """Store the same documents in turns by each way; compare the ways run by run."""
    maker = Maker()
    documents = [maker.chunks(size) for size in sizes]
    user_id, model_id = await prepare_team(place)
    owner = await _copying_connection(await place.connect_as_owner())
    plain = create_async_engine(place.engine.url)
    ways: dict[str, Way] = {
        "ours": lambda ids: _ours(place, ids, model_id, documents),
        "copy": lambda ids: _copy(owner, ids, model_id, documents, packed_before=False),
        "packed": lambda ids: _copy(owner, ids, model_id, documents, packed_before=True),
        "orm": lambda ids: _orm(plain, ids, model_id, documents),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(-1, runs):  # the first is for warming up
        for name, way in ways.items():
            if name == "orm" and run % ORM_EVERY:
                continue
            ids = [await record_document(place, user_id) for _ in documents]
            taken = await way(ids)
            if run >= 0:
                seconds[name].append(taken)
    refused = await _is_copy_refused(place)
    await owner.close()
    await plain.dispose()
    return _measures(seconds, sum(sizes), refused=refused)


def _measures(seconds: dict[str, list[float]], chunks: int, *, refused: bool) -> list[Measure]:
    ours = seconds["ours"]
    of_copy, of_packed = (
        median(theirs / mine for mine, theirs in zip(ours, seconds[way], strict=True)) for way in ("copy", "packed")
    )
    of_orm = median(seconds["orm"]) / median(ours)
    copy_of_orm = median(seconds["orm"]) / median(seconds["packed"])
    runs = f"median of {len(ours)} runs, taken in turns"
    return [
        Measure("ingest_of_copy", "Ingestion beside raw COPY", of_copy, "×", at_least=0.8,
                note=f"both from chunks with their vectors at hand, COPY as the tables' owner; {runs}"),
        Measure("ingest_of_packed_copy", "The same, COPY's rows packed before its clock starts", of_packed, "×",
                note=f"strictest; {runs}"),
        Measure("ingest_of_orm", "Ingestion beside the ORM's add_all", of_orm, "×", at_least=12,
                note=f"our tables mapped with pgvector's own types; to COPY's packed rows it is {copy_of_orm:.1f} ×"),
        Measure("ingest_rows_s", "Ingestion", chunks / median(ours), "chunks/s",
                note=f"texts of 900 characters, {DIMENSIONS} dimensions, 50 terms; fsync on"),
        Measure("copy_refused", "COPY refused to the bot's role by row-level security", float(refused),
                note="why ingestion inserts: decision 0006; 1 = refused"),
    ]  # fmt: skip


async def _ours(place: Place, ids: Sequence[UUID], model_id: ModelId, documents: Sequence[Chunks]) -> float:
    started = time.perf_counter()
    for document_id, chunks in zip(ids, documents, strict=True):
        await store(place, document_id, model_id, chunks)
    return time.perf_counter() - started


async def _copying_connection(connection: asyncpg.Connection) -> asyncpg.Connection:
    await register_codecs(connection, "public")
    return connection


async def _copy(
    connection: asyncpg.Connection,
    ids: Sequence[UUID],
    model_id: ModelId,
    documents: Sequence[Chunks],
    *,
    packed_before: bool,
) -> float:
    pairs = list(zip(ids, documents, strict=True))
    packed = [_records(document_id, model_id, chunks) for document_id, chunks in pairs] if packed_before else []
    started = time.perf_counter()
    for position, (document_id, chunks) in enumerate(pairs):
        texts, vectors = packed[position] if packed else _records(document_id, model_id, chunks)
        async with connection.transaction():
            await connection.copy_records_to_table("document_chunks", records=texts, columns=CHUNK_COLUMNS)
            await connection.copy_records_to_table("chunk_embeddings", records=vectors, columns=VECTOR_COLUMNS)
    return time.perf_counter() - started


Records = list[tuple[Any, ...]]


def _records(document_id: UUID, model_id: ModelId, chunks: Chunks) -> tuple[Records, Records]:
    """Return rows of document_chunks and of chunk_embeddings, vectors packed."""
    texts, vectors = [], []
    for indexed, lexical in zip(chunks, pack_sparsevecs([indexed.lexical for indexed in chunks]), strict=True):
        chunk, chunk_id = indexed.chunk, new_id()
        place = (chunk.token_count, chunk.page, chunk.char_start, chunk.char_end, chunk.heading)
        texts.append((TEAM, chunk_id, document_id, chunk.index, chunk.text, *place, None, "{}"))
        embedding = pack_halfvec(indexed.embedding)
        vectors.append((TEAM, model_id, document_id, chunk_id, embedding, lexical, LEXICAL_VERSION))
    return texts, vectors


async def _is_copy_refused(place: Place) -> bool:
    """Try to COPY as the bot does everything else; True when PostgreSQL doesn't let it."""
    connection = await place.connect_as_bot()
    try:
        await connection.execute("SELECT set_config('app.team', $1, false)", TEAM)
        await connection.copy_records_to_table("document_chunks", records=[], columns=CHUNK_COLUMNS)
    except asyncpg.FeatureNotSupportedError:
        return True
    finally:
        await connection.close()
    return False


class _Base(DeclarativeBase):
    pass


class _Vectors(_Base):
    """chunk_embeddings with pgvector's own types, which bind text."""

    __tablename__ = "chunk_embeddings"

    team_id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    document_id: Mapped[UUID] = mapped_column(primary_key=True)
    chunk_id: Mapped[UUID] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(HALFVEC(DIMENSIONS))
    lexical: Mapped[Any] = mapped_column(SPARSEVEC(LEXICAL_DIMENSIONS))
    lexical_version: Mapped[int] = mapped_column(SmallInteger)


async def _orm(engine: AsyncEngine, ids: Sequence[UUID], model_id: ModelId, documents: Sequence[Chunks]) -> float:
    """Add objects and flush, a document a transaction, as the bot's role; the engine is a plain one."""
    started = time.perf_counter()
    for document_id, chunks in zip(ids, documents, strict=True):
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("SELECT set_config('app.team', :team, true)"), {"team": TEAM})
            chunk_ids = [new_id() for _ in chunks]
            session.add_all([_text(document_id, *row) for row in zip(chunk_ids, chunks, strict=True)])
            await session.flush()
            session.add_all([_vectors(document_id, model_id, *row) for row in zip(chunk_ids, chunks, strict=True)])
    return time.perf_counter() - started


def _text(document_id: UUID, chunk_id: UUID, indexed: IndexedChunk) -> DocumentChunk:
    chunk = indexed.chunk
    return DocumentChunk(
        team_id=TEAM,
        id=chunk_id,
        document_id=document_id,
        chunk_index=chunk.index,
        content=chunk.text,
        token_count=chunk.token_count,
        page=chunk.page,
        char_start=chunk.char_start,
        char_end=chunk.char_end,
        heading=chunk.heading,
        details={},
    )


def _vectors(document_id: UUID, model_id: ModelId, chunk_id: UUID, indexed: IndexedChunk) -> _Vectors:
    return _Vectors(
        team_id=TEAM,
        model_id=model_id,
        document_id=document_id,
        chunk_id=chunk_id,
        embedding=HalfVector(indexed.embedding),
        lexical=SparseVector({term - 1: weight for term, weight in indexed.lexical.items()}, LEXICAL_DIMENSIONS),
        lexical_version=LEXICAL_VERSION,
    )
