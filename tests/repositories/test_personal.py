"""What counts as one person's, where the whole path doesn't come by: what others share, wait for, or are called."""

from __future__ import annotations

import json
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.jobs.queue import Queue
from bot.repositories.buckets import BucketRepository
from bot.repositories.conversations import ConversationRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.inbox import InboxRepository
from bot.repositories.personal import Erased, Identity, PersonalDataRepository
from bot.repositories.tombstones import TombstoneRepository
from bot.repositories.work import WorkRepository
from bot.services.errands import answer_errand, ingest_errand
from bot.values import Question, Role, Turn
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap, record_user, share_bytes

NOTHING = Erased(messages=0, documents=0, documents_kept=0, answers_marked=0, events=0, work_stopped=0)


async def erase(session: AsyncSession, user_id: UUID, slack_user_id: str | None = "U1", name: str = "Ada") -> Erased:
    return await PersonalDataRepository(session, TEAM, Identity(user_id, slack_user_id, name)).erase()


def event(user: str, words: str = "", **fields: object) -> bytes:
    """Return a raw event of somebody's as Slack writes it, with white space where JSON allows it."""
    return json.dumps({"team_id": TEAM, "event": {"type": "message", "user": user, "text": words, **fields}}).encode()


async def bodies(session: AsyncSession) -> dict[str, bytes]:
    rows = await session.execute(text("SELECT event_id, body FROM inbox"))
    return {row.event_id: row.body for row in rows}


async def states(session: AsyncSession) -> dict[str, str]:
    rows = await session.execute(text("SELECT key, state FROM work"))
    return {row.key: row.state for row in rows}


async def test_what_others_shared_too_stays_as_theirs_and_its_file_may_come_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        ada, ben = await record_user(session, "U1"), await record_user(session, "U2")
        alone = await share_bytes(session, b"alone", user=ada, filename="alone.md", file_id="F1")
        both = await share_bytes(session, b"both", user=ada, filename="both.md", file_id="F2")
        documents = DocumentRepository(session)
        await share_bytes(session, b"both", user=ben, filename="both.md", file_id="F2", channel_id="C2")

        erased = await erase(session, ada)

        assert (erased.documents, erased.documents_kept) == (1, 1)
        assert await documents.get(TEAM, alone.id) is None
        kept = await documents.get(TEAM, both.id)
        assert kept is not None
        assert [(share.channel_id, share.shared_by) for share in kept.shares] == [("C2", ben)]
        assert kept.uploader_id is None
        tombstones = TombstoneRepository(session)
        assert [await tombstones.is_gone(TEAM, "file", file) for file in ("F1", "F2")] == [True, False]


