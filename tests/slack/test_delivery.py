"""How answers leave: one message per question, in pieces where Slack can stream, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.repositories.conversations import ConversationRepository
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.fakes import FakeOpenAI, Reply, chunk, usage_chunk
from tests.slack.acts import HANDBOOK, asked, calls_of, count, running_work, shared, until, worked_off
from tests.slack.conftest import StartBot

OPENS = "The office opens at eight in the morning and closes at six. [1] "


def slowly(pieces: Sequence[str], *, pause_s: float = 0.35) -> Reply:
    """Write an answer piece by piece, with pauses."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(f"data: {chunk(piece)}\n\n".encode())
            await asyncio.sleep(pause_s)
        end = [chunk(None, finish_reason="stop"), usage_chunk(prompt_tokens=10, completion_tokens=5), "[DONE]"]
        await response.write("".join(f"data: {line}\n\n" for line in end).encode())
        return response

    return reply


def answers(slack: LocalSlack, root: Message) -> list[Message]:
    """Return the bot's messages in a thread after the receipt."""
    return slack.replies(root.channel_id, root.ts)[1:]


async def test_text_arrives_in_pieces_and_ends_with_its_sources(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.script.append(
        slowly([OPENS[:30], OPENS[30:], "Tickets are booked ", "by the desk. ", "So it is."], pause_s=0.6)
    )
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)

        reply = await asked(slack, "When does the office open?", root)

    assert len(calls_of(slack, "chat.startStream")) == 1
    assert len(calls_of(slack, "chat.appendStream")) >= 1
    assert quoted_words(reply) == ["The office opens at eight in the morning and closes at six."]
    assert calls_of(slack, "chat.stopStream")[-1]["metadata"]["event_payload"]["key"]
    assert [block["type"] for block in reply.blocks if block["type"] == "rich_text"] == ["rich_text"]


@pytest.mark.parametrize("lacking", ["unknown_method", "missing_scope"])
async def test_where_slack_cannot_stream_the_answer_is_posted_and_updated(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object], lacking: str
) -> None:
    slack.faults.refuse("chat.startStream", lacking, times=99)
    openai.script.append(
        slowly([OPENS, "R&D pays <twice> ", "a year ", "or so. ", "Perhaps. ", "Or not. "], pause_s=0.8)
    )
    openai.text = OPENS
    with capture_logs() as logs:
        async with start_bot(**writer):
            root = await shared(slack, HANDBOOK)
            reply = await asked(slack, "When does the office open?", root)
            await asked(slack, "When does the office open?", root)

    assert len(answers(slack, root)) == 2
    assert quoted_words(reply) == ["The office opens at eight in the morning and closes at six."]
    assert not any("&amp;amp;" in str(call.args) or "&amp;lt;" in str(call.args) for call in slack.calls)
    assert len(calls_of(slack, "chat.update")) >= 3, "one on the way, and one at the end of each"
    assert all(call["unfurl_links"] is call["unfurl_media"] is False for call in calls_of(slack, "chat.postMessage"))
    missing = [entry for entry in logs if entry["event"] == "slack.method_missing"]
    assert [entry["method"] for entry in missing] == ["chat.startStream"]


async def test_a_status_that_slack_does_not_offer_is_tried_once(slack: LocalSlack, start_bot: StartBot) -> None:
    slack.disable("assistant.threads.setStatus", "assistant.threads.setSuggestedPrompts")
    with capture_logs() as logs:
        async with start_bot():
            slack.open_app("Ada")
            slack.open_app("Ada")
            for _ in range(2):
                root = await slack.mention("Ada", "general", "When does the office open?", files=[HANDBOOK])
                await slack.wait_for_reply("general", root.ts, until=lambda m: bool(quoted_words(m)), timeout=30)

    missing = [entry["method"] for entry in logs if entry["event"] == "slack.method_missing"]
    assert sorted(missing) == ["assistant.threads.setStatus", "assistant.threads.setSuggestedPrompts"]


async def test_a_long_answer_is_cut_to_what_slack_takes(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.text = OPENS + "On & on it goes, <sentence> after sentence. " * 400
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)

        reply = await asked(slack, "When does the office open?", root)

    assert len(answers(slack, root)) == 1
    assert quoted_words(reply)


