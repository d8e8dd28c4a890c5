from __future__ import annotations

import asyncio
import random
from collections import Counter

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories import statistics
from bot.repositories.documents import DocumentRepository
from bot.repositories.passages import PassageRepository
from bot.repositories.statistics import CHUNK_COUNT, StatisticsRepository
from bot.text.lexical import document_weights, hash_term, stem
from bot.values import ModelId
from tests.conftest import OTHER_TEAM, TEAM, Database, execute
from tests.repositories.builders import indexed, overlap, store_texts

TEXTS = ["We open at nine.", "The bakery opens on Sunday, opens late.", ""]


def number(word: str) -> int:
    return hash_term(stem(word))


async def counts(session: AsyncSession) -> dict[int, int]:
    found = await StatisticsRepository(session).get_counts(TEAM)
    return {term: count for term, count in found.items() if count}


async def test_each_term_is_counted_once_a_chunk_and_zero_counts_the_chunks(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, TEXTS)

        found = await counts(session)

    expected = Counter(term for text in TEXTS for term in document_weights(text))
    assert found == {**expected, CHUNK_COUNT: 3}
    assert found[number("opens")] == 2


async def test_a_deleted_document_is_taken_out_of_the_counts(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)
        before = await store_texts(session, ["Bread is open to all."], filename="other.pdf")
        await DocumentRepository(session).delete(TEAM, document)

        found = await counts(session)
        await DocumentRepository(session).delete(TEAM, before)
        nothing = await counts(session)

    assert found == {**dict.fromkeys(document_weights("Bread is open to all."), 1), CHUNK_COUNT: 1}
    assert nothing == {}


async def test_a_replaced_document_is_counted_by_its_new_chunks(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)
        await PassageRepository(session).delete(TEAM, document)
        chunks = indexed(["Closed on Monday."])
        await PassageRepository(session).store(TEAM, document, ModelId(1), chunks)
        await StatisticsRepository(session).add(TEAM, chunks)

        assert await counts(session) == {**dict.fromkeys(document_weights("Closed on Monday."), 1), CHUNK_COUNT: 1}


async def test_counts_never_fall_below_zero(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)
        await StatisticsRepository(session).add_counts(TEAM, {CHUNK_COUNT: -2, number("open"): -1})
        await DocumentRepository(session).delete(TEAM, document)

        assert min((await StatisticsRepository(session).get_counts(TEAM)).values()) == 0


async def test_terms_counted_by_two_transactions_at_once_are_all_counted(sessions: Sessions) -> None:
    async def count(session: AsyncSession) -> None:
        await StatisticsRepository(session).add_counts(TEAM, {3: 1, 1: 1, 2: 1})

    await overlap(sessions, count, count)

    async with sessions.tenant(TEAM) as session:
        assert await counts(session) == {1: 2, 2: 2, 3: 2}


async def test_terms_counted_at_once_in_any_order_never_block_each_other_for_good(sessions: Sessions) -> None:
    async def count(n: int) -> None:
        terms = random.Random(n).sample(range(1, 5_001), 5_000)
        for _ in range(3):
            async with sessions.tenant(TEAM) as session:
                await StatisticsRepository(session).add_counts(TEAM, dict.fromkeys(terms, 1))

    await asyncio.gather(*(count(n) for n in range(4)))

    async with sessions.tenant(TEAM) as session:
        assert set((await counts(session)).values()) == {12}


async def test_documents_that_come_and_go_at_once_never_block_each_other_for_good(sessions: Sessions) -> None:
    words = [f"word{n}" for n in range(2_000)]

    async def come_and_go(n: int) -> None:
        shuffled = random.Random(n).sample(words, len(words))
        texts = [" ".join(shuffled[start : start + 150]) for start in range(0, len(words), 150)]
        for _ in range(3):
            async with sessions.tenant(TEAM) as session:
                document = await store_texts(session, texts, filename=f"{n}.pdf")
            async with sessions.tenant(TEAM) as session:
                await DocumentRepository(session).delete(TEAM, document)

    await asyncio.gather(*(come_and_go(n) for n in range(4)))

    async with sessions.tenant(TEAM) as session:
        assert await counts(session) == {}


async def test_versions_of_the_weighing_are_counted_apart(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        statistics = StatisticsRepository(session)
        await statistics.add_counts(TEAM, {1: 5}, lexical_version=1)
        await statistics.add_counts(TEAM, {1: 7}, lexical_version=2)

        assert await statistics.get_counts(TEAM, lexical_version=1) == {1: 5}
        assert await statistics.get_counts(TEAM, lexical_version=2) == {1: 7}


async def test_another_workspace_has_counts_of_its_own(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, TEXTS)

    async with sessions.tenant(OTHER_TEAM) as session:
        assert await StatisticsRepository(session).get_counts(TEAM) == {}
        assert await StatisticsRepository(session).get_counts(OTHER_TEAM) == {}


async def test_a_large_document_is_taken_out_by_the_index_of_its_vectors(
    sessions: Sessions, database: Database
) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = [
            await store_texts(session, [f"sentence number {n}" for n in range(1_500)], filename=f"{name}.pdf")
            for name in "abcd"
        ]
    await execute(database.owner_url, "ANALYZE chunk_embeddings")
    parameters = {"team": TEAM, "document": documents[1]}
    subtract = statistics._SUBTRACT.format(condition="e.document_id = :document")

    async with sessions.tenant(TEAM) as session:
        plans = [
            "\n".join(await session.scalars(text(f"EXPLAIN {statement}"), parameters))
            for statement in (
                subtract,
                "DELETE FROM chunk_embeddings WHERE team_id = :team AND document_id = :document",
            )
        ]

    for plan in plans:
        assert "ix_chunk_embeddings_team_id_document_id" in plan, plan
        assert "Seq Scan on chunk_embeddings" not in plan, plan
