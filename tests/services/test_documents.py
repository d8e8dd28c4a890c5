"""What people may do with documents: who sees, deletes and retries what, and how files come and go."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import Forbidden, InvalidRequest, ModelUnavailable, NotFound, ServiceUnavailable, UnreadableFile
from bot.repositories.channels import personal_channel_id
from bot.repositories.documents import DocumentRepository
from bot.services.documents import DocumentView
from bot.services.ports import Unclaimed
from bot.values import Audience, DocumentStatus
from tests.conftest import TEAM
from tests.services.conftest import House
from tests.services.stand_ins import HANDBOOK, KnownFiles, shared_file

ROOT = "1700000000.000000"


async def audience_of(house: House, user: str, channel: str = "C1", *, private: bool = True) -> Audience:
    return await house.audiences.of(TEAM, channel_id=channel, user_id=user, private=private)


async def rows(house: House, statement: str) -> list[dict[str, Any]]:
    async with house.sessions.tenant(TEAM) as session:
        return [dict(row) for row in (await session.execute(text(statement))).mappings()]


async def names(house: House, audience: Audience, **options: Any) -> list[str]:
    page = await house.documents.list_page(audience, **options)
    return [view.filename for view in page.documents]


async def share_several(house: House, count: int) -> None:
    for number in range(count):
        await house.share(
            f"Number {number}.".encode(), file_id=f"F{number}", filename=f"{number}.txt", ts=f"170000000{number}.000000"
        )


# Looking


async def test_documents_are_listed_newest_first_a_page_at_a_time(house: House) -> None:
    await share_several(house, 5)
    audience = await audience_of(house, "U1")

    first = await house.documents.list_page(audience, limit=2)
    second = await house.documents.list_page(audience, limit=2, after=first.after)
    last = await house.documents.list_page(audience, limit=2, after=second.after)

    pages = [[view.filename for view in page.documents] for page in (first, second, last)]
    assert pages == [["4.txt", "3.txt"], ["2.txt", "1.txt"], ["0.txt"]]
    assert last.after is None


async def test_a_page_that_is_just_full_is_the_last(house: House) -> None:
    await share_several(house, 2)

    page = await house.documents.list_page(await audience_of(house, "U1"), limit=2)

    assert len(page.documents) == 2
    assert page.after is None


async def test_a_list_may_be_narrowed_to_what_failed(house: House) -> None:
    await house.share()
    await house.share(b"", file_id="F2", filename="nothing.txt")
    audience = await audience_of(house, "U1")

    assert await names(house, audience, status=DocumentStatus.ERROR) == ["nothing.txt"]
    assert await names(house, audience, status=DocumentStatus.READY) == ["handbook.md"]


async def test_a_document_is_shown_with_who_shared_it_and_where(house: House) -> None:
    outcome = await house.share()
    await house.share(channel="C2", file_id="F2")

    view = await house.documents.get(await audience_of(house, "U1"), outcome.document_id)

    assert view == DocumentView(
        id=outcome.document_id,
        share_id=view.share_id,
        filename="handbook.md",
        status=DocumentStatus.READY,
        error=None,
        file_type="md",
        size_bytes=len(HANDBOOK),
        version=1,
        shared_at=view.shared_at,
        uploader="Name of U1",
        channel_ids=("C1", "C2"),
    )


async def test_places_the_asker_cannot_see_are_not_named(house: House) -> None:
    outcome = await house.share()
    await house.share(channel="G1", file_id="F2")

    assert (await house.documents.get(await audience_of(house, "U2"), outcome.document_id)).channel_ids == ("C1",)


async def test_what_is_not_shared_with_somebody_is_not_there_for_them(house: House) -> None:
    outcome = await house.share(channel="G1")

    for user in ("U2", "U3", "U9"):
        audience = await audience_of(house, user)
        assert await names(house, audience) == []
        with pytest.raises(NotFound) as refused:
            await house.documents.get(audience, outcome.document_id)
        assert "can't see it here" in refused.value.user_message


async def test_a_guest_sees_what_was_shared_where_they_are(house: House) -> None:
    await house.share()
    await house.share(b"The gate opens at five.", file_id="F2", filename="gate.txt", channel="C2")

    assert await names(house, await audience_of(house, "U9", channel="C2")) == ["gate.txt"]


# Deleting


async def delete(house: House, document_id: Any, *, user: str, is_admin: bool = False) -> str:
    return await house.documents.delete(
        await audience_of(house, user), document_id, user_id=await house.user_id(user), is_admin=is_admin
    )


async def test_who_shared_a_document_may_delete_it_with_all_that_hangs_on_it(house: House) -> None:
    outcome = await house.share()
    await house.share(channel="C2", file_id="F2")

    assert await delete(house, outcome.document_id, user="U1") == "handbook.md"

    for table in ("documents", "document_shares", "document_chunks", "chunk_embeddings"):
        assert await rows(house, f"SELECT 1 FROM {table}") == [], table
    assert await rows(house, "SELECT 1 FROM term_statistics WHERE chunk_count > 0") == []


async def test_an_administrator_may_delete_what_others_shared(house: House) -> None:
    outcome = await house.share()

    assert await delete(house, outcome.document_id, user="U3", is_admin=True) == "handbook.md"


async def test_a_colleague_may_look_but_not_delete(house: House) -> None:
    outcome = await house.share()

    with pytest.raises(Forbidden) as refused:
        await delete(house, outcome.document_id, user="U2")

    assert refused.value.user_message == "Only the person who shared a document, or an admin, can delete it."
    assert await names(house, await audience_of(house, "U1")) == ["handbook.md"]


async def test_to_a_stranger_it_was_never_there_admin_or_not(house: House) -> None:
    outcome = await house.share(channel="G1")

    for user, is_admin in (("U2", False), ("U9", False), ("U3", True)):
        with pytest.raises(NotFound):
            await delete(house, outcome.document_id, user=user, is_admin=is_admin)

    assert len(await rows(house, "SELECT 1 FROM documents")) == 1


async def test_what_was_deleted_is_gone_the_second_time(house: House) -> None:
    outcome = await house.share()
    await delete(house, outcome.document_id, user="U1")

    with pytest.raises(NotFound):
        await delete(house, outcome.document_id, user="U1")


# Trying again


async def test_a_file_in_error_is_read_once_more_by_a_job(house: House) -> None:
    outcome = await house.share(b"", filename="nothing.txt")

    assert await house.documents.retry(await audience_of(house, "U1"), outcome.document_id) == "nothing.txt"

    (work,) = await rows(house, "SELECT task, ids, thread FROM work")
    assert work["task"] == "ingest"
    assert work["thread"] == f"C1:{ROOT}"
    assert work["ids"] == {
        "team_id": TEAM,
        "file_id": "F1",
        "channel_id": "C1",
        "message_ts": ROOT,
        "thread_ts": ROOT,
    }


async def test_a_retry_may_be_asked_for_again(house: House) -> None:
    outcome = await house.share(b"", filename="nothing.txt")
    audience = await audience_of(house, "U2")

    await house.documents.retry(audience, outcome.document_id)
    await house.documents.retry(audience, outcome.document_id)

    assert len(await rows(house, "SELECT 1 FROM work")) == 2


async def test_what_is_ready_needs_no_retry(house: House) -> None:
    outcome = await house.share()

    with pytest.raises(InvalidRequest) as refused:
        await house.documents.retry(await audience_of(house, "U1"), outcome.document_id)

    assert refused.value.user_message == "handbook.md is read already."


async def test_what_did_not_come_by_slack_must_be_uploaded_again(house: House) -> None:
    outcome = await house.documents.ingest_upload(TEAM, await house.user_id(), "nothing.txt", b"")

    with pytest.raises(InvalidRequest) as refused:
        await house.documents.retry(await audience_of(house, "U1"), outcome.document_id)

    assert refused.value.user_message == "I don't keep files: please upload nothing.txt again."


async def test_what_somebody_cannot_see_they_cannot_retry(house: House) -> None:
    outcome = await house.share(b"", filename="nothing.txt", channel="G1")

    with pytest.raises(NotFound):
        await house.documents.retry(await audience_of(house, "U9"), outcome.document_id)

    assert await rows(house, "SELECT 1 FROM work") == []


# Files shared in Slack


async def test_the_channel_is_looked_up_when_a_file_comes(house: House) -> None:
    await house.share(channel="G1")

    assert house.slack.asked == ["G1"]
    (row,) = await rows(house, "SELECT kind, has_outsiders FROM channels WHERE channel_id = 'G1'")
    assert row == {"kind": "private", "has_outsiders": False}


async def test_bytes_are_fetched_outside_any_transaction(house: House) -> None:
    house.files.on_fetch = house.assert_no_transaction
    house.slack.on_ask = house.assert_no_transaction

    assert (await house.share()).status is DocumentStatus.READY


async def test_a_file_that_cannot_be_fetched_says_why(house: House) -> None:
    reason = "This file lives outside Slack, where I can't read it."
    file = house.files.add(shared_file(), UnreadableFile("external", user_message=reason))

    outcome = await house.documents.ingest_shared(file, claim=Unclaimed())

    assert outcome is not None
    assert (outcome.status, outcome.error) == (DocumentStatus.ERROR, reason)
    (row,) = await rows(house, "SELECT status, error, sha256 FROM documents")
    assert row == {"status": "error", "error": reason, "sha256": None}


async def test_when_slack_does_not_answer_nothing_is_stored(house: House) -> None:
    file = house.files.add(shared_file(), ServiceUnavailable("Slack is down"))

    with pytest.raises(ServiceUnavailable):
        await house.documents.ingest_shared(file, claim=Unclaimed())

    assert await rows(house, "SELECT 1 FROM documents") == []


async def test_a_file_deleted_before_it_was_read_is_not_read(house: House) -> None:
    file = house.files.add(shared_file(), HANDBOOK)
    await house.documents.forget_file(TEAM, "F1")
    house.files.on_fetch = lambda: pytest.fail("it was fetched")

    assert await house.documents.ingest_shared(file, claim=Unclaimed()) is None
    assert await rows(house, "SELECT 1 FROM documents") == []


async def test_a_file_deleted_while_it_is_fetched_leaves_nothing(house: House) -> None:
    file = house.files.add(shared_file(), HANDBOOK)

    class DeletedMeanwhile(KnownFiles):
        async def fetch(self, file: Any, *, max_bytes: int) -> bytes:
            await house.documents.forget_file(TEAM, "F1")
            return HANDBOOK

    house.documents._files = DeletedMeanwhile()

    with pytest.raises(NotFound):
        await house.documents.ingest_shared(file, claim=Unclaimed())

    assert await rows(house, "SELECT 1 FROM documents") == []


async def test_a_deleted_file_takes_its_document_along(house: House) -> None:
    await house.share()

    assert await house.documents.forget_file(TEAM, "F1") == 1

    assert await rows(house, "SELECT 1 FROM documents") == []
    assert await house.documents.forget_file(TEAM, "F1") == 0


async def test_a_document_outlives_one_of_two_files_that_brought_it(house: House) -> None:
    outcome = await house.share()
    await house.share(channel="C2", file_id="F2", ts="1700000001.000000")

    await house.documents.forget_file(TEAM, "F1")

    view = await house.documents.get(await audience_of(house, "U1"), outcome.document_id)
    assert view.channel_ids == ("C2",)


async def test_a_file_given_up_is_shown_with_its_reason_once(house: House) -> None:
    house.embedder.fails_with = ModelUnavailable("down")
    file = house.files.add(shared_file(), HANDBOOK)
    with pytest.raises(ModelUnavailable):
        await house.documents.ingest_shared(file, claim=Unclaimed())

    await house.documents.give_up(file, "Reading it failed several times (number 12).", claim=Unclaimed())

    page = await house.documents.list_page(await audience_of(house, "U1"))
    assert [(view.filename, view.status, view.error) for view in page.documents] == [
        ("handbook.md", DocumentStatus.ERROR, "Reading it failed several times (number 12).")
    ]


# Files that come past Slack


async def test_an_upload_goes_to_its_owners_personal_place(house: House) -> None:
    user_id = await house.user_id("U2")

    outcome = await house.documents.ingest_upload(TEAM, user_id, "mine.md", HANDBOOK)

    assert outcome.status is DocumentStatus.READY
    mine = await audience_of(house, "U2")
    assert (await house.documents.get(mine, outcome.document_id)).channel_ids == (personal_channel_id(user_id),)
    assert await names(house, await audience_of(house, "U1")) == []
    assert await names(house, await audience_of(house, "U2", private=False)) == [], "not where others read along"


async def test_an_upload_may_go_to_a_channel(house: House) -> None:
    await house.audiences.refresh(TEAM, ["C1"])

    await house.documents.ingest_upload(TEAM, await house.user_id(), "ours.md", HANDBOOK, channel_id="C1")

    assert await names(house, await audience_of(house, "U2")) == ["ours.md"]


async def test_an_upload_to_nowhere_is_refused(house: House) -> None:
    with pytest.raises(NotFound) as refused:
        await house.documents.ingest_upload(TEAM, await house.user_id(), "lost.md", HANDBOOK, channel_id="C404")

    assert refused.value.user_message == "I don't know a channel C404."
    assert await rows(house, "SELECT 1 FROM documents") == []


async def test_an_upload_tells_its_progress(house: House) -> None:
    told: list[tuple[int, int]] = []

    await house.documents.ingest_upload(
        TEAM, await house.user_id(), "mine.md", HANDBOOK, progress=lambda done, total: told.append((done, total))
    )

    assert told
    assert told[-1][0] == told[-1][1]


async def test_the_same_bytes_uploaded_by_two_people_are_each_ones_own(house: House) -> None:
    first = await house.documents.ingest_upload(TEAM, await house.user_id("U1"), "a.md", HANDBOOK)
    second = await house.documents.ingest_upload(TEAM, await house.user_id("U2"), "b.md", HANDBOOK)

    assert second.already_known
    assert second.document_id == first.document_id
    async with house.sessions.tenant(TEAM) as session:
        document = await DocumentRepository(session).get(TEAM, first.document_id)
    assert document is not None
    assert len(document.shares) == 2


# Who is looking


async def test_a_viewer_is_known_from_the_first_look(house: House) -> None:
    user = await house.documents.viewer(TEAM, "U3")

    assert (user.slack_user_id, user.name, user.is_admin) == ("U3", "Name of U3", True)


async def test_a_viewer_slack_does_not_know_is_nobody(house: House) -> None:
    with pytest.raises(NotFound):
        await house.documents.viewer(TEAM, "U404")
