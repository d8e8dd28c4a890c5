"""The bot without one of its models: questions wait, are answered when it returns, and end in passages when it doesn't."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.smoke import quoted_words
from tests.fakes import FakeOpenAI, chunk, usage_chunk, word_vector
from tests.slack.acts import HANDBOOK, count, shared, value, worked_off
from tests.slack.conftest import StartBot
from tests.slack.test_deletions import left_of

GOOD = "The office opens at eight in the morning and closes at six. [1]"
ALL_OPENAI = {"embedding_model": "openai", "openai_embedding_dimensions": 64}

Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


async def down(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"error": {"message": "down"}}, status=503)


def only(path: str, handler: Handler) -> Callable[[str], Handler | None]:
    """Return the trouble of every request whose path ends so."""
    return lambda asked: handler if asked.endswith(path) else None


def no_trouble(_: str) -> None:
    return None


async def final_reply(slack: LocalSlack, root: Message, question: Message, *, has: str) -> Message:
    """Return the one reply to the question, once it holds these words; it is alone, and not being written any more."""
    reply = await slack.wait_for_reply(
        "general", root.ts, after=question.ts, until=lambda message: has in words_of(message), timeout=30
    )
    await slack.settle()
    later = [message for message in slack.replies("general", root.ts) if message.ts > question.ts]
    assert [message.ts for message in later] == [reply.ts]
    return later[0]


async def test_a_question_is_answered_when_its_model_returns(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object], sessions: Sessions
) -> None:
    openai.text = GOOD
    openai.trouble = only("/chat/completions", down)
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        await asyncio.sleep(2.5)
        before = [message for message in slack.replies("general", root.ts) if message.ts > question.ts]
        statuses = [call.args.get("status", "") for call in slack.calls if call.method.endswith("setStatus")]
        openai.trouble = no_trouble
        reply = await final_reply(slack, root, question, has="eight")
        await worked_off(sessions)

    assert before == []
    assert any("I keep trying" in status for status in statuses)
    assert quoted_words(reply)
    assert await count(sessions, "work WHERE task = 'answer' AND state = 'done' AND attempts = 0") == 1


async def test_a_model_that_stays_away_costs_an_apology_with_the_nearest_passages(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object], sessions: Sessions
) -> None:
    openai.trouble = only("/chat/completions", down)
    async with start_bot(**writer, model_wait_s=2):
        root = await shared(slack, HANDBOOK)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await final_reply(slack, root, question, has="come nearest")
        await worked_off(sessions)

    assert "opens at eight" in words_of(reply)
    assert "handbook.md" in words_of(reply)
    assert await value(sessions, "SELECT state FROM messages WHERE role = 'assistant'") == "apology"


async def test_without_any_model_the_apology_finds_by_words(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.vector = word_vector
    async with start_bot(**{**writer, **ALL_OPENAI}, model_wait_s=1):
        root = await shared(slack, HANDBOOK)
        openai.trouble = only("", down)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await final_reply(slack, root, question, has="come nearest")

    assert "opens at eight" in words_of(reply)


async def test_without_the_embedding_model_a_question_is_answered_all_the_same(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.text, openai.vector = GOOD, word_vector
    async with start_bot(**{**writer, **ALL_OPENAI}):
        root = await shared(slack, HANDBOOK)
        openai.trouble = only("/embeddings", down)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await final_reply(slack, root, question, has="eight")

    assert quoted_words(reply)


async def test_a_stream_that_is_cut_is_replaced_whole_by_the_next_attempt(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.text = GOOD
    openai.streams(chunk("The office was closed down years ago, "), chunk("and nobody "), cut=True)
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await final_reply(slack, root, question, has="eight")

    assert "years ago" not in words_of(reply)
    assert not reply.streaming


async def test_a_stream_cut_for_good_is_replaced_by_the_apology(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    async with start_bot(**writer, model_wait_s=1):
        root = await shared(slack, HANDBOOK)
        openai.streams(chunk("The office was closed down years ago, "), chunk("and nobody "), cut=True)
        openai.trouble = only("/chat/completions", down)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await final_reply(slack, root, question, has="come nearest")

    assert "years ago" not in words_of(reply)
    assert not reply.streaming


async def test_bad_json_and_too_many_requests_are_waited_out(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.text = GOOD
    openai.streams("{not json")
    openai.fails(429)
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await final_reply(slack, root, question, has="eight")

    assert quoted_words(reply)


async def test_the_rows_add_up_to_what_the_providers_stated(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object], sessions: Sessions
) -> None:
    openai.text, openai.vector = GOOD, word_vector
    broken = (chunk("The office "), usage_chunk(prompt_tokens=33, completion_tokens=4))
    async with start_bot(**{**writer, **ALL_OPENAI}):
        root = await shared(slack, HANDBOOK)
        openai.trouble = only("/chat/completions", stating(openai, *broken))
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        await asyncio.sleep(1.5)
        openai.trouble = no_trouble
        slack.faults.refuse("chat.stopStream", "internal_error", times=1)
        slack.faults.refuse("chat.update", "internal_error", times=2)
        await final_reply(slack, root, question, has="eight")
        await worked_off(sessions)

    chat, embedding = openai.chat_reported, openai.embedding_reported
    assert chat.calls >= 2
    assert embedding.calls >= 2
    assert await count(sessions, "usage_events") == chat.calls + embedding.calls
    total = "SELECT sum(prompt_tokens) || ' ' || sum(completion_tokens) FROM usage_events"
    assert await value(sessions, total) == (f"{chat.prompt_tokens + embedding.prompt_tokens} {chat.completion_tokens}")


def stating(openai: FakeOpenAI, *lines: str) -> Handler:
    """Return a reply that says what it cost and then breaks off."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for line in lines:
            await response.write(f"data: {line}\n\n".encode())
        openai.chat_reported.add(33, 4)
        return response

    return reply


async def test_the_passages_under_an_apology_go_with_their_document(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object], sessions: Sessions
) -> None:
    openai.trouble = only("/chat/completions", down)
    async with start_bot(**writer, model_wait_s=1):
        root = await shared(slack, HANDBOOK)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        await final_reply(slack, root, question, has="come nearest")
        await worked_off(sessions)

        await slack.delete_file(root.file_ids[0])
        await slack.settle()
        await worked_off(sessions)

    assert "opens at eight" not in json.dumps([message.blocks for message in slack.replies("general", root.ts)])
    assert await left_of(sessions, "opens at eight") == []
