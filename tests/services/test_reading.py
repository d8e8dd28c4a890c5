"""Whoever reads for people is held to their audience by PostgreSQL: here every condition of ours is forgotten."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text, true
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import NotFound
from bot.repositories import blend, documents, neighbours, passages
from bot.repositories.channels import ChannelRepository
from bot.repositories.neighbours import VectorIndex
from bot.repositories.passages import PassageRepository
from bot.services.ports import Unclaimed
from bot.values import Audience, ModelId, Question, Role
from tests.conftest import TEAM, Database, execute
from tests.repositories.builders import record_user, share_bytes, store_texts
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat

CANARY = "The canary of G1 sings at dawn."
OPEN_NOTE = "The canary of C1 is a plain brown bird."
QUESTION = "What does the canary sing?"

CONDITION = re.compile(r"(\w+\.)?channel_id = ANY\(CAST\(:channels AS text\[\]\)\)")


def forgetful(statement: str) -> str:
    """Return a statement that names the audience's channels, and asks for all of them."""
    changed, count = CONDITION.subn(r"(true OR \g<0>)", statement)
    assert count, "where is the condition?"
    return changed


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every repository forget what an audience is."""
    for module, names in ((passages, ("SEARCH", "VISIBLE", "_LIST_PASSAGES")), (neighbours, ("READABLE", "VISIBLE"))):
        for name in names:
            remembered = getattr(module, name)
            forgot = forgetful(remembered.text if isinstance(remembered, TextClause) else remembered)
            monkeypatch.setattr(module, name, text(forgot) if isinstance(remembered, TextClause) else forgot)
    monkeypatch.setattr(neighbours, "PASSAGE_SOURCES", forgetful(blend.PASSAGE_SOURCES))
    monkeypatch.setattr(documents, "_known_to", lambda _: true())


async def note(house: House, words: str, *, filename: str, channel: str) -> UUID:
    """Store a document of one chunk as if it had been read; return its id."""
    vectors = list(await house.embedder.embed([words]))
    async with house.sessions.tenant(TEAM) as session:
        return await store_texts(session, [words], channel_id=channel, filename=filename, vectors=vectors)


async def share_again(house: House, words: str, *, filename: str, channel: str) -> None:
    """Share a note's bytes in one more channel."""
    async with house.sessions.tenant(TEAM) as session:
        user = await record_user(session)
        await share_bytes(session, f"{filename}\n{words}".encode(), user=user, filename=filename, channel_id=channel)


