from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions
from bot.repositories.blend import NEAR, SEARCH, search_parameters
from bot.repositories.channels import ChannelRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.passages import PassageRepository
from bot.repositories.statistics import StatisticsRepository
from bot.text.lexical import K1, document_weights, hash_term, query_words, stem
from bot.values import Audience, DocumentStatus, ModelId, Passage, QueryWord, SearchResult, Vector
from tests.conftest import OTHER_TEAM, TEAM, Database, execute
from tests.repositories.builders import (
    audience,
    counted_statements,
    halved,
    indexed,
    record_user,
    share_bytes,
    store_texts,
    unit,
)

WORDS = [f"{a}{b}" for a in ("bread", "flour", "oven", "salt", "crust", "dough") for b in ("ash", "el", "im", "or")]


async def search(
    session: AsyncSession,
    query: str,
    vector: Vector | None,
    seen: Audience,
    *,
    weight: float = 0.5,
    floor: float = 0.0,
    limit: int = 10,
    share: int | None = None,
    model: int = 1,
    document_ids: list[UUID] | None = None,
    prefer: str | None = None,
) -> SearchResult:
    return await PassageRepository(session).search(
        seen.team_id,
        query_words=query_words(query),
        vector=vector,
        model_id=ModelId(model),
        audience=seen,
        weight=weight,
        floor=floor,
        limit=limit,
        share=share,
        document_ids=document_ids,
        prefer=prefer,
    )


def texts_of(result: SearchResult) -> list[str]:
    return [passage.text for passage in result.passages]


class Library:
    """Random documents in random channels, and every score worked out again in Python."""

    def __init__(self, seed: int, *, documents: int, chunks: int) -> None:
        rng = random.Random(seed)
        self.channels = [f"C{n}" for n in range(6)]
        self.placed = {n: rng.choice(self.channels) for n in range(documents)}
        self.texts = {
            n: [" ".join([f"d{n}c{k}", *rng.choices(WORDS, k=rng.randint(3, 40))]) for k in range(chunks)]
            for n in range(documents)
        }
        self.vectors = {n: [unit(seed * 10_000 + n * 100 + k, 32) for k in range(chunks)] for n in range(documents)}

    async def store(self, session: AsyncSession) -> None:
        for n, channel_id in self.placed.items():
            await store_texts(
                session, self.texts[n], vectors=self.vectors[n], channel_id=channel_id, filename=f"{n}.pdf"
            )

    def idf(self, query: Mapping[int, int]) -> dict[int, float]:
        texts = [piece for pieces in self.texts.values() for piece in pieces]
        found = Counter(term for piece in texts for term in document_weights(piece))
        return {t: math.log(1 + (len(texts) - found[t] + 0.5) / (found[t] + 0.5)) for t in query}

    def scores(self, query: Mapping[int, int], vector: Vector, seen: Audience, weight: float) -> dict[str, float]:
        idf = self.idf(query)
        most = sum(idf[t] * n * (K1 + 1) for t, n in query.items())
        scores = {}
        for n, pieces in self.texts.items():
            for piece, embedding in zip(pieces, self.vectors[n], strict=True):
                if self.placed[n] in seen.channel_ids:
                    weights = document_weights(piece)
                    bm25 = sum(idf[t] * count * weights.get(t, 0) for t, count in query.items())
                    cosine = float(halved(embedding) @ halved(vector))
                    scores[piece] = weight * (bm25 / most if most else 0) + (1 - weight) * cosine
        return scores


@pytest.mark.parametrize(("seed", "weight"), [(1, 0.5), (2, 0.5), (3, 0.3), (4, 0.0), (5, 1.0)])
async def test_search_finds_exactly_the_best_of_all_that_may_be_read(
    sessions: Sessions, seed: int, weight: float
) -> None:
    library = Library(seed, documents=30, chunks=10)
    rng = random.Random(seed)
    async with sessions.tenant(TEAM) as session:
        await library.store(session)

        for n in range(8):
            seen = audience(*rng.sample(library.channels, rng.randint(1, 4)))
            query = " ".join(rng.choices(WORDS, k=rng.randint(1, 5)))
            vector = unit(999_000 + n, 32)
            found = await search(session, query, vector, seen, weight=weight, limit=20)
            expected = library.scores({word.own: word.count for word in query_words(query)}, vector, seen, weight)

            best = sorted(expected.values(), reverse=True)[:20]
            assert [p.score for p in found.nearest] == pytest.approx(best, abs=2e-4)
            assert {p.text: p.score for p in found.nearest} == pytest.approx(
                {p.text: expected[p.text] for p in found.nearest}, abs=2e-4
            )


