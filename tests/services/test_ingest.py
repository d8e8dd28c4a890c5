"""Every file ends ready, or in error with a reason that a person understands; the same bytes are read once."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import Sessions
from bot.db.types import unpack_halfvec
from bot.errors import ModelUnavailable
from bot.llm.local import LocalEmbedder
from bot.parsing.sandbox import parse_in_sandbox
from bot.repositories.channels import ChannelRepository
from bot.repositories.statistics import StatisticsRepository
from bot.services.ingest import Upload
from bot.services.ports import Unclaimed
from bot.text.headings import headed
from bot.text.lexical import document_weights
from bot.values import DocumentStatus, IngestOutcome, Share
from tests.conftest import TEAM
from tests.parsing.builders import docx, encrypted_pdf, paragraph, pdf, xlsx, zip_bomb
from tests.services.conftest import MAX_FILE_BYTES, House, make_house
from tests.services.stand_ins import HANDBOOK, WatchedEmbedder

LONG = "\n\n".join(
    f"Clause {number}. The tenant of room {number} pays {number * 7} crowns a month, and the caretaker of that room "
    f"sweeps the stairs on day {number % 28 + 1} of every month, whatever the weather may be like then."
    for number in range(1, 400)
).encode()


async def upload_of(
    house: House,
    data: bytes = HANDBOOK,
    *,
    filename: str = "handbook.md",
    channel: str = "C1",
    user: str = "U1",
    ts: str = "1700000000.000000",
) -> Upload:
    return Upload(TEAM, filename, data, Share(channel, await house.user_id(user), f"F{ts}", ts, ts))


async def ingest(house: House, data: bytes = HANDBOOK, **options: Any) -> IngestOutcome:
    return await house.ingest.ingest(await upload_of(house, data, **options), claim=Unclaimed())


async def rows(house: House, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    async with house.sessions.tenant(TEAM) as session:
        return [dict(row) for row in (await session.execute(text(statement), parameters)).mappings()]


async def documents(house: House) -> list[dict[str, Any]]:
    return await rows(house, "SELECT * FROM documents ORDER BY id")


async def chunks(house: House) -> list[dict[str, Any]]:
    return await rows(house, "SELECT * FROM document_chunks ORDER BY document_id, chunk_index")


# From bytes to passages


async def test_a_file_is_processing_while_it_is_read_and_then_ready(house: House) -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.extend(row["status"] for row in await documents(house))

    looking: list[asyncio.Task[None]] = []
    house.embedder.meanwhile = lambda: looking.append(asyncio.create_task(look()))
    outcome = await ingest(house)
    await asyncio.gather(*looking)

    assert seen[0] == "processing"
    assert outcome.status is DocumentStatus.READY
    (row,) = await documents(house)
    assert (row["status"], row["error"], row["file_type"]) == ("ready", None, "md")
    assert outcome.chunk_count == len(await chunks(house)) > 0
    assert (outcome.filename, outcome.already_known, outcome.version) == ("handbook.md", False, 1)


async def test_the_offsets_of_chunks_are_those_of_the_documents_text(house: House) -> None:
    await ingest(house, LONG, filename="house-rules.txt")
    parsed = await parse_in_sandbox(LONG, "house-rules.txt")

    stored = await chunks(house)

    assert [row["chunk_index"] for row in stored] == list(range(len(stored)))
    for row in stored:
        assert parsed.text[row["char_start"] : row["char_end"]] == row["content"]


async def test_no_chunk_is_longer_than_the_embedder_reads(house: House) -> None:
    await ingest(house, LONG, filename="house-rules.txt")

    for row in await chunks(house):
        assert row["token_count"] == house.embedder.count_tokens(row["content"]) <= house.embedder.max_tokens


async def test_pages_and_headings_are_kept(house: House) -> None:
    outcome = await ingest(house, pdf([["First things first."], ["Second comes the second."]]), filename="two.pdf")
    await ingest(house, filename="handbook.md", ts="1700000001.000000")

    stored = await chunks(house)

    assert outcome.page_count == 2
    assert [row["page"] for row in stored if row["document_id"] == outcome.document_id][:1] == [1]
    headings = {row["heading"] for row in stored if row["document_id"] != outcome.document_id}
    assert headings & {"Opening hours", "Holidays", "Travel"}


async def test_vectors_have_unit_length_and_are_those_of_the_chunks(house: House) -> None:
    await ingest(house)

    stored = await rows(
        house, "SELECT embedding, content, heading FROM chunk_embeddings e JOIN document_chunks c ON c.id = e.chunk_id"
    )

    for row in stored:
        vector = unpack_halfvec(row["embedding"])
        again = await house.embedder.embed([headed(row["content"], row["heading"])])
        assert np.linalg.norm(vector) == pytest.approx(1, abs=2e-3)
        assert float(np.dot(vector, again[0])) == pytest.approx(1, abs=2e-3)


async def test_terms_are_counted_once_for_every_chunk_that_holds_them(house: House) -> None:
    await ingest(house)
    await ingest(house, b"The office has a cellar.", filename="cellar.txt", ts="1700000001.000000")

    stored = await chunks(house)
    async with house.sessions.tenant(TEAM) as session:
        counts = await StatisticsRepository(session).get_counts(TEAM)

    assert counts.pop(0) == len(stored)
    terms = {term for row in stored for term in document_weights(row["content"])}
    expected = {term: sum(term in document_weights(row["content"]) for row in stored) for term in terms}
    assert counts == expected


async def test_a_file_shared_in_a_thread_belongs_to_its_conversation(house: House) -> None:
    outcome = await ingest(house)

    links = await rows(
        house,
        "SELECT d.document_id, c.thread_ts FROM conversation_documents d JOIN conversations c ON c.id = d.conversation_id",
    )

    assert links == [{"document_id": outcome.document_id, "thread_ts": "1700000000.000000"}]


async def test_no_transaction_is_open_while_chunks_are_embedded(house: House) -> None:
    house.embedder.meanwhile = house.assert_no_transaction

    assert (await ingest(house)).status is DocumentStatus.READY


# Files that can't be read


@pytest.mark.parametrize(
    ("data", "filename", "sentence"),
    [
        (b"", "nothing.txt", "The file is empty."),
        (b" \n\0\t ", "blank.txt", "The file is empty."),
        (encrypted_pdf(), "locked.pdf", "protected by a password"),
        (pdf([[], []]), "scan.pdf", "no text"),
        (pdf([["Cut"]])[:120], "cut.pdf", "damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "photo.png", "picture"),
        (zip_bomb(megabytes=64), "bomb.docx", "unpacks to more than"),
        (b"!!! ... ???", "dots.txt", "no text"),
    ],
    ids=["empty", "blank", "encrypted", "scanned", "truncated", "picture", "bomb", "no letters"],
)
async def test_a_file_that_cannot_be_read_says_why(house: House, data: bytes, filename: str, sentence: str) -> None:
    outcome = await ingest(house, data, filename=filename)

    assert outcome.status is DocumentStatus.ERROR
    assert sentence in (outcome.error or "")
    (row,) = await documents(house)
    assert (row["status"], row["error"], row["filename"]) == ("error", outcome.error, filename)
    assert await chunks(house) == []
    assert house.embedder.texts == []


async def test_a_file_over_the_limit_is_not_even_opened(house: House) -> None:
    outcome = await ingest(house, b"a" * (MAX_FILE_BYTES + 1), filename="big.txt")

    assert outcome.error == "The file is larger than 1 MB, the most I read."
    (row,) = await documents(house)
    assert (row["status"], row["file_size"], row["sha256"]) == ("error", MAX_FILE_BYTES + 1, None)


async def test_a_name_that_lies_about_its_file_is_seen_through(house: House) -> None:
    outcome = await ingest(house, pdf([["The truth is inside."]]), filename="notes.txt")

    assert outcome.status is DocumentStatus.READY
    assert (await documents(house))[0]["file_type"] == "pdf"


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (docx(paragraph("Our canteen opens at noon.")), "note.docx"),
        (xlsx({"Hours": [["Canteen", "opens at noon"]]}), "hours.xlsx"),
        (b"<html><body><p>Our canteen opens at noon.</p></body></html>", "page.html"),
        (b"name,opens\ncanteen,noon\n", "hours.csv"),
    ],
    ids=["word", "excel", "web", "csv"],
)
async def test_many_kinds_of_files_end_as_passages(house: House, data: bytes, filename: str) -> None:
    outcome = await ingest(house, data, filename=filename)

    assert outcome.status is DocumentStatus.READY
    assert "noon" in " ".join(row["content"] for row in await chunks(house))


async def test_names_and_texts_that_no_database_takes_are_cleaned(house: House) -> None:
    outcome = await ingest(house, "The gäte opens at five.\v".encode("latin-1"), filename="a\0b\ud800.txt")

    assert outcome.status is DocumentStatus.READY
    (row,) = await documents(house)
    assert "\0" not in row["filename"]
    assert (await chunks(house))[0]["content"] == "The gäte opens at five."


# Once only


async def test_the_same_bytes_are_embedded_once(house: House) -> None:
    first = await ingest(house)
    embedded = list(house.embedder.texts)

    second = await ingest(house, channel="C2", filename="copy.md", user="U2", ts="1700000001.000000")

    assert second.document_id == first.document_id
    assert (first.already_known, second.already_known) == (False, True)
    assert house.embedder.texts == embedded
    assert len(await documents(house)) == 1
    assert len(await rows(house, "SELECT id FROM document_shares")) == 2


async def test_the_same_bytes_shared_twice_at_once_leave_one_set_of_chunks(house: House) -> None:
    uploads = [
        await upload_of(house, channel=channel, ts=f"170000000{n}.000000") for n, channel in enumerate(["C1", "C2"])
    ]

    outcomes = await asyncio.gather(*(house.ingest.ingest(upload, claim=Unclaimed()) for upload in uploads))

    assert len({outcome.document_id for outcome in outcomes}) == 1
    stored = await chunks(house)
    assert [row["chunk_index"] for row in stored] == list(range(outcomes[0].chunk_count))
    async with house.sessions.tenant(TEAM) as session:
        assert (await StatisticsRepository(session).get_counts(TEAM))[0] == len(stored)


async def test_other_bytes_under_the_same_name_are_the_next_version(house: House) -> None:
    first = await ingest(house, b"The canteen opens at eleven.", filename="hours.txt")

    second = await ingest(house, b"The canteen opens at noon.", filename="hours.txt", ts="1700000001.000000")

    assert (first.version, second.version) == (1, 2)
    assert [row["content"] for row in await chunks(house)] == ["The canteen opens at noon."]


async def test_a_version_replaces_the_former_one_in_its_channel_only(house: House) -> None:
    old = await ingest(house, b"The canteen opens at eleven.", filename="hours.txt")
    await ingest(house, b"The canteen opens at eleven.", filename="hours.txt", channel="C2", ts="1700000001.000000")

    await ingest(house, b"The canteen opens at noon.", filename="hours.txt", ts="1700000002.000000")

    left = await rows(house, "SELECT channel_id FROM document_shares WHERE document_id = :id", id=old.document_id)
    assert left == [{"channel_id": "C2"}]
    assert len(await documents(house)) == 2


async def test_a_version_that_can_not_be_read_leaves_the_former_one_in_its_place(house: House) -> None:
    await ingest(house, b"The canteen opens at eleven.", filename="hours.txt")

    broken = await ingest(house, b"...", filename="hours.txt", ts="1700000001.000000")
    rejected = await ingest(house, b"x" * (MAX_FILE_BYTES + 1), filename="hours.txt", ts="1700000002.000000")

    assert (broken.status, rejected.status) == (DocumentStatus.ERROR, DocumentStatus.ERROR)
    assert [row["content"] for row in await chunks(house)] == ["The canteen opens at eleven."]
    assert (
        len(
            await rows(
                house,
                "SELECT 1 FROM document_shares s JOIN documents d ON d.id = s.document_id WHERE d.status = 'ready'",
            )
        )
        == 1
    )


async def test_a_version_that_can_be_read_clears_away_the_broken_ones_before_it(house: House) -> None:
    await ingest(house, b"The canteen opens at eleven.", filename="hours.txt")
    await ingest(house, b"...", filename="hours.txt", ts="1700000001.000000")

    third = await ingest(house, b"The canteen opens at noon.", filename="hours.txt", ts="1700000002.000000")

    assert third.version == 3
    assert [row["id"] for row in await documents(house)] == [third.document_id]


async def test_a_file_in_error_is_read_again_when_it_is_shared_again(house: House) -> None:
    first = await ingest(house, b"...", filename="dots.txt")

    again = await ingest(house, b"...", filename="dots.txt", ts="1700000001.000000")

    assert again.document_id == first.document_id
    assert again.status is DocumentStatus.ERROR
    assert not again.already_known


async def test_a_document_that_is_read_once_more_is_no_longer_in_error(house: House) -> None:
    outcome = await ingest(house)
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE documents SET status = 'error', error = 'It made my reader stumble.'"))
    house.embedder.fails_with = ModelUnavailable("down")

    with pytest.raises(ModelUnavailable):
        await ingest(house)
    (row,) = await documents(house)
    assert (row["status"], row["error"]) == ("processing", None)

    house.embedder.fails_with = None
    assert (await ingest(house)).document_id == outcome.document_id
    assert (await documents(house))[0]["status"] == "ready"


# When the model fails


async def test_a_model_that_fails_leaves_the_document_to_be_taken_up_again(house: House) -> None:
    house.embedder.fails_with = ModelUnavailable("down")
    with pytest.raises(ModelUnavailable):
        await ingest(house)
    assert [row["status"] for row in await documents(house)] == ["processing"]
    assert await chunks(house) == []

    house.embedder.fails_with = None
    outcome = await ingest(house)

    assert outcome.status is DocumentStatus.READY
    assert not outcome.already_known
    assert len(await documents(house)) == 1
    stored = await chunks(house)
    assert [row["chunk_index"] for row in stored] == list(range(outcome.chunk_count))


# Whose vectors they are


async def test_the_first_ingest_records_the_model(house: House) -> None:
    assert await active_model(house) is None

    await ingest(house)

    assert await active_model(house) == (house.embedder.name, house.embedder.dimensions)


async def test_a_file_that_cannot_be_read_records_no_model(house: House) -> None:
    await ingest(house, b"", filename="nothing.txt")

    assert await active_model(house) is None


async def test_another_model_is_refused_rather_than_storing_what_nobody_finds(
    house: House, engine: AsyncEngine, sessions: Sessions, local_embedder: LocalEmbedder
) -> None:
    await ingest(house)
    other = await make_house(engine, sessions, WatchedEmbedder(local_embedder, name="another-model"))

    with pytest.raises(ModelUnavailable) as refused:
        await ingest(other, b"The canteen opens at noon.", filename="hours.txt", ts="1700000001.000000")

    assert "restart me" in refused.value.user_message
    assert await active_model(house) == (house.embedder.name, house.embedder.dimensions)
    assert len({row["model_id"] for row in await rows(house, "SELECT model_id FROM chunk_embeddings")}) == 1


async def active_model(house: House) -> tuple[str, int] | None:
    async with house.sessions.tenant(TEAM) as session:
        model = await ChannelRepository(session).get_active_model(TEAM)
    return None if model is None else (model.name, model.dimensions)
