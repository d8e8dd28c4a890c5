"""The crowd asks where and when it should, and sees what is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bot.playground.local import LocalSlack
from bot.playground.state import Message
from tests.faults.checker import ANSWER
from tests.faults.load import Crowd


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack(posts_per_second=None) as slack:
        slack.sockets.ack_timeout_s = 0.01
        slack.workspace.deliveries.retry_delays_s = ()
        yield slack


def answer(slack: LocalSlack, question: Message) -> None:
    label = {"event_type": ANSWER, "event_payload": {"key": f"{question.channel_id}:{question.ts}"}}
    channel = slack.store.channel(question.channel_id)
    slack.workspace.post(slack.store.bot, channel, "Nine.", thread_ts=question.root_ts, metadata=label)


async def test_questions_go_round_channels_and_threads(slack: LocalSlack) -> None:
    crowd = Crowd(slack, channels=2, threads_each=2)

    asked = await crowd.ask(6)

    assert [m.channel_id == asked[0].channel_id for m in asked] == [True, False, True, False, True, False]
    assert [m.root_ts for m in asked] == [m.ts for m in asked[:4]] + [m.ts for m in asked[:2]]
    assert crowd.asked == asked


async def test_questions_come_evenly(slack: LocalSlack) -> None:
    crowd = Crowd(slack, channels=1)
    began = time.monotonic()

    await crowd.ask(5, per_second=50)

    assert 0.08 <= time.monotonic() - began < 0.5


async def test_the_same_seed_asks_the_same(slack: LocalSlack) -> None:
    one, other = Crowd(slack, channels=1, seed=3), Crowd(slack, channels=1, seed=3)

    assert [m.text for m in await one.ask(5)] == [m.text for m in await other.ask(5)]


async def test_waiting_ends_when_every_question_has_its_answer(slack: LocalSlack) -> None:
    crowd = Crowd(slack, channels=2)
    first, second = await crowd.ask(2)
    answer(slack, first)

    assert list(crowd.unanswered(crowd.asked)) == [second]
    assert await crowd.answered(timeout_s=0.1) == 0.1
    asyncio.get_running_loop().call_later(0.05, answer, slack, second)
    assert await crowd.answered(timeout_s=5) < 5


async def test_settled_waits_for_events_on_their_way_and_for_quiet(slack: LocalSlack) -> None:
    crowd = Crowd(slack, channels=1)
    [question] = await crowd.ask(1)

    await crowd.settled(quiet_s=0.01)

    assert all(delivery.lost for delivery in slack.delivered(question))
