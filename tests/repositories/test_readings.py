"""How far a document is read: held while a batch is stored, and not found by anybody before it is whole."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.channels import ChannelRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.passages import PassageRepository
from bot.repositories.readings import Reading, ReadingRepository
from bot.text.lexical import query_words
from bot.values import DocumentStatus, ModelId, new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import (
    DIMENSIONS,
    MODEL,
    audience,
    indexed,
    overlap,
    record_user,
    share_bytes,
    store_texts,
    unit,
)

TEXTS = ["We open at nine.", "We close at six.", "The bakery is in Mill Lane."]


async def test_a_document_nobody_has_read_has_nothing_stored(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        recorded = await share_bytes(session, user=await record_user(session))

        assert await ReadingRepository(session).hold(TEAM, recorded.id) == Reading(DocumentStatus.PROCESSING)


async def test_it_is_ready_with_its_last_chunk(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        recorded = await share_bytes(session, user=await record_user(session))
        readings = ReadingRepository(session)

        await readings.begin(TEAM, recorded.id, total=3, mark="m")
        begun = await readings.get(TEAM, recorded.id)
        await readings.move(TEAM, recorded.id, stored=2, total=3, mark="m", file_type="pdf")
        going_on = await readings.get(TEAM, recorded.id)
        await readings.move(TEAM, recorded.id, stored=3, total=3, mark="m", file_type="pdf")
        done = await readings.get(TEAM, recorded.id)

    assert begun == Reading(DocumentStatus.PROCESSING, 0, 3, "m")
    assert going_on == Reading(DocumentStatus.PROCESSING, 2, 3, "m")
    assert done == Reading(DocumentStatus.READY, 3, 3, "m")


async def test_what_is_known_of_a_document_besides_is_kept(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        recorded = await share_bytes(session, user=await record_user(session))
        await DocumentRepository(session).update(TEAM, recorded.id, details={"author": "Ada"})
        await ReadingRepository(session).begin(TEAM, recorded.id, total=3, mark="m")
        document = await DocumentRepository(session).get(TEAM, recorded.id)

    assert document is not None
    assert document.details == {"author": "Ada", "reading": "m"}
    assert document.file_type == "application/pdf"


async def test_a_document_that_failed_has_nothing_stored(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        recorded = await share_bytes(session, user=await record_user(session))
        readings = ReadingRepository(session)
        await readings.move(TEAM, recorded.id, stored=2, total=3, mark="m", file_type="pdf")
        await readings.fail(TEAM, recorded.id, reason="It is\x00 too large.")
        document = await DocumentRepository(session).get(TEAM, recorded.id)

    assert document is not None
    assert (document.status, document.error) == ("error", "It is\ufffd too large.")
    assert (document.chunks_stored, document.chunk_total) == (0, None)


async def test_two_who_hold_a_document_at_once_come_one_after_the_other(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        recorded = await share_bytes(session, user=await record_user(session))

    async def store_one(session: AsyncSession) -> int:
        readings = ReadingRepository(session)
        held = await readings.hold(TEAM, recorded.id)
        await readings.move(TEAM, recorded.id, stored=held.stored + 1, total=9, mark="m", file_type="pdf")
        return held.stored

    assert await overlap(sessions, store_one, store_one) == (0, 1)


async def test_a_deleted_document_is_not_held(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)

    async def delete(session: AsyncSession) -> int:
        return await DocumentRepository(session).delete(TEAM, document)

    async def hold(session: AsyncSession) -> Reading:
        return await ReadingRepository(session).hold(TEAM, document)

    with pytest.raises(NotFound):
        await overlap(sessions, delete, hold)


async def test_another_workspace_reads_nothing(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, TEXTS)

    async with sessions.tenant(OTHER_TEAM) as session:
        for team in (TEAM, OTHER_TEAM):
            with pytest.raises(NotFound):
                await ReadingRepository(session).hold(team, document)


@pytest.mark.parametrize("status", [DocumentStatus.PROCESSING, DocumentStatus.ERROR])
async def test_chunks_of_a_document_that_is_not_ready_are_found_by_nobody(
    sessions: Sessions, status: DocumentStatus
) -> None:
    async with sessions.tenant(TEAM) as session:
        whole = await store_texts(session, TEXTS)
        model = await ChannelRepository(session).record_embedding_model(TEAM, MODEL, DIMENSIONS)
        part = (await share_bytes(session, b"part", user=await record_user(session), filename="part.pdf")).id
        await PassageRepository(session).store(TEAM, part, model, indexed(["We open at ten."]))
        await DocumentRepository(session).set_status(TEAM, part, status)

        assert await seen(session, model) == {whole}
        await DocumentRepository(session).set_status(TEAM, part, DocumentStatus.READY)
        assert await seen(session, model) == {whole, part}


async def seen(session: AsyncSession, model: ModelId) -> set[object]:
    """Return the documents that search, both ways of finding neighbours, and a list of all chunks come upon."""
    passages, readers = PassageRepository(session), audience("C1")
    found = await passages.search(
        TEAM, query_words=query_words("open"), vector=unit(1), model_id=model, audience=readers, floor=-1, limit=9
    )
    ids = list(await session.scalars(text("SELECT id FROM document_chunks")))
    ways = [
        {passage.document_id for passage in found.nearest},
        {passage.document_id for passage in await passages.list_passages(TEAM, ids, audience=readers)},
    ]
    for approximate in (False, True):
        near = await passages.nearest(
            TEAM, unit(1), model_id=model, audience=readers, limit=9, dimensions=DIMENSIONS, approximate=approximate
        )
        ways.append({neighbour.passage.document_id for neighbour in near})
    assert all(way == ways[0] for way in ways), ways
    counted = await passages.count_visible(TEAM, audience=readers, model_id=model, cap=99)
    assert counted == len(found.nearest)
    return set(ways[0])


async def test_a_document_that_is_gone_is_not_asked_after(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        with pytest.raises(NotFound) as gone:
            await ReadingRepository(session).get(TEAM, new_id())

    assert gone.value.user_message == "This document was deleted."
