from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository
from bot.repositories.passages import PassageRepository
from bot.values import Chunk, IndexedChunk, ModelId, new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import (
    DIMENSIONS,
    MODEL,
    audience,
    counted_statements,
    indexed,
    record_user,
    share_bytes,
    store_texts,
    unit,
)

TEXTS = ["We open at nine.", "We close at six.", "The bakery is in Mill Lane."]


async def test_a_documents_chunks_are_kept_word_for_word(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        recorded = await share_bytes(session, user=user)
        model = await ChannelRepository(session).record_embedding_model(TEAM, MODEL, DIMENSIONS)
        chunk = Chunk(0, "Brot & Brötchen 🥐\n", 5, 24, 9, page=None, heading=None)
        stored = await PassageRepository(session).store(
            TEAM,
            recorded.id,
            model,
            [IndexedChunk(chunk, unit(1), {7: 1.5}), *indexed(TEXTS)[1:]],
            language="de",
            metadata={"parser": "plain\x00"},
        )
        rows = await PassageRepository(session).list_chunks(TEAM, recorded.id, audience=audience("C1"))

    assert stored == 3
    first, second, _ = rows
    assert (first.content, first.char_start, first.char_end, first.token_count) == ("Brot & Brötchen 🥐\n", 5, 24, 9)
    assert (first.page, first.heading, first.language) == (None, None, "de")
    assert first.details == {"parser": "plain\ufffd"}
    assert (second.content, second.page, second.heading, second.chunk_index) == ("We close at six.", 2, "Opening", 1)


async def test_both_vectors_are_kept_as_they_were_given(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["We open at nine."], vectors=[unit(1)])
        row = (await session.execute(text("SELECT embedding, lexical FROM chunk_embeddings"))).one()

    (chunk,) = indexed(["We open at nine."], vectors=[unit(1)])
    embedding = np.frombuffer(row.embedding, dtype=">f2", offset=4)
    terms = np.frombuffer(row.lexical, dtype=">i4", offset=12, count=len(chunk.lexical)) + 1
    assert np.allclose(embedding, chunk.embedding, atol=1e-3)
    assert set(terms.tolist()) == set(chunk.lexical)


async def test_a_document_without_text_has_no_chunks(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, [])

        assert await PassageRepository(session).list_chunks(TEAM, document, audience=audience("C1")) == []


async def test_a_large_document_is_stored_in_few_statements(sessions: Sessions, engine: AsyncEngine) -> None:
    async with sessions.tenant(TEAM) as session:
        recorded = await share_bytes(session, user=await record_user(session))
        model = await ChannelRepository(session).record_embedding_model(TEAM, MODEL, DIMENSIONS)
        chunks = indexed([f"sentence number {n}" for n in range(1_100)])
        with counted_statements(engine) as statements:
            stored = await PassageRepository(session).store(TEAM, recorded.id, model, chunks)
        count = await session.scalar(text("SELECT count(*) FROM chunk_embeddings"))

    assert stored == count == 1_100
    assert len(statements) == 2 * 3


async def test_chunks_are_stored_after_those_there(sessions: Sessions) -> None:
    chunks = indexed(TEXTS)
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS[:2])
        await PassageRepository(session).store(TEAM, document, ModelId(1), chunks[2:])

        rows = await PassageRepository(session).list_chunks(TEAM, document, audience=audience("C1"))
    assert [row.content for row in rows] == TEXTS
    assert sorted(row.id for row in rows) == [row.id for row in rows]


async def test_deleted_chunks_take_vectors_and_counted_terms_along(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)
        await PassageRepository(session).delete(TEAM, document)

        assert await session.scalar(text("SELECT count(*) FROM document_chunks")) == 0
        assert await session.scalar(text("SELECT count(*) FROM chunk_embeddings")) == 0
        assert await session.scalar(text("SELECT max(chunk_count) FROM term_statistics")) == 0


