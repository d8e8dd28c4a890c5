"""After an outage: what was asked meanwhile is read and answered, once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.slack.backfill import Throttle
from bot.smoke import quoted_words
from tests.slack.acts import HANDBOOK, calls_of, count, last_heard, until, worked_off
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


async def test_a_reply_in_a_thread_nobody_looked_at_for_long_is_found_where_we_were_asked_before(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.backfill.EARLIER_LIMIT", 1)
    async with start_bot():
        root = await slack.mention("Ada", "general", QUESTION)
        await answer_to(slack, root)
        for number in range(3):
            await slack.say("Ben", "general", f"Something else, number {number}")
        await slack.settle()
        await worked_off(sessions)
    async with outage(slack, sessions):
        follow_up = await slack.mention("Ada", "general", "And when does it close?", thread_ts=root.ts)
    await last_heard(sessions, "-60 seconds")  # so that the gap begins after all that was said before
    async with start_bot(backfill_hours=24.0):
        await last_heard(sessions, "31 seconds")
        await slack.sockets.cut()
        await answer_to(slack, follow_up)

    assert answers(slack, follow_up) == 1


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

    assert await count(sessions, "work") == 0
    assert answers(slack, question) == 0
    assert calls_of(slack, "users.conversations") == []


async def test_slacks_wish_to_be_left_alone_is_heeded(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    await first_start(start_bot, sessions)
    async with outage(slack, sessions):
        question = await slack.mention("Ada", "general", QUESTION)
    slack.faults.refuse("users.conversations", "ratelimited", status=429, retry_after_s=1)
    slack.faults.refuse("conversations.history", "ratelimited", status=429, retry_after_s=1, times=2)

    started = time.monotonic()
    async with start_bot():
        await caught_up(sessions)

    assert time.monotonic() - started > 2
    assert answers(slack, question) == 1
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
