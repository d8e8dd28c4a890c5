from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.db.types import pack_halfvec
from bot.repositories.blend import visible_parameters
from bot.repositories.neighbours import INDEX_SETTINGS, Metric, Neighbour, VectorIndex
from bot.repositories.passages import PassageRepository
from bot.values import Audience, ModelId, Vector, new_id
from tests.conftest import OTHER_TEAM, TEAM, Database, execute
from tests.repositories.builders import DIMENSIONS, audience, halved, store_texts, unit

METRICS: list[Metric] = ["cosine", "inner_product", "l2"]
MODEL_ID = ModelId(1)


def distances(vectors: list[Vector], query: Vector, metric: Metric) -> list[float]:
    stored, asked = halved(np.stack(vectors)), halved(query)
    if metric == "cosine":
        norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(asked)
        return sorted((1 - stored @ asked / norms).tolist())
    if metric == "inner_product":
        return sorted((-(stored @ asked)).tolist())
    return sorted(np.linalg.norm(stored - asked, axis=1).tolist())


async def nearest(
    session: AsyncSession, vector: Vector, seen: Audience, *, limit: int = 10, **options: Any
) -> list[Neighbour]:
    return await PassageRepository(session).nearest(
        seen.team_id, vector, model_id=MODEL_ID, dimensions=DIMENSIONS, audience=seen, limit=limit, **options
    )


@pytest.fixture
async def library(sessions: Sessions) -> list[Vector]:
    """The vectors of C1: ten documents of ten chunks; as many again, elsewhere, must never show."""
    mine = []
    async with sessions.tenant(TEAM) as session:
        for n in range(10):
            vectors = [unit(n * 10 + k) * (1 + k / 10) for k in range(10)]
            mine += vectors
            await store_texts(session, [f"d{n} c{k}" for k in range(10)], vectors=vectors, filename=f"{n}")
            hidden = [unit(5_000 + n * 10 + k) for k in range(10)]
            await store_texts(
                session, [f"h{n} c{k}" for k in range(10)], vectors=hidden, filename=f"h{n}", channel_id="C2"
            )
    return mine


@pytest.fixture
async def indexes(library: list[Vector], database: Database) -> list[VectorIndex]:
    """The same, with the indexes that a job would build, as the owner."""
    built = [VectorIndex(MODEL_ID, DIMENSIONS, metric) for metric in METRICS]
    await execute(database.owner_url, *(index.create_sql for index in built), "ANALYZE chunk_embeddings")
    return built


@pytest.mark.parametrize("metric", METRICS)
async def test_exact_neighbours_are_the_nearest_of_what_may_be_read(
    sessions: Sessions, library: list[Vector], metric: Metric
) -> None:
    async with sessions.tenant(TEAM) as session:
        for seed in range(5):
            query = unit(90_000 + seed)
            found = await nearest(session, query, audience("C1"), metric=metric)

            assert [n.distance for n in found] == pytest.approx(distances(library, query, metric)[:10], abs=1e-3)
            assert all(n.passage.text.startswith("d") and n.passage.channel_id == "C1" for n in found)


async def test_a_neighbours_passage_carries_its_cosine(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["near", "far"], vectors=[unit(1), unit(2)])
        expected = float(unit(1) @ unit(2))
        for metric in METRICS:
            near, far = await nearest(session, unit(1), audience("C1"), metric=metric)

            assert near.passage.text == "near"
            assert near.passage.cosine == pytest.approx(1, abs=2e-3)
            assert far.passage.cosine == pytest.approx(expected, abs=2e-3)


async def test_neighbours_can_be_kept_within_a_distance(sessions: Sessions, library: list[Vector]) -> None:
    async with sessions.tenant(TEAM) as session:
        every = await nearest(session, unit(3), audience("C1"))
        some = await nearest(session, unit(3), audience("C1"), max_distance=every[4].distance)

        assert some == every[:5]
        assert await nearest(session, unit(3), audience("C1"), max_distance=-1) == []


