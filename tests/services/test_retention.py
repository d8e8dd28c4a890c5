"""What is older than a workspace keeps it goes by itself, with the answers that quote it; the rest stays."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import InvalidRequest
from bot.repositories.retractions import RetractionRepository
from bot.services.deletions import NOTICE
from bot.services.ports import Unclaimed
from bot.services.retention import RetentionService
from bot.values import Question, Role, Turn
from tests.conftest import TEAM
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat, shared_file

QUESTION = "When does the office open?"


@pytest.fixture
def retention(house: House) -> RetentionService:
    return RetentionService(house.sessions, house.queue.enqueue)


async def rows(house: House, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    async with house.sessions.tenant(TEAM) as session:
        result = await session.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []  # type: ignore[attr-defined]


async def age(house: House, table: str, column: str, *, days: int, where: str = "true") -> None:
    await rows(house, f"UPDATE {table} SET {column} = {column} - interval '{days} days' WHERE {where}")


async def ask(house: House, ts: str = "1700000001.000000") -> NotedReply:
    reply = NotedReply(ts=f"{ts}9")
    question = Question(TEAM, "C1", "U1", ts, ts, QUESTION)
    await house.answers().answer(question, reply, claim=Unclaimed())
    return reply


async def test_nothing_expires_unless_somebody_says_so(house: House, retention: RetentionService) -> None:
    await house.share()
    await ask(house)
    await age(house, "document_shares", "created_at", days=4000)
    await age(house, "messages", "created_at", days=4000)

    await retention.expire(TEAM)

    assert await retention.days(TEAM) is None
    assert await rows(house, "SELECT count(*) FROM documents") == [(1,)]
    assert await rows(house, "SELECT count(*) FROM messages") == [(2,)]


async def test_documents_go_at_their_age_with_all_that_hangs_on_them(house: House, retention: RetentionService) -> None:
    await house.share()
    await house.share(b"The canteen serves soup.", file_id="F2", filename="menu.txt", ts="1700000005.000000")
    await age(house, "document_shares", "created_at", days=31, where="file_id = 'F1'")

    await retention.keep(TEAM, 30)
    await retention.expire(TEAM)

    assert await rows(house, "SELECT filename FROM documents") == [("menu.txt",)]
    for table in ("document_chunks", "chunk_embeddings"):
        assert await rows(house, f"SELECT count(*) FROM {table}") == [(1,)], table


async def test_an_answer_that_quotes_what_expired_is_to_be_taken_back_before_it_goes(
    house: House, retention: RetentionService
) -> None:
    await house.share()
    assert (await ask(house)).finished is not None
    await age(house, "document_shares", "created_at", days=31)
    await age(house, "messages", "created_at", days=31)
    await retention.keep(TEAM, 30)

    await retention.expire(TEAM)

    assert await rows(house, "SELECT content, state FROM messages") == [(NOTICE, "retracting")]
    assert await rows(house, "SELECT count(*) FROM work WHERE task = 'retract'") == [(1,)]

    async with house.sessions.tenant(TEAM) as session:
        (unshown,) = await RetractionRepository(session).list_unshown(TEAM)
        await RetractionRepository(session).set_shown(TEAM, unshown.message_id)
    await retention.expire(TEAM)

    assert await rows(house, "SELECT count(*) FROM messages") == [(0,)]


async def test_what_was_said_goes_at_its_age(house: House, retention: RetentionService) -> None:
    await house.share()
    await ask(house)
    await age(house, "messages", "created_at", days=31)
    await age(house, "conversations", "updated_at", days=31)
    await ask(house, "1700000002.000000")
    await retention.keep(TEAM, 30)

    await retention.expire(TEAM)

    assert await rows(house, "SELECT count(*) FROM messages") == [(2,)]
    assert await rows(house, "SELECT thread_ts FROM conversations") == [("1700000002.000000",)]


async def test_old_events_are_emptied_and_still_known(house: House, retention: RetentionService) -> None:
    long_ago, lately = "01800000-0000-7000-8000-000000000000", "7fffffff-ffff-7fff-bfff-ffffffffffff"
    for inbox_id in (long_ago, lately):
        await rows(
            house,
            "INSERT INTO inbox (team_id, id, event_id, body) VALUES (:team, :id, :event, 'words')",
            team=TEAM,
            id=inbox_id,
            event=inbox_id,
        )

    await retention.expire(TEAM)

    assert await rows(house, "SELECT body FROM inbox ORDER BY id") == [(b"",), (b"words",)]


@pytest.mark.parametrize("state", ["queued", "running", "copy"])
async def test_an_event_that_somebody_still_needs_is_kept(
    house: House, retention: RetentionService, state: str
) -> None:
    inbox_id = "01800000-0000-7000-8000-000000000000"
    insert = "INSERT INTO inbox (team_id, id, event_id, body) VALUES (:team, :id, 'E1', 'words')"
    await rows(house, insert, team=TEAM, id=inbox_id)
    work = "INSERT INTO work (team_id, id, task, key, inbox_id, state) VALUES (:team, :id, 'answer', 'k', :id, :state)"
    await rows(house, work, team=TEAM, id=inbox_id, state=state)

    await retention.expire(TEAM)

    assert await rows(house, "SELECT body FROM inbox") == [(b"words",)]


@pytest.mark.parametrize("days", [0, -1, 36_501])
async def test_nonsense_is_refused_in_words(house: House, retention: RetentionService, days: int) -> None:
    with pytest.raises(InvalidRequest, match="days") as caught:
        await retention.keep(TEAM, days)

    assert "36500" in caught.value.user_message


async def test_a_limit_can_be_lifted_again(house: House, retention: RetentionService) -> None:
    await retention.keep(TEAM, 30)
    assert await retention.days(TEAM) == 30

    await retention.keep(TEAM, None)

    assert await retention.days(TEAM) is None


async def test_what_a_thread_said_and_shared_before_that_age_is_not_read_again(
    house: House, retention: RetentionService
) -> None:
    await retention.keep(TEAM, 30)
    now = time.time()
    old, new, root = f"{now - 31 * 86400:.6f}", f"{now - 29 * 86400:.6f}", f"{now - 32 * 86400:.6f}"
    house.threads.turns = [Turn(Role.USER, words, author="Ben", ts=ts) for words, ts in (("old", old), ("new", new))]
    house.threads.files = [shared_file("FOLD", ts=old), shared_file("FNEW", ts=new)]
    chat = ScriptedChat("Nothing.")
    asked = Question(TEAM, "C1", "U1", f"{now:.6f}", root, QUESTION)
    await house.share()

    await house.answers(chat, file_wait_s=0).answer(asked, NotedReply(), claim=Unclaimed())

    assert await rows(house, "SELECT content FROM messages WHERE role = 'user' ORDER BY slack_ts") == [
        ("new",),
        (QUESTION,),
    ]
    assert await rows(house, "SELECT ids ->> 'file_id' FROM work WHERE task = 'ingest'") == [("FNEW",)]
    assert [turn.text for turn in chat.prompts[0].history] == ["new"]


async def test_who_changes_the_age_and_what_goes_by_it_stands_in_the_audit_log(
    house: House, retention: RetentionService
) -> None:
    await house.share()
    await age(house, "document_shares", "created_at", days=31)

    await retention.keep(TEAM, 30, by="cli:ada")
    await retention.expire(TEAM)
    await retention.expire(TEAM)

    told = await rows(house, "SELECT actor, action, target, metadata - 'before' FROM audit_log ORDER BY id")
    assert told == [
        ("cli:ada", "retention.changed", f"workspace:{TEAM}", {"days": 30}),
        ("bot", "document.expired", f"workspace:{TEAM}", {"shares": 1}),
    ]
