"""One piece of work for one question: copies in any order, edits, deletions, and restarts in between."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.playground.delivery import Delivery
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.slack.acts import count, until, value, worked_off
from tests.slack.conftest import StartBot

QUESTION = "When does the office open?"


async def answered(slack: LocalSlack, question: Message) -> Message:
    return await slack.wait_for_reply(question.channel_id, question.root_ts, after=question.ts, timeout=30)


async def settled(slack: LocalSlack, sessions: Sessions) -> None:
    await slack.settle()
    await worked_off(sessions)


def answers(slack: LocalSlack, question: Message) -> list[str]:
    """Return what the bot said in the question's thread after it."""
    replies = slack.replies(question.channel_id, question.root_ts)
    return [words_of(message) for message in replies if message.ts > question.ts]


def of_kind(deliveries: list[Delivery], kind: str) -> Delivery:
    return next(d for d in deliveries if kind in (d.event["type"], d.event.get("subtype")))


@pytest.mark.parametrize("first", ["message", "app_mention"])
async def test_whichever_copy_of_a_mention_comes_first_it_is_answered_once(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, first: str
) -> None:
    async with slack.holding() as held:
        question = await slack.mention("Ada", "general", QUESTION)
    copies = sorted(held, key=lambda delivery: delivery.event["type"] != first)

    await slack.deliver(*copies, *copies)
    await settled(slack, sessions)

    assert len(answers(slack, question)) == 1
    assert await count(sessions, "inbox") == 2


async def test_a_resend_with_a_ts_of_its_own_is_the_same_question(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    question = await slack.mention("Ada", "general", QUESTION)
    phantom = await slack.phantom(question)
    await settled(slack, sessions)

    assert len(answers(slack, question)) + len(answers(slack, phantom)) == 1


@pytest.mark.parametrize("heard_first", ["nothing", "the question", "the question and its deletion"])
async def test_of_two_resends_the_one_that_stays_is_answered(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, heard_first: str
) -> None:
    async with slack.holding() as asked:
        question = await slack.mention("Ada", "general", QUESTION)
    async with slack.holding() as resent:
        phantom = await slack.phantom(question)
    async with slack.holding() as deleted:
        await slack.delete(question)
    heard = {"nothing": [], "the question": asked, "the question and its deletion": [*asked, *deleted]}[heard_first]

    async with start_bot():
        await slack.deliver(*heard)
        await settled(slack, sessions)
        await slack.deliver(*(told for told in (*resent, *asked, *deleted) if told not in heard))
        await settled(slack, sessions)

    assert len(answers(slack, phantom)) == 1


async def test_a_question_sent_again_after_a_restart_and_a_week_is_answered_once(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot():
        question = await slack.mention("Ada", "general", QUESTION)
        await answered(slack, question)
        await settled(slack, sessions)
    async with sessions.tenant(TEAM) as session:
        for table, column in (("inbox", "received_at"), ("work", "created_at")):
            await session.execute(text(f"UPDATE {table} SET {column} = {column} - interval '7 days'"))

    async with start_bot():
        await slack.deliver_twice(question)
        await settled(slack, sessions)

    assert len(answers(slack, question)) == 1


async def test_an_edit_that_first_names_the_bot_is_a_question(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    slack.workspace.deliveries.subscriptions.discard("app_mention")  # let the edit alone tell of it
    question = await slack.say("Ada", "general", QUESTION)

    await slack.edit(question, f"<@{slack.store.bot.id}> {QUESTION}")
    reply = await answered(slack, question)
    await slack.edit(question, f"<@{slack.store.bot.id}> {QUESTION} Please!")
    await settled(slack, sessions)

    assert "found nothing" in words_of(reply)
    assert len(answers(slack, question)) == 1
    assert await value(sessions, "SELECT content FROM messages WHERE role = 'user'") == QUESTION


async def test_an_edit_with_its_mention_beside_it_is_one_question(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    question = await slack.say("Ada", "general", QUESTION)

    await slack.edit(question, f"<@{slack.store.bot.id}> {QUESTION}")
    await answered(slack, question)
    await settled(slack, sessions)

    assert len(answers(slack, question)) == 1


async def test_an_edit_of_a_question_or_of_anything_else_asks_nothing(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    question = await slack.mention("Ada", "general", QUESTION)
    await answered(slack, question)
    remark = await slack.say("Ada", "general", "Never mind.")

    await slack.edit(question, f"<@{slack.store.bot.id}> When does it close?")
    await slack.edit(remark, "Never mind me.")
    await settled(slack, sessions)

    assert len(answers(slack, question)) == 1
    assert answers(slack, remark) == []


async def test_a_question_deleted_before_it_arrived_is_not_answered(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    async with slack.holding() as held:
        question = await slack.mention("Ada", "general", QUESTION)
        await slack.delete(question)

    await slack.deliver(of_kind(held, "message_deleted"), of_kind(held, "message"), of_kind(held, "app_mention"))
    await settled(slack, sessions)

    assert answers(slack, question) == []
    assert await count(sessions, "work WHERE task = 'answer'") == 0


async def test_a_deleted_question_that_waits_is_never_answered(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot() as _:
        async with sessions.tenant(TEAM) as session:  # no worker gets at the work while it is written and withdrawn
            async with slack.holding() as held:
                question = await slack.mention("Ada", "general", QUESTION)
                await slack.delete(question)
            await session.execute(text("LOCK TABLE inbox IN SHARE MODE"))
        await slack.deliver(of_kind(held, "app_mention"), of_kind(held, "message_deleted"))
        await settled(slack, sessions)

        async def over() -> bool:
            return await value(sessions, "SELECT state FROM work") in ("stopped", "done")

        await until(over)

    assert await count(sessions, "tombstones WHERE kind = 'message'") == 1


async def test_deleting_a_question_that_was_answered_leaves_the_answer(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    question = await slack.mention("Ada", "general", QUESTION)
    await answered(slack, question)
    await settled(slack, sessions)

    await slack.delete(question)
    await settled(slack, sessions)

    assert len(answers(slack, question)) == 1
    assert await value(sessions, "SELECT state FROM work WHERE task = 'answer'") == "done"


async def test_what_slack_stores_over_socket_mode_is_its_own_text(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    question = await slack.mention("Ada", "general", "Wann öffnet das Büro? 😀")
    await answered(slack, question)
    await settled(slack, sessions)

    sent = {delivery.envelope["event_id"]: delivery.envelope for delivery in slack.delivered(question)}
    stored = await value(sessions, "SELECT string_agg(convert_from(body, 'UTF8'), E'\\n') FROM inbox")
    assert {event["event_id"]: event for event in map(json.loads, stored.split("\n"))} == sent


async def test_what_the_bot_itself_says_is_no_question_even_where_slack_names_no_app(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    channel = slack.store.channel("general")
    async with slack.workspace.deliveries.holding() as held:
        slack.workspace.post(slack.store.bot, channel, f"<@{slack.store.bot.id}> When does the office open?")
    for own in held:
        own.event.pop("bot_id", None)
        slack.workspace.deliveries.resend(own)
    await slack.settle()

    assert held
    assert await count(sessions, "work") == 0