async def test_a_long_answer_is_cut_where_slack_cannot_stream(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    slack.disable("chat.startStream")
    openai.text = OPENS + "On & on it goes, <sentence> after sentence. " * 400
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)

        reply = await asked(slack, "When does the office open?", root)

    assert len(answers(slack, root)) == 1
    assert quoted_words(reply)


async def test_model_text_becomes_no_link_mention_or_image(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.text = (
        OPENS + "[Click](https://evil.example) <!channel> <@U1> ![x](http://evil.example/x.png) http://evil.example"
    )
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        await asked(slack, "When does the office open?", root)

    for call in slack.calls:
        sent = str([call.args.get(name) for name in ("text", "markdown_text")])
        sent += str([block for block in call.args.get("blocks") or [] if block["type"] != "rich_text"])
        assert "://evil" not in sent
        assert "](" not in sent
        assert "<!" not in sent
        assert "<@" not in sent


async def test_a_post_whose_answer_was_lost_is_not_posted_again(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)
    slack.faults.cut_reply("chat.startStream")

    question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
    reply = await slack.wait_for_reply("general", root.ts, after=question.ts, until=lambda m: bool(quoted_words(m)))

    assert answers(slack, root) == [reply]


async def test_a_receipt_whose_answer_was_lost_is_not_posted_again(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    slack.faults.cut_reply("chat.postMessage")

    root = await shared(slack, HANDBOOK)
    await worked_off(sessions)

    assert len(slack.replies("general", root.ts)) == 1
    assert await count(sessions, "deliveries WHERE state = 'final'") == 1


async def test_a_piece_whose_answer_was_lost_is_not_shown_twice(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    slack.faults.cut_reply("chat.appendStream")
    openai.script.append(slowly([OPENS, "It is a ", "nice ", "office ", "indeed. "], pause_s=0.4))
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)

        reply = await asked(slack, "When does the office open?", root)
        await until(lambda: words_of(reply).count("indeed"))

    assert words_of(reply).count("nice") == 1 + ("nice" in reply.text) * ("nice" in str(reply.blocks))
    assert quoted_words(reply)


async def test_a_rate_limit_is_waited_out(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)
    slack.faults.refuse("chat.startStream", "ratelimited", status=429, retry_after_s=2)

    asked_at = asyncio.get_running_loop().time()
    reply = await asked(slack, "When does the office open?", root)

    assert asyncio.get_running_loop().time() - asked_at >= 2
    assert answers(slack, root) == [reply]


async def test_a_crash_between_answer_and_record_leaves_one_message(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with start_bot():
        root = await shared(slack, HANDBOOK)
        with monkeypatch.context() as patch:
            patch.setattr(ConversationRepository, "record_answer", hang)
            question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
            await asyncio.wait_for(reached.wait(), 10)
            for task in running_work("answer"):
                task.cancel()
            await asyncio.sleep(0.1)

    async with start_bot():
        await worked_off(sessions)

    assert len(answers(slack, root)) == 1
    assert await count(sessions, f"messages WHERE role = 'assistant' AND reply_to = '{question.ts}'") == 1


async def test_a_crash_in_the_middle_of_writing_is_written_to_its_end_in_the_same_message(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object], sessions: Sessions
) -> None:
    openai.script.append(slowly([OPENS, "And then ", "some."], pause_s=5))
    openai.text = OPENS
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        await until(lambda: answers(slack, root))
        for task in running_work("answer"):
            task.cancel()
        await asyncio.sleep(0.1)

    async with start_bot(**writer):
        await worked_off(sessions)

    [reply] = answers(slack, root)
    assert reply.streaming != "in_progress"
    assert quoted_words(reply) == ["The office opens at eight in the morning and closes at six."]
    assert await count(sessions, "messages WHERE role = 'assistant'") == 1


async def test_an_answer_that_the_person_stopped_is_completed_all_the_same(
    slack: LocalSlack, start_bot: StartBot, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    openai.script.append(slowly([OPENS, "And ", "then ", "some."], pause_s=0.5))
    openai.text = OPENS
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        slack.faults.refuse("chat.appendStream", "message_not_in_streaming_state", times=9)
        slack.faults.refuse("chat.stopStream", "message_not_in_streaming_state", times=1)
        slack.faults.refuse("chat.update", "fatal_error", times=1)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        reply = await slack.wait_for_reply(
            "general", root.ts, after=question.ts, until=lambda m: bool(quoted_words(m)), timeout=15
        )

    assert answers(slack, root) == [reply]
