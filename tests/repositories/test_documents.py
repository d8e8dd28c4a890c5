from __future__ import annotations

import asyncio
import hashlib

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.documents import DocumentRepository, RecordedDocument
from bot.repositories.passages import PassageRepository
from bot.repositories.statistics import StatisticsRepository
from bot.repositories.tombstones import MessageTombstones
from bot.repositories.users import UserRepository
from bot.repositories.versions import get_or_insert
from bot.values import DocumentStatus, Share, new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import (
    audience,
    counted_statements,
    overlap,
    record_user,
    share_bytes,
    store_texts,
)


async def test_a_file_shared_for_the_first_time_is_a_document_in_processing(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        recorded = await share_bytes(session, b"bytes", user=user, file_id="F1", ts="1.0", thread_ts="1.0")
        document = await DocumentRepository(session).get(TEAM, recorded.id)

    assert recorded == RecordedDocument(recorded.id, created=True, status=DocumentStatus.PROCESSING, version=1)
    assert document is not None
    assert (document.filename, document.file_type, document.file_size) == ("handbook.pdf", "application/pdf", 5)
    assert document.sha256 == hashlib.sha256(b"bytes").digest()
    assert document.uploader_id == user
    (share,) = document.shares
    assert (share.channel_id, share.file_id, share.message_ts, share.thread_ts) == ("C1", "F1", "1.0", "1.0")
    assert share.shared_by == user


async def test_the_same_bytes_are_the_same_document_with_one_more_share(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        ada, bob = await record_user(session, "UADA"), await record_user(session, "UBOB")
        first = await share_bytes(session, user=ada, file_id="F1", channel_id="C1")
        await documents.set_status(TEAM, first.id, DocumentStatus.READY)
        again = await share_bytes(session, user=bob, file_id="F2", channel_id="C2", filename="copy.pdf")
        repeated = await share_bytes(session, user=bob, file_id="F2", channel_id="C2", filename="copy.pdf")
        document = await documents.get(TEAM, first.id)

    assert (again.id, again.created, again.status) == (first.id, False, DocumentStatus.READY)
    assert repeated.id == first.id
    assert document is not None
    assert [(share.channel_id, share.shared_by, share.filename) for share in document.shares] == [
        ("C1", ada, "handbook.pdf"),
        ("C2", bob, "copy.pdf"),
    ]


async def test_the_same_bytes_shared_by_two_transactions_at_once_are_one_document(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)

    async def share_in_one(session: AsyncSession) -> RecordedDocument:
        return await share_bytes(session, user=user, channel_id="C1")

    async def share_in_two(session: AsyncSession) -> RecordedDocument:
        return await share_bytes(session, user=user, channel_id="C2")

    first, second = await overlap(sessions, share_in_one, share_in_two)

    async with sessions.tenant(TEAM) as session:
        document = await DocumentRepository(session).get(TEAM, first.id)
    assert second.id == first.id
    assert (first.created, second.created) == (True, False)
    assert document is not None
    assert {share.channel_id for share in document.shares} == {"C1", "C2"}


async def test_other_bytes_under_the_same_name_are_the_next_version_there_only(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        user = await record_user(session)
        old = await share_bytes(session, b"old", user=user, channel_id="C1", ts="1.0")
        await share_bytes(session, b"old", user=user, channel_id="C2", ts="2.0")
        new = await share_bytes(session, b"new", user=user, channel_id="C1", ts="3.0")
        newest = await share_bytes(session, b"newest", user=user, channel_id="C1", ts="4.0")

        still_there = await documents.get(TEAM, old.id)
        assert await documents.get(TEAM, new.id) is None
    assert (old.version, new.version, newest.version) == (1, 2, 3)
    assert still_there is not None
    assert [share.channel_id for share in still_there.shares] == ["C2"]


async def test_the_same_name_by_somebody_else_or_elsewhere_is_another_document(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        ada, bob = await record_user(session, "UADA"), await record_user(session, "UBOB")
        adas = await share_bytes(session, b"ada", user=ada, ts="1.0")
        bobs = await share_bytes(session, b"bob", user=bob, ts="2.0")
        elsewhere = await share_bytes(session, b"ada, too", user=ada, channel_id="C2", ts="3.0")

        assert [found.version for found in (adas, bobs, elsewhere)] == [1, 1, 1]
        assert len(await documents.list_recent(TEAM, audience=audience("C1", "C2"))) == 3


async def test_files_of_one_message_never_replace_each_other(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        for n in range(3):
            await share_bytes(session, f"{n}".encode(), user=user, filename="image.png", file_id=f"F{n}", ts="1.0")

        assert len(await DocumentRepository(session).list_recent(TEAM, audience=audience("C1"))) == 3


async def test_a_job_that_comes_late_replaces_nothing_newer(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        new = await share_bytes(session, b"new", user=user, ts="2.0")
        await share_bytes(session, b"old", user=user, ts="1.0")

        assert await DocumentRepository(session).get(TEAM, new.id) is not None


async def test_uploads_past_slack_replace_their_former_version(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        old = await share_bytes(session, b"old", user=user)
        new = await share_bytes(session, b"new", user=user)

        assert await DocumentRepository(session).get(TEAM, old.id) is None
    assert new.version == 2


async def test_a_file_that_could_not_be_had_is_kept_with_its_reason_and_replaced_once_it_can(
    sessions: Sessions,
) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        user = await record_user(session)
        share = Share("C1", user, "F1", "1.0", "1.0")
        for reason in ("too large", "still too large\x00"):
            rejected = await documents.record_rejected(
                TEAM, filename="big.pdf", size=10, uploader_id=user, share=share, reason=reason
            )
        (listed,) = await documents.list_recent(TEAM, audience=audience("C1"), status=DocumentStatus.ERROR)
        read = await share_bytes(session, b"smaller", user=user, filename="big.pdf", file_id="F1", ts="1.0")
        (left,) = await documents.list_recent(TEAM, audience=audience("C1"))

    assert (listed.id, listed.error, listed.sha256) == (rejected, "still too large\ufffd", None)
    assert left.id == read.id
    assert read.version == 1


async def test_a_deleted_file_is_not_brought_back(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        user = await record_user(session)
        await documents.delete_shares_of_file(TEAM, "F1")

        with pytest.raises(NotFound):
            await share_bytes(session, user=user, file_id="F1")
        with pytest.raises(NotFound):
            await documents.record_rejected(
                TEAM, filename="a", size=1, uploader_id=user, share=Share("C1", user, "F1"), reason="gone"
            )

        assert await documents.list_recent(TEAM, audience=audience("C1")) == []


async def test_nothing_is_shared_by_a_message_that_was_deleted(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        await MessageTombstones(session).record(TEAM, "C1:1.000000")

        with pytest.raises(NotFound):
            await share_bytes(session, user=user, file_id="F1", ts="1.000000")
        other = await share_bytes(session, user=user, file_id="F1", ts="2.000000")

        assert [row.id for row in await DocumentRepository(session).list_recent(TEAM, audience=audience("C1"))] == [
            other.id
        ]


async def test_a_file_deleted_while_it_is_being_recorded_is_gone_in_the_end(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("INSERT INTO workspaces (team_id) VALUES (:team)"), {"team": TEAM})
        user = await record_user(session)

    async def record(session: AsyncSession) -> RecordedDocument:
        return await share_bytes(session, user=user, file_id="F1")

    async def delete(session: AsyncSession) -> int:
        return len(await DocumentRepository(session).delete_shares_of_file(TEAM, "F1"))

    recorded, deleted = await overlap(sessions, record, delete)

    async with sessions.tenant(TEAM) as session:
        assert await DocumentRepository(session).get(TEAM, recorded.id) is None
    assert deleted == 1


async def test_a_file_recorded_while_it_is_being_deleted_is_refused(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("INSERT INTO workspaces (team_id) VALUES (:team)"), {"team": TEAM})
        user = await record_user(session)

    async def delete(session: AsyncSession) -> int:
        return len(await DocumentRepository(session).delete_shares_of_file(TEAM, "F1"))

    async def record(session: AsyncSession) -> RecordedDocument:
        return await share_bytes(session, user=user, file_id="F1")

    with pytest.raises(NotFound):
        await overlap(sessions, delete, record)


async def test_a_document_belongs_to_the_conversation_it_was_shared_in(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        conversation = new_id()
        await session.execute(
            text("INSERT INTO conversations (team_id, id, channel_id, thread_ts) VALUES (:team, :id, 'C1', '1.0')"),
            {"team": TEAM, "id": conversation},
        )
        for _ in range(2):
            recorded = await DocumentRepository(session).record_document(
                TEAM,
                sha256=b"x",
                filename="a.pdf",
                file_type=None,
                size=1,
                uploader_id=user,
                share=Share("C1", user),
                conversation_id=conversation,
            )
        linked = list(await session.scalars(text("SELECT document_id FROM conversation_documents")))

    assert linked == [recorded.id]


async def test_a_document_becomes_ready_or_an_error_with_a_reason(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        recorded = await share_bytes(session, user=await record_user(session))

        assert await documents.set_status(TEAM, recorded.id, DocumentStatus.ERROR, reason="It is encrypted.\x00")
        failed = await documents.get(TEAM, recorded.id)
        assert failed is not None
        assert (failed.status, failed.error) == (DocumentStatus.ERROR, "It is encrypted.\ufffd")

        assert await documents.set_status(TEAM, recorded.id, DocumentStatus.READY, file_type="text/plain")
        ready = await documents.get(TEAM, recorded.id)
        assert ready is not None
        assert (ready.status, ready.error, ready.file_type) == (DocumentStatus.READY, None, "text/plain")

        assert not await documents.set_status(TEAM, new_id(), DocumentStatus.READY)


async def test_a_document_is_shown_with_the_shares_its_audience_knows_of(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        user = await record_user(session)
        recorded = await share_bytes(session, user=user, channel_id="C1")
        await share_bytes(session, user=user, channel_id="GSECRET")

        for seen in (["C1"], ["GSECRET"], ["C1", "GSECRET"]):
            found = await documents.get_for(TEAM, recorded.id, audience("CX", *seen))
            assert found is not None
            assert [share.channel_id for share in found.shares] == seen
            assert [share.sharer and share.sharer.name for share in found.shares] == ["Ada"] * len(seen)
        assert await documents.get_for(TEAM, recorded.id, audience("CX")) is None
        assert await documents.get_for(TEAM, recorded.id, audience()) is None


async def test_recent_documents_are_listed_by_status_and_owner_page_by_page_newest_first(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        ada, bob = await record_user(session, "UADA"), await record_user(session, "UBOB")
        adas = [(await share_bytes(session, f"a{n}".encode(), user=ada, filename=f"a{n}")).id for n in range(5)]
        bobs = (await share_bytes(session, b"b", user=bob, channel_id="C2")).id
        for document_id in adas[:3]:
            await documents.set_status(TEAM, document_id, DocumentStatus.READY)

        everything = await documents.list_recent(TEAM, audience=audience("C1", "C2"))
        ready = await documents.list_recent(TEAM, audience=None, uploader_id=ada, status=DocumentStatus.READY, limit=2)
        more = await documents.list_recent(
            TEAM, audience=None, uploader_id=ada, status=DocumentStatus.READY, limit=2, after=ready[-1].id
        )
        both = await documents.list_recent(TEAM, audience=audience("C2"), uploader_id=ada)

    assert [row.id for row in everything] == [bobs, *adas[::-1]]
    assert [row.id for row in [*ready, *more]] == adas[2::-1]
    assert both == []


async def test_a_list_that_nothing_narrows_is_refused(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        with pytest.raises(ValueError, match="needs an audience"):
            await DocumentRepository(session).list_recent(TEAM, audience=None)


async def test_a_list_takes_three_statements_however_long_it_is(sessions: Sessions, engine: AsyncEngine) -> None:
    async with sessions.tenant(TEAM) as session:
        for n in range(8):
            user = await record_user(session, f"U{n}")
            await share_bytes(session, f"{n}".encode(), user=user, filename=f"{n}")

    async with sessions.tenant(TEAM) as session:
        with counted_statements(engine) as statements:
            rows = await DocumentRepository(session).list_recent(TEAM, audience=audience("C1"))
            names = [[share.sharer and share.sharer.name for share in row.shares] for row in rows]

    assert names == [["Ada"]] * 8
    assert len(statements) == 3


async def test_one_or_several_documents_are_changed(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        user = await record_user(session)
        ids = [(await share_bytes(session, f"{n}".encode(), user=user, filename=f"{n}")).id for n in range(3)]

        assert await documents.update(TEAM, ids[0], details={"title": "a\ud800", "kind": "b\x00"})
        assert not await documents.update(TEAM, new_id(), file_type="x")
        assert await documents.update_many(TEAM, ids[1:], file_type="text/plain") == 2

        rows = await documents.list_recent(TEAM, audience=audience("C1"))
    assert [(row.id, row.file_type) for row in rows] == [
        (ids[2], "text/plain"),
        (ids[1], "text/plain"),
        (ids[0], "application/pdf"),
    ]
    assert rows[-1].details == {"title": "a\ufffd", "kind": "b\ufffd"}


async def test_a_deleted_document_takes_everything_of_it_along(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        document = await store_texts(session, ["We open at nine.", "We close at six."])
        other = await store_texts(session, ["We open on Sunday."], filename="other.pdf")
        documents = DocumentRepository(session)

        assert await documents.delete(TEAM, document) == 1
        assert await documents.delete(TEAM, document) == 0

        for table in ("document_shares", "document_chunks", "chunk_embeddings"):
            assert list(await session.scalars(text(f"SELECT document_id FROM {table}"))) == [other]


async def test_a_document_goes_with_its_last_share_only(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        user = await record_user(session)
        recorded = await share_bytes(session, user=user, channel_id="C1", file_id="F1")
        await share_bytes(session, user=user, channel_id="C1", file_id="F2")
        await share_bytes(session, user=user, channel_id="C2", file_id="F3")

        assert await documents.delete_share(TEAM, recorded.id, channel_id="C1") == 2
        assert await documents.get_for(TEAM, recorded.id, audience("C1")) is None
        assert await documents.get_for(TEAM, recorded.id, audience("C2")) is not None

        assert await documents.delete_share(TEAM, recorded.id, channel_id="C1") == 0
        assert len(await documents.delete_shares_of_file(TEAM, "F3")) == 1
        assert await documents.get(TEAM, recorded.id) is None


async def test_a_channels_documents_are_taken_out_of_it(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        user = await record_user(session)
        only_here = await share_bytes(session, b"1", user=user, channel_id="C1", filename="1")
        also_there = await share_bytes(session, b"2", user=user, channel_id="C1", filename="2")
        await share_bytes(session, b"2", user=user, channel_id="C2", filename="2")

        assert await documents.delete_shares_in(TEAM, "C1") == 2
        assert await documents.get(TEAM, only_here.id) is None
        assert await documents.get(TEAM, also_there.id) is not None


async def test_a_share_added_while_the_last_one_goes_keeps_the_document(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        recorded = await share_bytes(session, user=user, channel_id="C1")

    async def add(session: AsyncSession) -> RecordedDocument:
        return await share_bytes(session, user=user, channel_id="C2")

    async def remove(session: AsyncSession) -> int:
        return await DocumentRepository(session).delete_share(TEAM, recorded.id, channel_id="C1")

    added, removed = await overlap(sessions, add, remove)

    async with sessions.tenant(TEAM) as session:
        assert await DocumentRepository(session).get_for(TEAM, added.id, audience("C2")) is not None
    assert (added.id, removed) == (recorded.id, 1)


async def test_bytes_shared_again_while_their_document_goes_are_a_new_document(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        old = await share_bytes(session, user=user, channel_id="C1")

    async def remove(session: AsyncSession) -> int:
        return await DocumentRepository(session).delete(TEAM, old.id)

    async def share(session: AsyncSession) -> RecordedDocument:
        return await share_bytes(session, user=user, channel_id="C2")

    _, new = await overlap(sessions, remove, share)

    assert new.created
    assert new.id != old.id


async def test_a_document_about_to_be_shared_again_is_not_deleted_under_the_sharers_hands(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        recorded = await share_bytes(session, user=user, channel_id="C1")

    async def find(session: AsyncSession) -> bool:
        values = {"team": TEAM, "sha256": hashlib.sha256(b"bytes").digest(), "filename": "a", "size": 5}
        _, created = await get_or_insert(session, {**values, "file_type": None, "uploader": user})
        task = asyncio.create_task(delete())
        await asyncio.wait([task], timeout=0.15)
        still_there = not task.done()
        deletions.append(task)
        return not created and still_there

    async def delete() -> int:
        async with sessions.tenant(TEAM) as session:
            return await DocumentRepository(session).delete(TEAM, recorded.id)

    deletions: list[asyncio.Task[int]] = []
    async with sessions.tenant(TEAM) as session:
        assert await find(session)
    assert await deletions[0] == 1


async def test_documents_change_hands_with_their_shares(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        documents = DocumentRepository(session)
        ada, bob = await record_user(session, "UADA"), await record_user(session, "UBOB")
        for n in range(3):
            await share_bytes(session, f"{n}".encode(), user=ada, filename=f"{n}")
        await share_bytes(session, b"bobs", user=bob)

        assert await documents.transfer(TEAM, from_user_id=ada, to_user_id=bob) == 3

        rows = await documents.list_recent(TEAM, audience=None, uploader_id=bob)
        assert len(rows) == 4
        assert {share.shared_by for row in rows for share in row.shares} == {bob}
        user = await UserRepository(session).get_with_documents(TEAM, ada)
    assert user is not None
    assert user.documents == []


async def test_documents_change_hands_all_or_none(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        ada = await record_user(session)
        recorded = await share_bytes(session, user=ada)

    with pytest.raises(NotFound):
        async with sessions.tenant(TEAM) as session:
            await DocumentRepository(session).transfer(TEAM, from_user_id=ada, to_user_id=new_id())

    async with sessions.tenant(TEAM) as session:
        document = await DocumentRepository(session).get(TEAM, recorded.id)
    assert document is not None
    assert document.uploader_id == ada


async def test_old_chunks_go_and_their_documents_stay(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        old = await store_texts(session, ["We opened at ten.", "We closed at five."], filename="old.pdf")
        await session.execute(text("UPDATE document_chunks SET created_at = now() - interval '1 year'"))
        new = await store_texts(session, ["We open at nine."], filename="new.pdf")
        border = await session.scalar(text("SELECT now() - interval '1 day'"))
        documents = DocumentRepository(session)

        assert await documents.delete_old_chunks(TEAM, before=border) == 2

        assert await documents.get(TEAM, old) is not None
        assert await PassageRepository(session).list_chunks(TEAM, old, audience=audience("C1")) == []
        assert len(await PassageRepository(session).list_chunks(TEAM, new, audience=audience("C1"))) == 1
        assert (await StatisticsRepository(session).get_counts(TEAM))[0] == 1


async def test_another_workspace_shares_no_document(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        ours = await store_texts(session, ["We open at nine."])

    async with sessions.tenant(OTHER_TEAM) as session:
        documents = DocumentRepository(session)
        theirs = await share_bytes(
            session, b"bytes", user=await record_user(session, team_id=OTHER_TEAM), team_id=OTHER_TEAM
        )
        assert theirs.created
        assert await documents.get(TEAM, ours) is None
        assert await documents.get_for(TEAM, ours, audience("C1")) is None
        assert await documents.delete(TEAM, ours) == 0
        assert await documents.delete_shares_in(TEAM, "C1") == 0
        assert [row.id for row in await documents.list_recent(OTHER_TEAM, audience=audience("C1"))] == [theirs.id]


@pytest.mark.parametrize("hostile", ["\x00.pdf", "\ud800", "../../etc/passwd", "'; --", "a" * 5_000, ""])
async def test_hostile_filenames_are_stored_as_text_and_still_name_versions(sessions: Sessions, hostile: str) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        await share_bytes(session, b"old", user=user, filename=hostile)
        new = await share_bytes(session, b"new", user=user, filename=hostile)

        document = await DocumentRepository(session).get(TEAM, new.id)
    assert new.version == 2
    assert document is not None
    assert len(document.filename) == len(hostile)
