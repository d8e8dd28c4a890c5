"""The same bytes, shared in several places: each is told of by a share that its reader knows, and by no other."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.repositories.naming import UNNAMED
from bot.services.personal import PersonalDataService
from bot.services.ports import Unclaimed
from bot.values import Answer, Audience, DocumentStatus, Passage
from tests.conftest import TEAM
from tests.services.asking import ask, question, rows
from tests.services.conftest import House
from tests.services.stand_ins import HANDBOOK, NotedReply
from tests.services.test_documents import delete

SECRET = "merger-with-northwind.md"
OPEN = "handbook.md"
PRIVATELY, OPENLY = "1700000000.000000", "1700000001.000000"
OF_THE_SECRET = (SECRET, "northwind", "Name of U1", "U1", "G1", PRIVATELY, "2020")
"""What says how, by whom, where and when it was shared first: U1, in 2020, in a channel that U2 isn't in."""


@pytest.fixture
async def twice(house: House) -> House:
    """The handbook, shared long ago by U1 in the private channel G1, and by U2 in C1 under another name."""
    await house.share(file_id="FG", filename=SECRET, channel="G1", ts=PRIVATELY)
    async with house.sessions.tenant(TEAM) as session:
        for table in ("documents", "document_shares"):
            await session.execute(text(f"UPDATE {table} SET created_at = '2020-05-05T05:05:05Z'"))
    await house.share(file_id="FC", filename=OPEN, channel="C1", ts=OPENLY, user="U2")
    return house


async def audience_of(house: House, user: str) -> Audience:
    return await house.audiences.of(TEAM, channel_id="C1", user_id=user, private=True)


def names_nothing_of_the_secret(shown: object) -> bool:
    return not any(word in repr(shown) for word in OF_THE_SECRET)


async def forget_names(house: House) -> None:
    """Let the shares have been written by the release before."""
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE document_shares SET filename = NULL"))


async def found_by(house: House, user: str) -> Passage:
    result = await house.search.search("office opens", audience=await audience_of(house, user))
    return result.passages[0]


async def test_an_answer_and_its_prompt_name_the_share_of_their_channel(twice: House) -> None:
    asked = await ask(twice, about=question(user="U2"))

    (source,) = asked.answer.citations
    assert (source.filename, source.permalink) == (OPEN, f"https://slack.test/C1/{OPENLY}")
    assert {passage.filename for passage in asked.chat.prompts[0].passages} == {OPEN}
    assert names_nothing_of_the_secret((asked.answer, asked.chat.prompts[0].passages))


async def test_where_its_asker_knows_both_the_share_of_that_channel_comes_first(twice: House) -> None:
    both = await twice.audiences.of(TEAM, channel_id="G1", user_id="U1", private=False)
    there = await ask(twice, about=question(channel="G1"))
    here = await ask(twice, about=question(ts="1700000200.000000"))

    assert {"C1", "G1"} <= both.channel_ids
    assert [answer.citations[0].filename for answer in (there.answer, here.answer)] == [SECRET, OPEN]


async def test_alone_the_newest_share_tells(twice: House) -> None:
    found = await found_by(twice, "U1")

    assert (found.filename, found.channel_id, found.message_ts) == (OPEN, "C1", OPENLY)
    view = await twice.documents.get(await audience_of(twice, "U1"), found.document_id)
    assert (view.filename, view.uploader) == (OPEN, "Name of U2")


async def test_a_share_with_a_message_to_link_to_comes_before_a_newer_one_without(twice: House) -> None:
    await twice.documents.ingest_upload(TEAM, await twice.user_id("U2"), "upload.md", HANDBOOK)

    assert (await found_by(twice, "U2")).filename == OPEN
    view = (await twice.documents.list_page(await audience_of(twice, "U2"))).documents[0]
    assert view.filename == OPEN


async def test_a_search_and_the_nearest_passages_name_the_share_that_is_known(twice: House) -> None:
    await twice.answers().answer(question("Where is Atlantis?", user="U2"), NotedReply(), claim=Unclaimed())

    found = await found_by(twice, "U2")
    nearest = await twice.answers().nearest(TEAM, channel_id="C1", ts="1700000100.000000", user_id="U2")

    assert found.filename == OPEN
    assert nearest
    assert names_nothing_of_the_secret((found, nearest))


async def test_the_list_and_one_document_tell_of_the_share_that_is_known(twice: House) -> None:
    audience = await audience_of(twice, "U2")

    (listed,) = (await twice.documents.list_page(audience)).documents
    view = await twice.documents.get(audience, listed.id)

    assert view == listed
    assert (view.filename, view.uploader, view.channel_ids) == (OPEN, "Name of U2", ("C1",))
    assert view.shared_at.year > 2020
    assert names_nothing_of_the_secret(view)


