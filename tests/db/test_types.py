"""Vectors as bytes: what we send is what pgvector reads, and the other way round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import Sessions, copy_rows
from bot.db.models import ChunkEmbedding
from bot.db.types import (
    LEXICAL_DIMENSIONS,
    LEXICAL_LIMIT,
    MAX_DIMENSIONS,
    pack_halfvec,
    pack_sparsevec,
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


@pytest.mark.parametrize("copied", [True, False])
async def test_many_rows_go_in_at_once(sessions: Sessions, engine: AsyncEngine, copied: bool) -> None:
    async with sessions.tenant(TEAM) as session:
        chunk = await add_chunk(session, embedding=[1, 0])
        model_id = (await session.execute(select(ChunkEmbedding.model_id))).scalar_one()
        await session.execute(text("DELETE FROM chunk_embeddings"))
        columns = ["team_id", "model_id", "document_id", "chunk_id", "embedding", "lexical", "lexical_version"]
        head = (TEAM, model_id, chunk.document_id, chunk.id)
        vector = np.array([0.5, 0.25], dtype=np.float32)

        if copied:
            record = (*head, pack_halfvec(vector), pack_sparsevec({1: 2.0}), 1)
            await copy_rows(session, "chunk_embeddings", columns, [record])
        else:
            values = dict(zip(columns, (*head, vector, {1: 2.0}, 1), strict=True))
            await session.execute(insert(ChunkEmbedding), [values])

    async with sessions.tenant(TEAM) as session:
        stored = (await session.execute(text("SELECT embedding::text, lexical::text FROM chunk_embeddings"))).one()
    assert tuple(stored) == ("[0.5,0.25]", f"{{1:2}}/{LEXICAL_DIMENSIONS}")