def spread(scores: Mapping[str, float], *, floor: float, limit: int, share: int) -> list[float]:
    """Return the scores of the best, of one document no more than its share while others come near and clear the floor."""
    chosen: list[str] = []
    best = sorted(scores, key=lambda piece: -scores[piece])
    cleared = [piece for piece in best if scores[piece] >= floor]
    for piece in (piece for piece in cleared if scores[piece] >= NEAR * scores[best[0]]):
        document = piece.split("c", 1)[0]
        if sum(other.split("c", 1)[0] == document for other in chosen) < share:
            chosen.append(piece)
    for piece in (*cleared, *best):
        if piece not in chosen:
            chosen.append(piece)
    return sorted((scores[piece] for piece in chosen[:limit]), reverse=True)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_document_gives_more_than_its_share_while_others_come_near(sessions: Sessions, seed: int) -> None:
    library = Library(seed, documents=4, chunks=24)
    rng, changed = random.Random(seed), 0
    async with sessions.tenant(TEAM) as session:
        await library.store(session)
        seen = audience(*library.channels)

        for n in range(12):
            query, floor = " ".join(rng.choices(WORDS, k=3)), rng.choice([-1.0, 0.1, 0.3, 0.5, 2.0])
            vector = unit(999_000 + n, 32)
            found = await search(session, query, vector, seen, floor=floor, limit=4, share=1)
            scores = library.scores({word.own: word.count for word in query_words(query)}, vector, seen, 0.5)

            expected = spread(scores, floor=floor, limit=4, share=1)
            assert [p.score for p in found.nearest] == pytest.approx(expected, abs=2e-4)
            changed += expected != pytest.approx(sorted(scores.values(), reverse=True)[:4])
    assert changed, "the share never mattered"


async def test_a_search_is_one_statement(sessions: Sessions, engine: AsyncEngine) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["We open at nine."])
        with counted_statements(engine) as statements:
            found = await search(session, "open", unit(1), audience("C1"))

    assert len(found.passages) == 1
    assert len(statements) == 1


async def test_a_passage_says_where_it_stands_and_how_it_scored(sessions: Sessions) -> None:
    vector = unit(1)
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, ["Hello.", "We open at nine."], vectors=[unit(2), vector], ts="1.5")
        found = await search(session, "open nine", vector, audience("C1"))

    best = found.passages[0]
    assert isinstance(best, Passage)
    assert (best.document_id, best.filename, best.text) == (document, "handbook.pdf", "We open at nine.")
    assert (best.char_start, best.char_end, best.page, best.heading) == (7, 23, 2, "Opening")
    assert (best.channel_id, best.message_ts, best.thread_ts) == ("C1", "1.5", None)
    assert best.cosine == pytest.approx(1, abs=1e-3)
    assert 0 < best.lexical <= 1
    assert best.score == pytest.approx((best.cosine + best.lexical) / 2, abs=1e-6)


