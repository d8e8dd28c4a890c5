"""Vectors as bytes: what we send is what pgvector reads, and the other way round."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.db.models import ChunkEmbedding
from bot.db.types import (
    LEXICAL_DIMENSIONS,
    LEXICAL_LIMIT,
    MAX_DIMENSIONS,
    pack_halfvec,
    pack_sparsevec,
    pack_sparsevecs,
    unpack_halfvec,
    unpack_sparsevec,
)
from tests.conftest import TEAM
from tests.db.conftest import add_chunk

halves = st.floats(width=16, allow_nan=False, allow_infinity=False)
weights = st.dictionaries(st.integers(1, LEXICAL_DIMENSIONS), st.floats(0.5, 100, width=32), max_size=LEXICAL_LIMIT)


@given(st.lists(halves, min_size=1, max_size=64))
def test_a_vector_survives_packing(values: list[float]) -> None:
    assert unpack_halfvec(pack_halfvec(np.array(values, dtype=np.float32))).tolist() == values


@given(weights)
def test_term_weights_survive_packing(values: dict[int, float]) -> None:
    assert unpack_sparsevec(pack_sparsevec(values)) == values


@given(st.lists(weights))
def test_many_term_weights_are_packed_as_each_by_itself(many: list[dict[int, float]]) -> None:
    assert pack_sparsevecs(many) == [pack_sparsevec(each) for each in many]


@given(weights, weights)
def test_terms_that_weigh_nothing_are_left_out(some: dict[int, float], others: dict[int, float]) -> None:
    weightless = {term: 0.0 for term in others if term not in some}

    assert pack_sparsevecs([weightless, some | weightless]) == pack_sparsevecs([{}, some])


async def test_postgresql_reads_the_same_numbers(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await add_chunk(session, embedding=[0.5, -2, 0], lexical={7: 1.5, 3: 0.25, LEXICAL_DIMENSIONS: 2.0, 5: 0.0})

        said = (await session.execute(text("SELECT embedding::text, lexical::text FROM chunk_embeddings"))).one()

    assert tuple(said) == ("[0.5,-2,0]", f"{{3:0.25,7:1.5,{LEXICAL_DIMENSIONS}:2}}/{LEXICAL_DIMENSIONS}")


async def test_python_reads_the_same_numbers(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await add_chunk(session, embedding=[0.5, -2, 0], lexical={7: 1.5})

        row = (await session.execute(select(ChunkEmbedding.embedding, ChunkEmbedding.lexical))).one()

    assert row.embedding.dtype == np.float32
    assert row.embedding.tolist() == [0.5, -2, 0]
    assert row.lexical == {7: 1.5}


async def test_vectors_are_not_fetched_with_their_row(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await add_chunk(session, embedding=[1, 0])
        session.expunge_all()

        row = (await session.execute(select(ChunkEmbedding))).scalar_one()

    assert "embedding" not in row.__dict__
    assert "lexical" not in row.__dict__


async def test_the_longest_row_still_fits_its_page(sessions: Sessions) -> None:
    lexical = dict.fromkeys(range(1, LEXICAL_LIMIT + 1), 1.0)

    async with sessions.tenant(TEAM) as session:
        await add_chunk(session, embedding=[0.1] * MAX_DIMENSIONS, lexical=lexical)

    async with sessions.tenant(TEAM) as session:
        assert len((await session.execute(select(ChunkEmbedding.embedding))).scalar_one()) == MAX_DIMENSIONS


async def test_vectors_are_inserted_as_arrays_of_bytes(sessions: Sessions) -> None:
    columns = ", ".join(COLUMNS)
    insertion = text(
        f"INSERT INTO chunk_embeddings ({columns}) SELECT :team, :model, :document, :chunk, embedding, lexical, 1 "
        "FROM unnest(CAST(:embeddings AS halfvec[]), CAST(:lexicals AS sparsevec[])) AS t (embedding, lexical)"
    )
    async with sessions.tenant(TEAM) as session:
        head = dict(zip(("team", "model", "document", "chunk"), await _make_room(session), strict=True))

        vectors = {"embeddings": [pack_halfvec(VECTOR)], "lexicals": [pack_sparsevec({1: 2.0})]}
        await session.execute(insertion, head | vectors)

        assert await _stored(session) == ("[0.5,0.25]", f"{{1:2}}/{LEXICAL_DIMENSIONS}")


async def test_vectors_are_inserted_many_at_once(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        head = await _make_room(session)
        values = dict(zip(COLUMNS, (*head, VECTOR, {1: 2.0}, 1), strict=True))

        await session.execute(insert(ChunkEmbedding), [values])

        assert await _stored(session) == ("[0.5,0.25]", f"{{1:2}}/{LEXICAL_DIMENSIONS}")


COLUMNS = ["team_id", "model_id", "document_id", "chunk_id", "embedding", "lexical", "lexical_version"]
VECTOR = np.array([0.5, 0.25], dtype=np.float32)


async def _make_room(session: AsyncSession) -> tuple[object, ...]:
    """Store a chunk without its vectors; return the key that they will have."""
    chunk = await add_chunk(session, embedding=[1, 0])
    removed = text("DELETE FROM chunk_embeddings RETURNING model_id")
    model_id = (await session.execute(removed)).scalar_one()
    return TEAM, model_id, chunk.document_id, chunk.id


async def _stored(session: AsyncSession) -> tuple[str, str]:
    row = (await session.execute(text("SELECT embedding::text, lexical::text FROM chunk_embeddings"))).one()
    return row[0], row[1]
