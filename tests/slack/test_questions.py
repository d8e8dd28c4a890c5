"""Questions of every kind, and messages that are none."""

from __future__ import annotations

import asyncio

import pytest

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled, words_of
from bot.playground.state import Message
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.slack.acts import HANDBOOK, asked, calls_of, count, note, shared, value, worked_off
from tests.slack.conftest import StartBot


async def test_what_is_no_question_gets_a_greeting_or_a_plain_sentence(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    answers = {}
    for text in ("", ":wave: :tada:", "🎉 ?!", "word " * 8000):
        question = await slack.mention("Ada", "general", text)
        answers[text[:5]] = words_of(await slack.wait_for_reply("general", question.ts))

    assert {text for text, answer in answers.items() if "Share a file in this thread" in answer} == {
        "",
        ":wave",
        "🎉 ?!",
    }
    assert "too long for a question" in answers["word "]
    assert await count(sessions, "messages") == 0


async def test_a_mention_that_is_only_a_file_gets_its_receipt_alone(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await slack.mention("Ada", "general", "", files=[HANDBOOK])
    receipt = await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=30)
    await worked_off(sessions)

    assert "handbook.md" in words_of(receipt)
    assert len(slack.replies("general", root.ts)) == 1


async def test_text_that_postgresql_cannot_hold_is_answered(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    question = await slack.say(
        "Ada",
        "general",
        f"<@{slack.store.bot.id}> When does\x00 the office open? \ud83d \udc00",
        thread_ts=root.ts,
        as_typed=False,
    )

    reply = await slack.wait_for_reply("general", root.ts, after=question.ts)

    assert quoted_words(reply)
    assert "\ufffd" in await value(sessions, "SELECT content FROM messages WHERE role = 'user'")


async def test_a_mention_of_somebody_slack_does_not_know_is_answered(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)
    text = f"<@{slack.store.bot.id}> <@U0NOBODY99> asks: when does the office open?"
    question = await slack.say("Ada", "general", text, thread_ts=root.ts, as_typed=False)

    assert quoted_words(await slack.wait_for_reply("general", root.ts, after=question.ts))


async def test_a_question_with_its_file_shows_what_it_waits_for(slack: LocalSlack, bot: WebServer) -> None:
    root = await slack.mention("Ada", "general", "When does the office open?", files=[HANDBOOK])

    await slack.wait_for_reply("general", root.ts, until=lambda m: bool(quoted_words(m)), timeout=30)

    statuses = [call["status"] for call in calls_of(slack, "assistant.threads.setStatus")]
    assert any(status.startswith("Reading ") for status in statuses)


async def test_a_file_that_takes_too_long_is_named_as_unread(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> None:
        begun.set()
        await go_on.wait()
        raise RuntimeError("never read")

    async with start_bot(file_wait_s=0.5):
        await shared(slack, HANDBOOK)
        monkeypatch.setattr("bot.services.ingest.parse_in_sandbox", slow)
        root = await slack.mention(
            "Ada", "general", "When does the office open?", files=[note("long.txt", "A long text.")]
        )
        await begun.wait()
        reply = await slack.wait_for_reply("general", root.ts, timeout=10)
        go_on.set()
        monkeypatch.undo()
        await slack.wait_for_reply(
            "general", root.ts, after=reply.ts, until=lambda m: "long.txt" in words_of(m), timeout=15
        )

    assert "Not read yet, so not used here: long.txt" in words_of(reply)
    assert quoted_words(reply)


async def test_a_long_old_thread_is_read_once_page_by_page(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await slack.say("Ben", "general", "The wine for the party is bought by Ben")
    for number in range(250):
        await slack.say("Ben", "general", f"Remark {number}", thread_ts=root.ts)

    await asked(slack, "Who buys the wine?", root)
    await asked(slack, "Who buys the wine for us?", root)

    pages = [call for call in calls_of(slack, "conversations.replies") if call["ts"] == root.ts]
    assert len(pages) == 2
    assert await count(sessions, "messages WHERE author_name = 'Ben'") == 251


async def test_files_in_an_old_thread_are_read_when_the_bot_is_asked(slack: LocalSlack, start_bot: StartBot) -> None:
    root = await slack.share("Ben", "general", HANDBOOK)
    slack.workspace.deliveries.retry_delays_s = ()
    await asyncio.sleep(0)
    async with start_bot():
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await slack.wait_for_reply(
            "general", root.ts, after=question.ts, until=lambda m: bool(quoted_words(m)), timeout=30
        )

    assert "handbook.md" in words_of(reply)


async def test_what_machines_write_and_what_people_change_is_left_alone(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    events = slack.workspace.events
    root = await slack.say("Ada", "general", "Good morning")
    robot = {
        **events.message(root),
        "bot_id": "B0OTHER",
        "text": f"<@{slack.store.bot.id}> hello there",
        "ts": "1.000001",
    }
    slack.workspace.deliveries.send({**robot, "subtype": "bot_message"})
    slack.workspace.deliveries.send({**robot, "type": "app_mention"})
    slack.workspace.deliveries.send({**robot, "user": slack.store.bot.id, "ts": "1.000002"})
    question = await slack.mention("Ada", "general", "When does the office open?")
    await slack.wait_for_reply("general", question.ts)
    await slack.edit(question, "When does the office close?")
    await slack.delete(question)
    await slack.settle()
    await worked_off(sessions)

    assert all(delivery.acked_at for delivery in slack.deliveries)
    assert await count(sessions, "work WHERE task = 'answer'") == 1


async def test_a_direct_message_keeps_its_own_thread(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    place = slack.direct("Ada")
    root = await slack.share("Ada", place, HANDBOOK)
    await slack.wait_for_reply(place, root.ts, until=is_settled, timeout=30)
    first = await slack.say("Ada", place, "How many days of holiday does an employee have?")
    await slack.wait_for_reply(place, first.ts, timeout=30)

    second = await slack.say("Ada", place, "And how many of them carry over?", thread_ts=first.ts)
    reply = await slack.wait_for_reply(place, first.ts, after=second.ts)

    await worked_off(sessions)
    assert any("carry over into March" in words for words in quoted_words(reply))
    assert await count(sessions, "messages WHERE role = 'assistant'") == 2


async def test_questions_of_one_thread_are_answered_in_order(slack: LocalSlack, bot: WebServer) -> None:
    def is_answer(message: Message) -> bool:
        return bool(quoted_words(message))

    root = await shared(slack, HANDBOOK)
    questions = []
    for number in range(4):
        question = f"When does the office open? ({number})"
        questions.append(await slack.mention("Ada", "general", question, thread_ts=root.ts))
        await slack.settle()

    replies: list[Message] = []
    for _ in questions:
        after = replies[-1].ts if replies else root.ts
        replies.append(await slack.wait_for_reply("general", root.ts, after=after, until=is_answer, timeout=20))

    keys = [reply.metadata["event_payload"]["key"] for reply in replies if reply.metadata]
    assert keys == [f"{root.channel_id}:{question.ts}" for question in questions]