async def test_raw_events_that_name_them_are_emptied_and_known_for_ever(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user_id, inbox = await record_user(session, "U1"), InboxRepository(session)
        theirs = {
            "written": event("U1", "mine"),
            "changed": event("U2", subtype="message_changed", previous_message={"user": "U1", "text": "mine"}),
            "named": event("U2", "ask <@U1> about it"),
            "command": b"team_id=T0TEST&user_id=U1&command=%2Fask&text=mine",
            "broken": b'{"user": "U1", "text": "\xed\xa0\x80"}',
        }
        others = {"another": event("U12", "theirs"), "of many": event("U2", "nothing")}
        for event_id, body in {**theirs, **others}.items():
            await inbox.record(TEAM, event_id, body)

        erased = await erase(session, user_id)

        assert erased.events == len(theirs)
        assert await bodies(session) == {**dict.fromkeys(theirs, b""), **others}
        assert await inbox.record(TEAM, "written", theirs["written"]) is None


async def test_their_unfinished_work_is_stopped_and_that_of_others_goes_on_with_its_event(sessions: Sessions) -> None:
    place = {"channel_id": "C1", "message_ts": "5.0", "thread_ts": "5.0"}
    async with sessions.tenant(TEAM) as session:
        user_id = await record_user(session, "U1")
        for key, user, words in (("1.0", "U1", "mine"), ("2.0", "U2", "ask <@U1>"), ("3.0", "U1", "running")):
            inbox_id = await InboxRepository(session).record(TEAM, key, event(user, words))
            await Queue().enqueue(session, answer_errand(Question(TEAM, "C1", user, key, key, "")), inbox_id=inbox_id)
        inbox_id = await InboxRepository(session).record(TEAM, "files", event("U1", files=[{"id": "F1"}]))
        await Queue().enqueue(session, ingest_errand(TEAM, "F1", **place), inbox_id=inbox_id)
        works = WorkRepository(session)
        running = await session.scalar(text("SELECT id FROM work WHERE key = 'C1:3.0'"))
        claimed = await works.claim(TEAM, running)
        assert claimed is not None

        erased = await erase(session, user_id)

        assert erased.work_stopped == 3
        assert await states(session) == {
            "C1:1.0": "stopped",
            "C1:2.0": "queued",
            "C1:3.0": "stopped",
            "F1:C1:5.0": "stopped",
        }
        assert not await works.hold(TEAM, running, claimed.epoch)
        assert await bodies(session) == {"1.0": b"", "2.0": event("U2", "ask <@U1>"), "3.0": b"", "files": b""}
        left = (
            await session.scalars(text("SELECT work::text FROM work WHERE asker = 'U1' OR work::text LIKE '%\"U1\"%'"))
        ).all()
        assert left == []


async def test_what_was_read_of_a_thread_goes_by_slacks_id_and_older_rows_by_name(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user_id, conversations = await record_user(session, "U1"), ConversationRepository(session)
        conversation = await conversations.record_thread_root(TEAM, "C1", "1.0")
        turns = [
            Turn(Role.USER, "by another name", author="Ada L.", ts="1.0", author_id="U1"),
            Turn(Role.USER, "a namesake's", author="Ada", ts="2.0", author_id="U2"),
            Turn(Role.USER, "a former release's", author="Ada", ts="3.0"),
            Turn(Role.USER, "somebody else's", author="Ben", ts="4.0"),
        ]
        await conversations.record_thread(TEAM, conversation, "C1", turns)

        erased = await erase(session, user_id)

        left = list(await session.scalars(text("SELECT content FROM messages ORDER BY slack_ts")))
        assert (erased.messages, left) == (2, ["a namesake's", "somebody else's"])


async def test_a_person_without_slack_takes_nothing_of_anybody_with_them(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user_id, other = await record_user(session, "U1"), await record_user(session, "U2")
        await session.execute(text("UPDATE users SET slack_user_id = NULL WHERE id = :u"), {"u": user_id})
        document = await share_bytes(session, b"theirs", user=other)
        await InboxRepository(session).record(TEAM, "another", event("U2", "None null U"))
        await Queue().enqueue(session, answer_errand(Question(TEAM, "C1", "U2", "1.0", "1.0", "")))
        await BucketRepository(session).charge(TEAM, {"questions:U2": 1, f"requests:{user_id}": 1, "questions": 1})

        assert await erase(session, user_id, None, "Nobody") == NOTHING

        assert await DocumentRepository(session).get(TEAM, document.id) is not None
        assert await bodies(session) == {"another": event("U2", "None null U")}
        assert list((await states(session)).values()) == ["queued"]
        assert set(await session.scalars(text("SELECT name FROM rate_buckets"))) == {"questions", "questions:U2"}


async def test_the_same_person_in_another_workspace_stays(sessions: Sessions) -> None:
    async with sessions.tenant(OTHER_TEAM) as session:
        elsewhere = await record_user(session, "U1", team_id=OTHER_TEAM)
        await share_bytes(session, b"elsewhere", user=elsewhere, team_id=OTHER_TEAM)
        await InboxRepository(session).record(OTHER_TEAM, "event", event("U1", "elsewhere"))
    async with sessions.tenant(TEAM) as session:
        await erase(session, await record_user(session, "U1"))

    async with sessions.tenant(OTHER_TEAM) as session:
        assert await bodies(session) == {"event": event("U1", "elsewhere")}
        assert await session.scalar(text("SELECT count(*) FROM documents")) == 1
        assert await session.scalar(text("SELECT count(*) FROM users")) == 1


async def test_nothing_can_become_theirs_while_they_are_erased(sessions: Sessions) -> None:
    """A question of theirs that is being stored at the same moment is stored before, and goes, or not at all."""
    async with sessions.tenant(TEAM) as session:
        user_id = await record_user(session, "U1")

    async def write(session: AsyncSession) -> None:
        conversations = ConversationRepository(session)
        conversation = await conversations.record_thread_root(TEAM, "C1", "1.0")
        question = Question(TEAM, "C1", "U1", "1.0", "1.0", "said at the last moment")
        await conversations.record_question(question, conversation, author_id=user_id)

    await overlap(sessions, write, lambda session: erase(session, user_id))

    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SELECT count(*) FROM messages")) == 0