async def test_scores_never_pass_one(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        for n in range(20):
            await store_texts(session, ["bread " * 200], vectors=[unit(n)], filename=f"{n}")
        results = [await search(session, "bread", unit(n), audience("C1")) for n in range(20)]

    for passage in (p for found in results for p in found.nearest):
        assert max(passage.cosine, passage.lexical, passage.score) <= 1


async def test_the_floor_parts_passages_from_what_is_merely_nearest(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["We open at nine.", "Bread is salty."], vectors=[unit(1), unit(2)])

        low = await search(session, "open nine", unit(1), audience("C1"), floor=-1)
        high = await search(session, "open nine", unit(1), audience("C1"), floor=0.5)
        over = await search(session, "open nine", unit(1), audience("C1"), floor=1.1)
    assert texts_of(low) == ["We open at nine.", "Bread is salty."]
    assert texts_of(high) == ["We open at nine."]
    assert texts_of(over) == []
    assert low.nearest == high.nearest == over.nearest == low.passages


async def test_there_are_never_fewer_than_asked_for_while_enough_may_be_read(sessions: Sessions) -> None:
    library = Library(7, documents=40, chunks=5)
    async with sessions.tenant(TEAM) as session:
        await library.store(session)
        for channel_id in library.channels:
            visible = 5 * sum(1 for place in library.placed.values() if place == channel_id)
            for limit in (1, 8, 1_000):
                found = await search(session, "bread", unit(1, 32), audience(channel_id), limit=limit, floor=-1)
                assert len(found.passages) == min(limit, visible)


async def test_only_what_was_shared_with_the_audience_is_found(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["The safe opens with 1234."], channel_id="GSECRET", filename="secret.pdf")
        await store_texts(session, ["The shop opens at nine."], channel_id="C1")
        user = await record_user(session)
        await share_bytes(session, b"unrelated", user=user, channel_id="C2", filename="x")

        async def found(*channels: str) -> set[str]:
            result = await search(session, "opens", unit(1), audience(*channels), floor=-1)
            return {passage.text for passage in result.nearest}

        assert await found("C1") == {"The shop opens at nine."}
        assert await found("GSECRET") == {"The safe opens with 1234."}
        assert len(await found("C1", "GSECRET")) == 2
        assert await found("C2") == set()
        assert await found() == set()


async def test_a_few_large_documents_are_never_read_from_end_to_end_for_one_small_one(
    sessions: Sessions, database: Database
) -> None:
    async with sessions.tenant(TEAM) as session:
        for n in range(12):
            await store_texts(session, [f"d{n} c{k}" for k in range(160)], channel_id="C2", filename=f"{n}")
        await store_texts(session, ["We open at nine."], channel_id="C1", filename="small")
    await execute(database.owner_url, "ANALYZE")
    async with sessions.tenant(TEAM) as session:
        parameters = search_parameters(
            audience("C1"),
            ModelId(1),
            [QueryWord(1, (1,))],
            unit(1),
            weight=0.5,
            floor=0.2,
            limit=8,
            share=4,
            document_ids=None,
            prefer=None,
        )
        plan = "\n".join(await session.scalars(text(f"EXPLAIN {SEARCH.text}"), parameters))

    assert "Seq Scan on chunk_embeddings" not in plan
    assert "Seq Scan on document_chunks" not in plan


async def test_a_share_outside_the_audience_is_never_named(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, ["We open at nine."], channel_id="GSECRET")
        for place, ts in {"C1": "1.1", "C2": "2.2"}.items():
            await session.execute(
                text("""
                    INSERT INTO document_shares (team_id, id, document_id, channel_id, message_ts)
                    VALUES (:team, gen_random_uuid(), :document, :channel, :ts)
                """),
                {"team": TEAM, "document": document, "channel": place, "ts": ts},
            )

        async def named(*channels: str, prefer: str | None = None) -> tuple[str | None, str | None]:
            result = await search(session, "open", unit(1), audience(*channels), prefer=prefer)
            return result.nearest[0].channel_id, result.nearest[0].message_ts

        assert await named("C1") == ("C1", "1.1")
        assert await named("C1", "C2", prefer="C2") == ("C2", "2.2")
        assert await named("C1", prefer="GSECRET") == ("C1", "1.1")


async def test_a_search_can_be_kept_to_some_documents(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        first = await store_texts(session, ["We open at nine."], filename="a")
        await store_texts(session, ["We open at ten."], filename="b")
        hidden = await store_texts(session, ["We open at eleven."], filename="c", channel_id="GSECRET")

        kept = await search(session, "open", unit(1), audience("C1"), document_ids=[first, hidden], floor=-1)
        none = await search(session, "open", unit(1), audience("C1"), document_ids=[], floor=-1)
    assert texts_of(kept) == ["We open at nine."]
    assert none.nearest == ()


async def test_vectors_of_another_model_are_never_compared(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["We open at nine."], filename="a")
        other = await ChannelRepository(session).record_embedding_model(TEAM, "other", 24)
        document = (await share_bytes(session, b"b", user=await record_user(session), filename="b")).id
        await PassageRepository(session).store(
            TEAM, document, other, indexed(["We open at ten."], vectors=[unit(1, 24)])
        )
        await DocumentRepository(session).set_status(TEAM, document, DocumentStatus.READY)

        by_first = await search(session, "open", unit(1), audience("C1"), floor=-1)
        by_other = await search(session, "open", unit(1, 24), audience("C1"), model=other, floor=-1)
    assert texts_of(by_first) == ["We open at nine."]
    assert texts_of(by_other) == ["We open at ten."]


async def test_the_weight_of_each_asked_term_comes_back(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["bread and salt", "bread and flour", "water"])
        found = await search(session, "bread salt unheard", unit(1), audience("C1"))

    def idf(df: int) -> float:
        return math.log(1 + (3 - df + 0.5) / (df + 0.5))

    assert found.term_weights == pytest.approx(
        {hash_term(stem(word)): idf(df) for word, df in {"bread": 2, "salt": 1, "unheard": 0}.items()}
    )


async def test_a_question_of_stop_words_alone_is_searched_by_meaning(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["first", "second"], vectors=[unit(1), unit(2)])
        found = await search(session, "what is it?", unit(2), audience("C1"))

    assert found.nearest[0].text == "second"
    assert found.nearest[0].lexical == 0
    assert found.term_weights == {}


async def test_without_a_vector_the_words_stand_alone(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["bread", "salt"])
        found = await search(session, "salt", None, audience("C1"))

    assert found.nearest[0].text == "salt"
    assert found.nearest[0].score == pytest.approx(found.nearest[0].lexical)
    assert found.nearest[0].cosine == 0


async def test_a_workspace_without_documents_finds_nothing(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        assert await search(session, "bread", unit(1), audience("C1")) == SearchResult()


async def test_counts_out_of_step_still_give_a_score(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["bread", "salt"])
        await StatisticsRepository(session).add_counts(TEAM, {hash_term(stem("bread")): 1_000})
        inflated = await search(session, "bread", unit(1), audience("C1"))
        await session.execute(text("DELETE FROM term_statistics"))
        lost = await search(session, "bread", unit(1), audience("C1"))

    for found in (inflated, lost):
        assert {p.text: p.lexical > 0 for p in found.nearest} == {"bread": True, "salt": False}
        assert all(0 <= p.lexical <= 1 for p in found.nearest)


async def test_a_vector_weighed_by_another_version_counts_by_meaning_alone(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["bread"])
        await session.execute(text("UPDATE chunk_embeddings SET lexical_version = 99"))
        found = await search(session, "bread", unit(1), audience("C1"))

    assert found.nearest[0].lexical == 0


async def test_a_question_of_very_many_words_is_answered(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["bread"])
        many = " ".join(["bread bread", *(f"w{n}" for n in range(20_000))])
        found = await search(session, many, unit(1), audience("C1"))

    assert found.nearest[0].lexical > 0


async def test_another_workspace_finds_nothing_of_ours(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["bread"])

    async with sessions.tenant(OTHER_TEAM) as session:
        assert await search(session, "bread", unit(1), audience("C1", team_id=OTHER_TEAM)) == SearchResult()
        assert await search(session, "bread", unit(1), audience("C1", team_id=TEAM)) == SearchResult()
        await store_texts(session, ["bread of theirs"], team_id=OTHER_TEAM)
        found = await search(session, "bread", unit(1), audience("C1", team_id=OTHER_TEAM))
    assert texts_of(found) == ["bread of theirs"]
    assert found.term_weights == pytest.approx({hash_term(stem("bread")): math.log(1 + 0.5 / 1.5)})