@pytest.fixture
async def careless(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A note in C1 and one in G1, and repositories that have forgotten what an audience is."""
    await note(house, OPEN_NOTE, filename="bird.txt", channel="C1")
    await note(house, CANARY, filename="song.txt", channel="G1")
    forget(monkeypatch)
    return house


def of(*channels: str) -> Audience:
    return Audience(TEAM, frozenset(channels))


async def neighbours_texts(session: AsyncSession, house: House, *, approximate: bool) -> list[str]:
    vector = await house.embedder.embed_query(QUESTION)
    found = await PassageRepository(session).nearest(
        TEAM,
        vector,
        model_id=ModelId(1),
        dimensions=len(vector),
        audience=of("C1"),
        limit=9,
        approximate=approximate,
    )
    return sorted(neighbour.passage.text for neighbour in found)


async def test_without_the_scope_they_would_find_what_is_not_theirs(careless: House) -> None:
    async with careless.sessions.tenant(TEAM) as session:
        assert await neighbours_texts(session, careless, approximate=False) == [OPEN_NOTE, CANARY]


async def test_a_search_that_forgot_its_audience_finds_what_is_theirs(careless: House) -> None:
    for audience, expected in ((of("C1"), [OPEN_NOTE]), (of("G1"), [CANARY]), (of(), []), (of("C2"), [])):
        result = await careless.search.search(QUESTION, audience=audience)
        assert [passage.text for passage in result.nearest] == expected


@pytest.mark.parametrize("approximate", [False, True])
async def test_so_does_one_by_vectors_alone(careless: House, database: Database, *, approximate: bool) -> None:
    if approximate:
        await execute(database.owner_url, VectorIndex(ModelId(1), 384).create_sql)

    async with careless.sessions.reading(of("C1")) as session:
        assert await neighbours_texts(session, careless, approximate=approximate) == [OPEN_NOTE]


async def test_no_prompt_holds_what_is_not_for_those_who_will_see_the_answer(careless: House) -> None:
    chat = ScriptedChat("Nothing.")
    question = Question(TEAM, "C1", "U1", "1700000100.000000", "1700000100.000000", QUESTION)

    await careless.answers(chat).answer(question, NotedReply(), claim=Unclaimed())

    (prompt,) = chat.prompts
    assert [passage.text for passage in prompt.passages] == [OPEN_NOTE]


async def test_nor_do_the_passages_shown_in_place_of_an_answer(careless: House) -> None:
    question = Question(TEAM, "C1", "U1", "1700000100.000000", "1700000100.000000", QUESTION)
    reply = NotedReply()

    await careless.answers().apologise_for_model(question, reply, claim=Unclaimed())

    assert [citation.quote for citation in reply.sources] == [OPEN_NOTE]


async def test_a_question_that_is_asked_alone_is_answered_from_what_its_asker_may_read(careless: House) -> None:
    chat, user_id = ScriptedChat("Nothing."), await careless.user_id("U2")

    await careless.answers(chat).ask(of("C1"), QUESTION, user_id=user_id)

    (prompt,) = chat.prompts
    assert [passage.text for passage in prompt.passages] == [OPEN_NOTE]


async def test_chunks_and_passages_by_their_ids_are_the_audiences_own(careless: House) -> None:
    async with careless.sessions.tenant(TEAM) as session:
        chunks = (await session.execute(text("SELECT id, document_id, content FROM document_chunks"))).all()

    async with careless.sessions.reading(of("C1")) as session:
        repository = PassageRepository(session)
        found = await repository.list_passages(TEAM, [chunk.id for chunk in chunks], audience=of("C1", "G1"))
        listed = [
            await repository.list_chunks(TEAM, chunk.document_id, audience=of("C1", "G1"))
            for chunk in chunks
            if chunk.content == CANARY
        ]
        count = await repository.count_visible(TEAM, audience=of("C1"), model_id=ModelId(1), cap=9)

    assert [passage.text for passage in found] == [OPEN_NOTE]
    assert listed == [[]]
    assert count == 1


async def test_documents_are_listed_shown_deleted_and_read_again_by_who_may_see_them(careless: House) -> None:
    async with careless.sessions.tenant(TEAM) as session:
        song = (await session.scalars(text("SELECT id FROM documents WHERE filename = 'song.txt'"))).one()
        uploader = await careless.user_id("U1")

    page = await careless.documents.list_page(of("C1"))
    assert [view.filename for view in page.documents] == ["bird.txt"]
    with pytest.raises(NotFound):
        await careless.documents.get(of("C1"), song)
    with pytest.raises(NotFound):
        await careless.documents.delete(of("C1"), song, user_id=uploader, is_admin=True)
    with pytest.raises(NotFound):
        await careless.documents.retry(of("C1"), song)
    assert (await careless.documents.get(of("G1"), song)).filename == "song.txt"


async def test_a_document_in_several_places_names_those_alone_that_its_reader_knows(careless: House) -> None:
    await share_again(careless, CANARY, filename="song.txt", channel="C1")

    page = await careless.documents.list_page(of("C1"))

    assert {(view.filename, view.channel_ids) for view in page.documents} == {
        ("bird.txt", ("C1",)),
        ("song.txt", ("C1",)),
    }


async def test_what_is_read_for_people_is_read_only(house: House) -> None:
    async with house.sessions.reading(of("C1")) as session:
        assert await ChannelRepository(session).get_embedding_model(TEAM) is None
        assert (await session.scalars(text("SHOW transaction_read_only"))).one() == "on"


async def test_a_turn_still_writes(house: House) -> None:
    await note(house, "We open at nine.", filename="hours.txt", channel="C1")
    question = Question(TEAM, "C1", "U1", "1700000100.000000", "1700000100.000000", "When do we open?")

    await house.answers().answer(question, NotedReply(), claim=Unclaimed())

    async with house.sessions.tenant(TEAM) as session:
        roles = (await session.scalars(text("SELECT role FROM messages ORDER BY id"))).all()
    assert roles == [Role.USER, Role.ASSISTANT]
