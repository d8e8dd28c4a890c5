"""What is deleted in Slack is gone here: not found, not kept, and not quoted in answers that still stand."""

from __future__ import annotations

import json

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.services.deletions import NOTICE
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.fakes import FakeOpenAI
from tests.faults.held import hold
from tests.slack.acts import HANDBOOK, asked, count, note, shared, until, worked_off
from tests.slack.conftest import StartBot

QUESTION = "When does the office open?"
WORDS = "office opens at eight"


async def left_of(sessions: Sessions, words: str) -> list[str]:
    """Return the columns of the workspace in which these words still stand, as the database holds them."""
    found = []
    async with sessions.tenant(TEAM) as session:
        columns = await session.execute(
            text("""
                SELECT table_name, column_name, data_type FROM information_schema.columns
                 WHERE table_schema = current_schema() AND data_type IN ('text', 'jsonb', 'bytea')
                """)
        )
        for table, column, kind in columns.all():
            value = f"convert_from({column}, 'UTF8')" if kind == "bytea" and table == "inbox" else f"{column}::text"
            statement = text(f"SELECT count(*) FROM {table} WHERE position(CAST(:words AS text) IN {value}) > 0")
            if await session.scalar(statement, {"words": words}):
                found.append(f"{table}.{column}")
    return found


def shows(slack: LocalSlack, message: Message) -> str:
    """Return all that a message says now, its blocks included."""
    now = slack.store.message(message.channel_id, message.ts)
    assert now is not None
    return f"{words_of(now)} {json.dumps(now.blocks)}"


async def test_an_answer_is_taken_back_when_the_file_it_quotes_is_deleted(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    reply = await asked(slack, QUESTION, root)
    assert WORDS in shows(slack, reply)

    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await worked_off(sessions)

    assert NOTICE in shows(slack, reply)
    assert WORDS not in shows(slack, reply)
    assert await left_of(sessions, WORDS) == []


async def test_an_answer_from_another_file_stays(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    await shared(slack, HANDBOOK)
    other = await shared(slack, note("tides.txt", "High tide reaches the lower quay at noon."))
    reply = await asked(slack, "When does high tide reach the lower quay?", other)
    root = await shared(slack, note("menu.txt", "The canteen serves lentil soup on Mondays."))

    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await worked_off(sessions)

    assert "lower quay at noon" in shows(slack, reply)


async def test_a_file_goes_with_the_message_that_shared_it(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    elsewhere = await slack.say("Ada", "general", "Something else")
    reply = await asked(slack, QUESTION, elsewhere)

    await slack.delete(root)
    await slack.settle()
    await worked_off(sessions)

    assert await count(sessions, "documents") == 0
    assert WORDS not in shows(slack, reply)
    assert await left_of(sessions, WORDS) == []


async def test_a_file_that_another_message_shares_as_well_stays_with_its_answers(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    first = await shared(slack, HANDBOOK)
    second = await shared(slack, HANDBOOK)
    reply = await asked(slack, QUESTION, second)

    await slack.delete(first)
    await slack.settle()
    await worked_off(sessions)

    assert await count(sessions, "documents") == 1
    assert WORDS in shows(slack, reply)


async def test_nothing_of_a_deleted_question_is_kept(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    root = await shared(slack, HANDBOOK)
    question = await slack.mention("Ada", "general", "Is my quokka allowed in the office?", thread_ts=root.ts)
    await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=30)
    assert "messages.content" in await left_of(sessions, "quokka")

    await slack.delete(question)
    await slack.settle()
    await worked_off(sessions)

    assert await left_of(sessions, "quokka") == []


async def test_an_answer_written_while_its_file_is_deleted_is_taken_back(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        (held,) = hold(openai, "The office opens at eight in the morning. [1]", question=QUESTION)
        question = await slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
        await held.wait_begun()
        await slack.delete_file(root.file_ids[0])
        await until(lambda: _none(sessions))
        held.go.set()
        reply = await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=30)
        await worked_off(sessions)

        assert NOTICE in shows(slack, reply)
        assert await left_of(sessions, WORDS) == []


async def _none(sessions: Sessions) -> bool:
    return await count(sessions, "documents") == 0