async def test_a_store_that_fails_half_way_leaves_nothing(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)
    too_long = indexed([*TEXTS, "new", "newer"], vectors=[*[unit(1)] * 4, unit(1, 8_000)])[3:]

    with pytest.raises(DBAPIError, match="too big"):
        async with sessions.tenant(TEAM) as session:
            await PassageRepository(session).store(TEAM, document, ModelId(1), too_long)

    async with sessions.tenant(TEAM) as session:
        rows = await PassageRepository(session).list_chunks(TEAM, document, audience=audience("C1"))
    assert [row.content for row in rows] == TEXTS


async def test_hostile_text_keeps_its_offsets(sessions: Sessions) -> None:
    hostile = "a\x00b\ud800c"
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, [hostile])
        (row,) = await PassageRepository(session).list_chunks(TEAM, document, audience=audience("C1"))

    assert row.content == "a\ufffdb\ufffdc"
    assert row.char_end - row.char_start == len(row.content)


async def test_chunks_are_listed_page_by_page_for_who_may_read_them(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)
        passages = PassageRepository(session)

        first = await passages.list_chunks(TEAM, document, audience=audience("C1"), limit=2)
        rest = await passages.list_chunks(TEAM, document, audience=audience("C1"), after_index=first[-1].chunk_index)
        hidden = await passages.list_chunks(TEAM, document, audience=audience("C2"))
    assert [row.content for row in [*first, *rest]] == TEXTS
    assert hidden == []


async def test_passages_come_in_the_order_asked_without_those_that_may_not_be_read(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, TEXTS, ts="1.0")
        await store_texts(session, ["Salaries."], channel_id="GSECRET", filename="secret.pdf")
        ids = list(await session.scalars(text("SELECT id FROM document_chunks ORDER BY document_id, chunk_index")))
        asked = [ids[3], ids[2], new_id(), ids[0]]

        found = await PassageRepository(session).list_passages(TEAM, asked, audience=audience("C1"))
    assert [passage.text for passage in found] == [TEXTS[2], TEXTS[0]]
    assert [passage.chunk_id for passage in found] == [ids[2], ids[0]]
    assert (found[0].filename, found[0].page, found[0].channel_id, found[0].message_ts) == (
        "handbook.pdf",
        3,
        "C1",
        "1.0",
    )


async def test_visible_chunks_are_counted_up_to_a_cap(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, TEXTS)
        await store_texts(session, ["Salaries."], channel_id="GSECRET", filename="secret.pdf")
        passages = PassageRepository(session)

        async def count(*channels: str, cap: int = 100, model: int = 1) -> int:
            return await passages.count_visible(TEAM, audience=audience(*channels), model_id=ModelId(model), cap=cap)

        assert await count("C1") == 3
        assert await count("C1", "GSECRET") == 4
        assert await count("C1", "GSECRET", cap=2) == 2
        assert await count() == 0
        assert await count("C1", model=2) == 0


async def test_an_audience_of_another_workspace_is_refused(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        passages = PassageRepository(session)
        with pytest.raises(ValueError, match="another workspace"):
            await passages.list_passages(TEAM, [], audience=audience("C1", team_id=OTHER_TEAM))
        with pytest.raises(ValueError, match="another workspace"):
            await passages.list_chunks(TEAM, new_id(), audience=audience("C1", team_id=OTHER_TEAM))


async def test_another_workspace_reads_no_passage(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)
        ids = list(await session.scalars(text("SELECT id FROM document_chunks")))

    async with sessions.tenant(OTHER_TEAM) as session:
        passages = PassageRepository(session)
        for team in (TEAM, OTHER_TEAM):
            seen = audience("C1", team_id=team)
            assert await passages.list_chunks(team, document, audience=seen) == []
            assert await passages.list_passages(team, ids, audience=seen) == []
            assert await passages.count_visible(team, audience=seen, model_id=ModelId(1), cap=9) == 0