async def test_a_list_is_in_the_order_of_the_shares_that_are_known(twice: House) -> None:
    await twice.share(b"Later than the first share.", file_id="F3", filename="later.txt", ts="1700000002.000000")
    await twice.share(file_id="F4", filename="again.md", channel="C2", ts="1700000003.000000", user="U2")
    audience = await audience_of(twice, "U2")

    first = await twice.documents.list_page(audience, limit=1)
    second = await twice.documents.list_page(audience, after=first.after, limit=1)

    assert [view.filename for view in (*first.documents, *second.documents)] == ["again.md", "later.txt"]
    assert second.after is None


async def test_what_somebody_shared_they_may_delete_and_what_others_shared_stays_untold(twice: House) -> None:
    (view,) = (await twice.documents.list_page(await audience_of(twice, "U2"))).documents

    assert await delete(twice, view.id, user="U2") == OPEN

    assert (await twice.documents.list_page(await audience_of(twice, "U2"))).documents == ()
    (left,) = (await twice.documents.list_page(await audience_of(twice, "U1"))).documents
    assert (left.filename, left.uploader, left.channel_ids) == (SECRET, "Name of U1", ("G1",))


async def test_who_was_first_deletes_only_what_they_shared(twice: House) -> None:
    (view,) = (await twice.documents.list_page(await audience_of(twice, "U2"))).documents

    await delete(twice, view.id, user="U1")

    assert await rows(twice, "SELECT channel_id FROM document_shares") == [{"channel_id": "C1"}]
    assert await rows(
        twice, "SELECT d.filename, u.slack_user_id FROM documents d JOIN users u ON u.id = uploader_id"
    ) == [{"filename": OPEN, "slack_user_id": "U2"}], "what was taken away has left its name nowhere"


async def test_a_file_that_is_read_again_is_called_by_the_name_that_is_known(house: House) -> None:
    await house.share(b"", file_id="FG", filename=SECRET, channel="G1", ts=PRIVATELY)
    outcome = await house.share(b"", file_id="FC", filename=OPEN, ts=OPENLY, user="U2")

    assert await house.documents.retry(await audience_of(house, "U2"), outcome.document_id) == OPEN


async def test_files_of_a_thread_that_are_still_read_are_called_as_they_were_shared_there(twice: House) -> None:
    async with twice.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE documents SET status = :status"), {"status": DocumentStatus.PROCESSING})
        await session.execute(
            text("""
                INSERT INTO work (team_id, id, task, key, ids, lock, pool, thread)
                VALUES (:team, gen_random_uuid(), 'ingest', 'k', '{}', 'l', 'p', :thread)
            """),
            {"team": TEAM, "thread": f"C1:{OPENLY}"},
        )

    answer: Answer = (await ask(twice, about=question(thread_ts=OPENLY, user="U2"), file_wait_s=0)).answer

    assert answer.unread == (OPEN,)


async def test_a_copy_of_what_is_stored_of_somebody_holds_their_names_alone(twice: House) -> None:
    copy = await PersonalDataService(twice.sessions).export(TEAM, "U2")

    (document,) = copy["documents"]
    assert (document["filename"], "uploader_id" in document) == (OPEN, False)
    assert copy["passages"]
    assert names_nothing_of_the_secret([copy["documents"], copy["shares"], copy["passages"]])


# Shares of the release before, which wrote no name


async def test_a_first_share_without_a_name_has_the_documents(house: House) -> None:
    await house.share()
    await forget_names(house)

    assert (await found_by(house, "U2")).filename == OPEN
    (view,) = (await house.documents.list_page(await audience_of(house, "U2"))).documents
    assert view.filename == OPEN


async def test_another_share_without_a_name_has_none(twice: House) -> None:
    await forget_names(twice)

    found = await found_by(twice, "U2")
    (view,) = (await twice.documents.list_page(await audience_of(twice, "U2"))).documents

    assert (found.filename, view.filename) == (UNNAMED, UNNAMED)
    assert names_nothing_of_the_secret((found, view))


async def test_a_share_without_a_name_gets_one_when_its_file_is_read_again(twice: House) -> None:
    await forget_names(twice)

    await twice.share(file_id="FC", filename=OPEN, channel="C1", ts=OPENLY, user="U2")

    assert (await found_by(twice, "U2")).filename == OPEN
