"""Messages of one process keep apart, even where their reserved moments have drifted together; deletions end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bot.db.engine import Sessions
from bot.playground.faults import broken
from bot.playground.local import LocalSlack
from bot.slack.posts import Address, Posts
from bot.values import Question
from tests.conftest import TEAM
from tests.slack.posting import Desk


@pytest.fixture
async def desk(slack: LocalSlack, sessions: Sessions) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as closing:
        yield Desk(slack, sessions, closing)


def address(question: Question) -> Address:
    return Address(TEAM, "receipt", question.ts, question.channel_id, question.thread_ts, question.ts)


async def post(posts: Posts, question: Question, words: str) -> str:
    return await posts.post("chat.postMessage", address(question), {"text": words})


async def test_messages_whose_moments_drifted_together_still_keep_apart(desk: Desk) -> None:
    question, elsewhere = await desk.ask(), await desk.ask(channel="handbook")
    posts = desk.process(interval_s=1.05).posts

    await asyncio.gather(*(post(posts, question, f"{n}.") for n in range(3)), post(posts, elsewhere, "Nine."))

    assert len(desk.said(question)) == 3
    assert desk.slack.manners.calls["chat.postMessage"] == 4
    assert not desk.slack.manners.crowded


async def test_a_message_is_deleted_once_and_for_all(desk: Desk) -> None:
    question = await desk.ask()
    posts = desk.default.posts
    ts = await post(posts, question, "Nine.")
    desk.slack.faults.put("chat.delete", broken(done=False))
    desk.slack.faults.cut_reply("chat.delete")

    await posts.delete(address(question), ts)

    assert desk.said(question) == []


async def test_what_slack_will_not_delete_stays(desk: Desk) -> None:
    question = await desk.ask()
    posts = desk.default.posts
    ts = await post(posts, question, "Nine.")
    desk.slack.faults.refuse("chat.delete", "cant_delete_message", times=9)

    await posts.delete(address(question), ts)

    assert desk.said(question) == ["Nine."]
    assert desk.count("chat.delete") == 1
