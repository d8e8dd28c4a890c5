"""How far a message's files are, as the tables tell it: whoever reads them, and whatever happened to them before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.deliveries import DeliveryRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.progress import RECEIPT, ProgressRepository
from bot.repositories.readings import ReadingRepository
from bot.repositories.work import WorkRepository
from bot.services.errands import ingest_errand
from bot.values import DocumentStatus, FileProgress, MessageProgress, Share
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import record_user, share_bytes

TS = "1700000000.000000"
KEY = f"C1:{TS}"
READING = FileProgress("F1", "one.pdf", DocumentStatus.PROCESSING)


async def look(session: AsyncSession, *, team_id: str = TEAM, channel_id: str = "C1") -> MessageProgress:
    return await ProgressRepository(session).of_message(
        team_id, channel_id=channel_id, message_ts=TS, thread_ts=TS, receipt_key=KEY
    )


async def enqueue(session: AsyncSession, file_id: str = "F1") -> None:
    errand = ingest_errand(TEAM, file_id, channel_id="C1", message_ts=TS, thread_ts=TS)
    assert await WorkRepository(session).record(errand) is not None


async def share(session: AsyncSession, file_id: str = "F1", filename: str = "one.pdf", data: bytes = b"1") -> Any:
    user = await record_user(session)
    recorded = await share_bytes(session, data, user=user, filename=filename, file_id=file_id, ts=TS, thread_ts=TS)
    return recorded.id


async def set_work(session: AsyncSession, assignments: str) -> None:
    await session.execute(text(f"UPDATE work SET {assignments}"))


async def test_a_file_nobody_has_looked_at_yet_is_known_by_its_number_alone(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await enqueue(session)

        progress = await look(session)

    assert progress.files == (replace(READING, filename=None, is_recorded=False),)
    assert not progress.is_done
    assert (progress.shown_s, progress.is_news) == (None, True)


async def test_a_file_that_is_read_tells_how_far_it_is(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await enqueue(session)
        document = await share(session)
        readings = ReadingRepository(session)

        recorded = await look(session)
        await readings.move(TEAM, document, stored=256, total=1_000, mark="m", file_type="pdf")
        begun = await look(session)
        await readings.move(TEAM, document, stored=1_000, total=1_000, mark="m", file_type="pdf")
        await set_work(session, "state = 'done'")
        done = await look(session)

    assert recorded.files == (READING,)
    assert begun.files == (replace(READING, stored=256, total=1_000),)
    ready = replace(READING, status=DocumentStatus.READY, stored=1_000, total=1_000, is_done=True)
    assert done.files == (ready,)
    assert done.is_done


async def test_a_file_that_waits_for_what_does_not_answer_says_so_until_it_goes_on(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await enqueue(session)
        document = await share(session)
        await session.execute(text("UPDATE documents SET updated_at = now() - interval '1 minute'"))
        await set_work(
            session, "created_at = now() - interval '1 minute', blocked_since = now() - interval '20 seconds'"
        )

        waiting = await look(session)
        await ReadingRepository(session).move(TEAM, document, stored=1, total=2, mark="m", file_type="pdf")
        going_on = await look(session)
        await set_work(session, "updated_at = now(), run_at = now() + interval '30 seconds'")
        waiting_again = await look(session)
        await set_work(session, "run_at = now()")
        handed_back = await look(session)

    assert waiting.files == (replace(READING, is_waiting=True),)
    assert 19 < waiting.quiet_s < 25
    assert [look.files[0].is_waiting for look in (going_on, waiting_again, handed_back)] == [False, True, False]


async def test_a_file_that_could_not_be_read_says_why(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await record_user(session)
        await DocumentRepository(session).record_rejected(
            TEAM,
            filename="one.pdf",
            size=0,
            uploader_id=user,
            share=Share("C1", user, "F1", TS, TS),
            reason="It is gone.",
        )

        (file,) = (await look(session)).files

    assert (file.status, file.error, file.is_done) == (DocumentStatus.ERROR, "It is gone.", True)


async def test_files_come_in_the_order_they_were_recorded_and_then_the_others(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        for file_id in ("F3", "F2", "F1"):
            await enqueue(session, file_id)
        await share(session, "F1", "one.pdf", b"1")
        await share(session, "F2", "two.pdf", b"2")

        files = (await look(session)).files

    assert [(file.file_id, file.filename) for file in files] == [("F1", "one.pdf"), ("F2", "two.pdf"), ("F3", None)]


async def test_the_same_bytes_in_two_files_are_named_once_and_done_when_both_are(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await enqueue(session, "F1")
        await enqueue(session, "F2")
        await share(session, "F1")
        await share(session, "F2", "two.pdf")

        both = await look(session)
        await set_work(session, "state = CASE WHEN ids ->> 'file_id' = 'F1' THEN 'done' ELSE state END")
        one = await look(session)
        await set_work(session, "state = 'done'")
        none = await look(session)

    assert [file.filename for file in both.files] == ["one.pdf"]
    assert [progress.is_done for progress in (both, one, none)] == [False, False, True]


async def test_what_the_receipt_says_already_is_no_news(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await enqueue(session)
        document = await share(session)
    async with sessions.tenant(TEAM) as session:
        deliveries = DeliveryRepository(session)
        await deliveries.claim(TEAM, RECEIPT, KEY, channel_id="C1", thread_ts=TS)
        claimed = await look(session)
        await deliveries.set_posted(TEAM, RECEIPT, KEY, ts="1.5", state="posted")
        posted = await look(session)
    async with sessions.tenant(TEAM) as session:
        await ReadingRepository(session).move(TEAM, document, stored=1, total=2, mark="m", file_type="pdf")
        moved = await look(session)
        await DeliveryRepository(session).set_posted(TEAM, RECEIPT, KEY, ts="1.5", state="final")
        final = await look(session)

    assert (claimed.shown_s, claimed.is_news) == (None, True), "claimed isn't posted"
    assert posted.shown_s is not None
    assert (posted.is_news, posted.is_shown) == (False, False)
    assert moved.is_news
    assert final.is_shown


async def test_other_messages_and_workspaces_are_left_out(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await share(session)
        errand = ingest_errand(TEAM, "F9", channel_id="C1", message_ts="1700000009.000000", thread_ts=TS)
        await WorkRepository(session).record(errand)

        assert [file.file_id for file in (await look(session)).files] == ["F1"]
        assert (await look(session, channel_id="C2")).files == ()
    async with sessions.tenant(OTHER_TEAM) as session:
        for team_id in (TEAM, OTHER_TEAM):
            assert (await look(session, team_id=team_id)).files == ()