async def test_neighbours_can_be_kept_to_some_documents(sessions: Sessions, library: list[Vector]) -> None:
    async with sessions.tenant(TEAM) as session:
        every = await nearest(session, unit(3), audience("C1"))
        wanted = every[3].passage.document_id

        found = await nearest(session, unit(3), audience("C1"), document_ids=[wanted, new_id()], limit=50)
    assert {n.passage.document_id for n in found} == {wanted}
    assert len(found) == 10


@pytest.mark.parametrize("metric", METRICS)
async def test_only_the_approximate_query_uses_the_index(
    sessions: Sessions, indexes: list[VectorIndex], metric: Metric
) -> None:
    index = VectorIndex(MODEL_ID, DIMENSIONS, metric)
    parameters = {
        **visible_parameters(audience("C1", "C2"), MODEL_ID, None),
        "vector": pack_halfvec(unit(1)),
        "limit": 10,
        "candidates": 40,
    }

    async def plan(session: AsyncSession, *, approximate: bool) -> str:
        statement = text(f"EXPLAIN {index.nearest(approximate=approximate).text}")
        return "\n".join(await session.scalars(statement, parameters))

    async with sessions.tenant(TEAM) as session:
        await session.execute(INDEX_SETTINGS)
        by_index = await plan(session, approximate=True)
        assert f"Index Scan using {index.name}" in by_index
        assert "Sort Key: ((candidates.distance + " in by_index
        assert "hnsw" not in await plan(session, approximate=False)
    async with sessions.tenant(TEAM) as session:
        assert "hnsw" not in await plan(session, approximate=False)


@pytest.mark.parametrize("metric", METRICS)
async def test_neighbours_by_the_index_come_in_order_and_nearly_all(
    sessions: Sessions, library: list[Vector], indexes: list[VectorIndex], metric: Metric
) -> None:
    found, wanted = 0, 0
    async with sessions.tenant(TEAM) as session:
        for seed in range(10):
            query = unit(90_000 + seed)
            by_index = await nearest(session, query, audience("C1"), metric=metric, approximate=True)
            exact = await nearest(session, query, audience("C1"), metric=metric)

            assert [n.distance for n in by_index] == sorted(n.distance for n in by_index)
            assert len(by_index) == 10
            found += len({n.passage.chunk_id for n in by_index} & {n.passage.chunk_id for n in exact})
            wanted += len(exact)

    assert found / wanted >= 0.95


async def test_an_index_that_yields_too_few_is_made_up_for(sessions: Sessions, indexes: list[VectorIndex]) -> None:
    async with sessions.tenant(TEAM) as session:
        rare = await store_texts(
            session, ["rare 1", "rare 2", "rare 3"], vectors=[-unit(3)] * 3, channel_id="GRARE", filename="rare"
        )
        await session.execute(text("SELECT set_config('hnsw.max_scan_tuples', '1', true)"))

        found = await nearest(session, unit(3), audience("GRARE"), limit=3, approximate=True)
    assert [n.passage.document_id for n in found] == [rare] * 3


async def test_what_was_set_for_the_index_does_not_outlast_the_search(
    sessions: Sessions, indexes: list[VectorIndex]
) -> None:
    async with sessions.tenant(TEAM) as session:
        await nearest(session, unit(3), audience("C1"), approximate=True)

        assert await session.scalar(text("SHOW enable_sort")) == "on"
    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SHOW hnsw.iterative_scan")) == "off"


async def test_without_an_index_the_approximate_search_is_exact(sessions: Sessions, library: list[Vector]) -> None:
    async with sessions.tenant(TEAM) as session:
        approximate = await nearest(session, unit(3), audience("C1"), approximate=True)

        assert approximate == await nearest(session, unit(3), audience("C1"))


async def test_another_workspace_has_no_neighbours_here(sessions: Sessions, indexes: list[VectorIndex]) -> None:
    async with sessions.tenant(OTHER_TEAM) as session:
        for team in (TEAM, OTHER_TEAM):
            for approximate in (False, True):
                seen = audience("C1", team_id=team)
                assert await nearest(session, unit(3), seen, approximate=approximate) == []
