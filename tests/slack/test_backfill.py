"""After an outage: what was asked meanwhile is read and answered, once."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bot.db.engine import Sessions
from bot.jobs.queue import Queue
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.slack.backfill import SlackBackfill, Throttle
from bot.slack.client import Clients
from bot.slack.inbox import Inbox
from bot.slack.payloads import message_from
from bot.smoke import quoted_words
from tests.conftest import TEAM
from tests.slack.acts import HANDBOOK, calls_of, count, last_heard, note, shared, until, value, worked_off
from tests.slack.conftest import StartBot

QUESTION = "When does the office open?"


@asynccontextmanager
async def outage(slack: LocalSlack, sessions: Sessions, *, ago: str = "10 minutes") -> AsyncIterator[None]:
    """Lose whatever happens within the block, and let the bot have heard Slack for the last time so long ago."""
    deliveries, patience_s = slack.workspace.deliveries, slack.sockets.ack_timeout_s
    deliveries.retry_delays_s, slack.sockets.ack_timeout_s = (), 0.01
    async with slack.sockets.outage():
        yield
        await slack.settle()
    slack.sockets.ack_timeout_s = patience_s
    await last_heard(sessions, ago)


async def answer_to(slack: LocalSlack, question: Message) -> str:
    reply = await slack.wait_for_reply(question.channel_id, question.root_ts, after=question.ts, timeout=30)
    return words_of(reply)


def answers(slack: LocalSlack, question: Message) -> int:
    return len([m for m in slack.replies(question.channel_id, question.root_ts) if m.ts > question.ts])


async def caught_up(sessions: Sessions, *, times: int = 1) -> None:
    """Return when so many backfills are done, and all that they found."""

    async def done() -> bool:
        return await count(sessions, "work WHERE task = 'backfill' AND state = 'done'") == times

    await until(done, within_s=20)
    await worked_off(sessions)


async def first_start(start_bot: StartBot, sessions: Sessions) -> None:
    """Let the bot run for a moment, so that it has heard Slack."""
    async with start_bot():

        async def heard() -> bool:
            return await count(sessions, "workspaces WHERE heard_at IS NOT NULL") == 1

        await until(heard)


async def test_what_was_asked_while_the_bot_was_away_is_answered_once_wherever_it_was_asked(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    await first_start(start_bot, sessions)
    old = await slack.say("Ben", "general", "A thread from before")
    async with outage(slack, sessions):
        asked = [
            await slack.mention("Ada", "general", QUESTION),
            await slack.mention("Ada", "leads", QUESTION),
            await slack.mention("Ada", "general", QUESTION, thread_ts=old.ts),
            await slack.say("Ada", slack.direct("Ada"), QUESTION),
        ]
        ignored = [await slack.say("Ada", "general", "Nobody asks the bot anything here.")]
        deleted = await slack.mention("Ada", "general", QUESTION)
        await slack.delete(deleted)

    async with start_bot():
        await caught_up(sessions)
        await last_heard(sessions, "10 minutes")
    async with start_bot():
        await caught_up(sessions, times=2)

    assert [answers(slack, question) for question in asked] == [1, 1, 1, 1]
    assert [answers(slack, message) for message in (*ignored, deleted)] == [0, 0]
    assert await count(sessions, "work WHERE task = 'answer'") == 4


async def test_files_that_were_shared_meanwhile_are_read(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    await first_start(start_bot, sessions)
    async with outage(slack, sessions):
        question = await slack.mention("Ada", "general", QUESTION, files=[HANDBOOK])

    async with start_bot():
        reply = await slack.wait_for_reply(
            "general", question.ts, until=lambda message: bool(quoted_words(message)), timeout=30
        )
        await caught_up(sessions)

    assert any("eight in the morning" in words for words in quoted_words(reply))
    assert await count(sessions, "work WHERE task = 'receipt'") == 1


async def test_a_bot_that_loses_its_connection_catches_up_when_it_is_back(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    slack.workspace.deliveries.retry_delays_s = ()
    async with start_bot():
        before = await slack.mention("Ada", "general", QUESTION)
        await answer_to(slack, before)
        async with outage(slack, sessions):
            meanwhile = await slack.mention("Ada", "general", "And when does it close?", thread_ts=before.ts)
        await answer_to(slack, meanwhile)
        await caught_up(sessions)

    assert answers(slack, meanwhile) == 1
    assert await count(sessions, "work WHERE task = 'answer'") == 2


async def test_what_the_bot_heard_and_did_not_answer_is_answered_once(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    await first_start(start_bot, sessions)
    async with outage(slack, sessions):
        question = await slack.mention("Ada", "general", QUESTION)
        phantom = await slack.phantom(question)

    async with start_bot():
        await slack.deliver_twice(question)
        await caught_up(sessions)
        await slack.deliver_twice(question)
        await slack.deliver_twice(phantom)
        await worked_off(sessions)

    assert answers(slack, question) + answers(slack, phantom) == 1


@pytest.fixture
async def backfill(slack: LocalSlack, sessions: Sessions) -> AsyncIterator[SlackBackfill]:
    """What reads, without a bot that answers."""
    clients = Clients(slack.bot_token, base_url=slack.api_url)
    inbox = Inbox(sessions, Queue())
    yield SlackBackfill(sessions, inbox, clients.reading, team_id=TEAM, bot_user_id=slack.store.bot.id)
    await clients.close()


async def asked_again(slack: LocalSlack, backfill: SlackBackfill) -> tuple[datetime, Message, Message]:
    """Have a thread that was asked in, three other messages, then a moment, then another question in that thread."""
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    async with slack.holding():
        root = await slack.mention("Ada", "general", QUESTION)
        await backfill.run(long_ago)
        for number in range(3):
            await slack.say("Ben", "general", f"Something else, number {number}")
        since = datetime.now(UTC)
        return since, root, await slack.mention("Ada", "general", "And when does it close?", thread_ts=root.ts)


async def keys(sessions: Sessions) -> str:
    return str(await value(sessions, "SELECT string_agg(key, ' ' ORDER BY key) FROM work WHERE task = 'answer'"))


@pytest.mark.parametrize("way", ["the messages before the gap", "the threads that were asked in"])
async def test_a_reply_in_an_older_thread_is_found(
    slack: LocalSlack, backfill: SlackBackfill, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    since, root, follow_up = await asked_again(slack, backfill)
    if way == "the messages before the gap":
        monkeypatch.setattr("bot.slack.backfill.THREAD_LIMIT", 0)
    else:
        monkeypatch.setattr("bot.slack.backfill.EARLIER_LIMIT", 1)

    await backfill.run(since)

    assert await keys(sessions) == f"{root.channel_id}:{root.ts} {root.channel_id}:{follow_up.ts}"


@pytest.mark.parametrize("limit", [0, 50])
async def test_threads_in_which_nothing_was_said_are_read_for_deletions_alone_and_not_too_many(
    slack: LocalSlack, backfill: SlackBackfill, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("bot.slack.backfill.QUIET_LIMIT", limit)
    await asked_again(slack, backfill)
    await slack.say("Ben", "general", "A reply", thread_ts=(await slack.say("Ben", "general", "Nobody asked here")).ts)
    before = len(calls_of(slack, "conversations.replies"))

    await backfill.run(datetime.now(UTC))

    assert len(calls_of(slack, "conversations.replies")) == before + bool(limit)


async def test_what_is_let_in_is_the_event_that_slack_would_have_sent(
    slack: LocalSlack, backfill: SlackBackfill, sessions: Sessions
) -> None:
    async with slack.holding() as held:
        question = await slack.mention("Ada", "leads", QUESTION)
    await backfill.run(datetime.now(UTC) - timedelta(minutes=1))
    [sent] = [delivery for delivery in held if delivery.event["type"] == "message"]

    stored = json.loads(await value(sessions, "SELECT body FROM inbox"))

    assert message_from(stored["event"]) == message_from(sent.event)
    assert stored["event_id"] == f"backfill:{question.channel_id}:{question.ts}"


async def test_long_histories_are_read_page_by_page_in_order(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.backfill.PAGE", 3)
    await first_start(start_bot, sessions)
    async with outage(slack, sessions):
        root = await slack.say("Ben", "general", "A thread")
        asked = [await slack.mention("Ada", "general", f"Question {n}?", thread_ts=root.ts) for n in range(5)]
        asked += [await slack.mention("Ada", "general", f"Question {n}?") for n in range(5)]

    async with start_bot():
        await caught_up(sessions)

    assert [answers(slack, question) for question in asked[5:]] == [1] * 5
    assert len(slack.replies("general", root.ts)) == 5
    assert len(calls_of(slack, "conversations.history")) > len(slack.store.channels)


async def test_what_lies_too_far_back_is_left_alone(slack: LocalSlack, start_bot: StartBot, sessions: Sessions) -> None:
    await first_start(start_bot, sessions)
    async with outage(slack, sessions):
        question = await slack.mention("Ada", "general", QUESTION)

    async with start_bot(backfill_hours=0.0):
        await worked_off(sessions)

    assert await count(sessions, "work WHERE task <> 'expire'") == 0
    assert answers(slack, question) == 0
    assert calls_of(slack, "users.conversations") == []


async def test_slacks_wish_to_be_left_alone_is_heeded(
    slack: LocalSlack, backfill: SlackBackfill, sessions: Sessions
) -> None:
    async with slack.holding():
        await slack.mention("Ada", "general", QUESTION)
    slack.faults.refuse(
        "conversations.history", "ratelimited", status=429, retry_after_s=4
    )  # more than the client waits

    started = time.monotonic()
    await backfill.run(datetime.now(UTC) - timedelta(minutes=1))

    assert time.monotonic() - started > 4
    assert await count(sessions, "work WHERE task = 'answer'") == 1
    assert not slack.manners.breaches


async def test_a_backfill_that_fails_half_way_is_done_again(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    await first_start(start_bot, sessions)
    async with outage(slack, sessions):
        asked = [await slack.mention("Ada", where, QUESTION) for where in ("general", "leads", "handbook")]
    slack.faults.refuse("conversations.replies", "internal_error", times=3, status=500)
    slack.faults.refuse("conversations.history", "internal_error", times=5, status=500)

    async with start_bot():
        await caught_up(sessions)

    assert [answers(slack, question) for question in asked] == [1, 1, 1]


async def test_a_channel_that_may_not_be_read_keeps_no_other_from_being_read(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    await first_start(start_bot, sessions)
    async with outage(slack, sessions):
        question = await slack.mention("Ada", "general", QUESTION)
    slack.scopes -= {"im:history", "groups:history"}

    async with start_bot():
        await caught_up(sessions)

    assert answers(slack, question) == 1


async def test_so_many_calls_go_at_once_and_then_so_many_a_minute() -> None:
    throttle = Throttle(per_minute=600, at_once=3)
    started = time.monotonic()
    for _ in range(3):
        await throttle.turn()
    at_once_s = time.monotonic() - started
    for _ in range(3):
        await throttle.turn()

    assert at_once_s < 0.05
    assert 0.15 < time.monotonic() - started < 0.6


# What was deleted meanwhile


async def lived_through(slack: LocalSlack, start_bot: StartBot, sessions: Sessions) -> tuple[Message, Message]:
    """Ask in a thread and share two files, lose the deletion of the question, of a message and of a file, and catch up."""
    async with start_bot():
        await shared(slack, HANDBOOK)
        tides = await shared(slack, note("tides.txt", "High tide reaches the lower quay at noon."))
        menu = await slack.share("Ada", "general", note("menu.txt", "The canteen serves lentil soup."), text="Our menu")
        root = await slack.say("Ben", "general", "Our quokka asks:")
        question = await slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
        kept = await slack.mention("Ben", "general", "And when does it close?", thread_ts=root.ts)
        await answer_to(slack, kept)
        await worked_off(sessions)
    async with outage(slack, sessions):
        await slack.delete(question)
        await slack.delete(tides)
        await slack.delete_file(menu.file_ids[0])
        later = await slack.mention("Ada", "general", QUESTION)
    return kept, later


async def test_what_was_deleted_meanwhile_is_found_gone_and_nothing_else(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    kept, later = await lived_through(slack, start_bot, sessions)

    async with start_bot():
        await caught_up(sessions)

    said = "SELECT string_agg(content, ' | ' ORDER BY slack_ts) FROM messages WHERE role = 'user'"
    assert await value(sessions, said) == f"Our quokka asks: | And when does it close? | {QUESTION}"
    assert await value(sessions, "SELECT string_agg(filename, ' ') FROM documents") == "handbook.md"
    assert [answers(slack, each) for each in (kept, later)] == [2, 1], "each question's, the deleted one's too"
    assert await count(sessions, "messages WHERE role = 'assistant'") == 3, "answers are other messages, and stay"


@pytest.mark.parametrize("fault", ["conversations.replies", "files.info"])
async def test_nothing_goes_for_an_error_of_slacks(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, fault: str
) -> None:
    await lived_through(slack, start_bot, sessions)
    slack.faults.refuse(fault, "channel_not_found" if fault.startswith("c") else "access_denied", times=50)

    async with start_bot():
        await caught_up(sessions)

    said = await count(sessions, f"messages WHERE content = '{QUESTION}' AND role = 'user'")
    assert said == (2 if fault == "conversations.replies" else 1)
    assert await count(sessions, "documents WHERE filename = 'menu.txt'") == (0 if fault.startswith("c") else 1)
