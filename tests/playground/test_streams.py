from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.models.messages.chunk import BlocksChunk, MarkdownTextChunk, PlanUpdateChunk, TaskUpdateChunk
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, Message, User
from tests.playground.conftest import refused


@pytest.fixture
async def root(slack: LocalSlack, ada: User, general: Channel) -> Message:
    return await slack.say(ada, general, "question")


async def started(client: AsyncWebClient, slack: LocalSlack, root: Message, **more: Any) -> str:
    """Start a stream in the root's thread and return its ts."""
    recipient: dict[str, Any] = {"recipient_team_id": slack.store.team_id, "recipient_user_id": root.user_id}
    answer = await client.chat_startStream(channel=root.channel_id, thread_ts=root.ts, **recipient, **more)
    return str(answer["ts"])


async def test_a_stream_grows_and_ends_with_its_blocks(
    slack: LocalSlack, client: AsyncWebClient, root: Message
) -> None:
    ts = await started(client, slack, root, markdown_text="We ")
    message = slack.store.messages[root.channel_id][ts]
    await client.chat_appendStream(channel=root.channel_id, ts=ts, markdown_text="open ")
    assert (message.text, message.streaming, message.finished_at) == ("We open ", "in_progress", None)

    await client.chat_stopStream(channel=root.channel_id, ts=ts, markdown_text="at 8.", blocks=[{"type": "divider"}])

    assert (message.text, message.streaming, message.blocks) == ("We open at 8.", "completed", [{"type": "divider"}])
    assert message.finished_at is not None


async def test_the_sdks_stream_object_works(slack: LocalSlack, client: AsyncWebClient, root: Message) -> None:
    stream = await client.chat_stream(
        channel=root.channel_id,
        thread_ts=root.ts,
        recipient_team_id=slack.store.team_id,
        recipient_user_id=root.user_id,
        buffer_size=4,
    )

    await stream.append(markdown_text="long enough")
    await stream.append(markdown_text="…")
    await stream.stop()

    [reply] = slack.replies(root.channel_id, root.ts)
    assert reply.text == "long enough…"


async def test_chunks_carry_text_progress_and_blocks(slack: LocalSlack, client: AsyncWebClient, root: Message) -> None:
    ts = await started(client, slack, root, chunks=[PlanUpdateChunk(title="Reading")])
    task = TaskUpdateChunk(id="1", title="handbook.pdf", status="in_progress")
    done = TaskUpdateChunk(id="1", title="handbook.pdf", status="complete", output="12 pages")
    blocks = BlocksChunk(blocks=[{"type": "divider"}])

    await client.chat_appendStream(channel=root.channel_id, ts=ts, chunks=[task, MarkdownTextChunk(text="Hi")])
    await client.chat_appendStream(channel=root.channel_id, ts=ts, chunks=[done, blocks])

    message = slack.store.messages[root.channel_id][ts]
    assert message.plan_title == "Reading"
    assert (message.tasks["1"]["status"], message.tasks["1"]["output"]) == ("complete", "12 pages")
    assert (message.text, message.blocks) == ("Hi", [{"type": "divider"}])


async def test_a_channel_asks_for_whom_a_stream_is(
    slack: LocalSlack, client: AsyncWebClient, root: Message, general: Channel
) -> None:
    team = slack.store.team_id
    stranger = slack.add_user("Cleo")
    place = {"channel": general.id, "thread_ts": root.ts}

    no_team = client.api_call("chat.startStream", json=place)
    no_user = client.api_call("chat.startStream", json={**place, "recipient_team_id": team})
    outsider = {**place, "recipient_team_id": team, "recipient_user_id": stranger.id}

    assert await refused(no_team) == "missing_recipient_team_id"
    assert await refused(no_user) == "missing_recipient_user_id"
    assert await refused(client.api_call("chat.startStream", json=outsider)) == "user_not_in_channel"


async def test_a_direct_message_does_not_ask(slack: LocalSlack, client: AsyncWebClient, ada: User) -> None:
    root = await slack.say(ada, slack.direct(ada), "question")

    answer = await client.chat_startStream(channel=root.channel_id, thread_ts=root.ts)

    assert answer["ok"]


async def test_a_finished_stream_takes_nothing_more(slack: LocalSlack, client: AsyncWebClient, root: Message) -> None:
    ts = await started(client, slack, root, markdown_text="done")
    await client.chat_stopStream(channel=root.channel_id, ts=ts)

    append = client.chat_appendStream(channel=root.channel_id, ts=ts, markdown_text="more")
    stop = client.chat_stopStream(channel=root.channel_id, ts=ts)

    assert await refused(append) == "message_not_in_streaming_state"
    assert await refused(stop) == "message_not_in_streaming_state"


async def test_ordinary_and_other_peoples_messages_are_no_streams(
    slack: LocalSlack, client: AsyncWebClient, root: Message
) -> None:
    posted = await client.chat_postMessage(channel=root.channel_id, text="hello")

    ours = client.chat_appendStream(channel=root.channel_id, ts=posted["ts"], markdown_text="x")
    theirs = client.chat_appendStream(channel=root.channel_id, ts=root.ts, markdown_text="x")

    assert await refused(ours) == "message_not_in_streaming_state"
    assert await refused(theirs) == "message_not_owned_by_app"


async def test_a_running_stream_is_not_to_be_updated(slack: LocalSlack, client: AsyncWebClient, root: Message) -> None:
    ts = await started(client, slack, root, markdown_text="half")

    assert await refused(client.chat_update(channel=root.channel_id, ts=ts, text="x")) == "streaming_state_conflict"

    await client.chat_stopStream(channel=root.channel_id, ts=ts)
    assert (await client.chat_update(channel=root.channel_id, ts=ts, text="whole"))["text"] == "whole"


async def test_new_blocks_take_the_place_of_what_was_streamed(
    slack: LocalSlack, client: AsyncWebClient, root: Message
) -> None:
    task = TaskUpdateChunk(id="1", title="Reading", status="complete")
    ts = await started(client, slack, root, chunks=[task, MarkdownTextChunk(text="half")])
    await client.chat_stopStream(channel=root.channel_id, ts=ts)

    await client.chat_update(channel=root.channel_id, ts=ts, text="whole", blocks=[{"type": "divider"}])

    message = slack.store.messages[root.channel_id][ts]
    assert (message.text, message.blocks, message.tasks) == ("whole", [{"type": "divider"}], {})
    assert message.streaming is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"chunks": [{"type": "markdown_text", "text": "x" * 12_001}]}, "msg_too_long"),
        ({"chunks": [{"type": "nope"}]}, "invalid_chunks"),
        ({"chunks": ["words"]}, "invalid_chunks"),
        ({"chunks": [{"type": "task_update", "title": "no id"}]}, "invalid_chunks"),
        ({"chunks": [{"type": "blocks", "blocks": [{"type": "nope"}]}]}, "invalid_blocks"),
        ({"chunks": [{"type": "plan_update", "title": "x"}], "markdown_text": "x"}, "cannot_provide_both_markdown_text_and_chunks"),
        ({}, "no_text"),
    ],
)  # fmt: skip
async def test_what_slack_would_not_append_is_refused_and_changes_nothing(
    slack: LocalSlack, client: AsyncWebClient, root: Message, content: dict[str, Any], error: str
) -> None:
    ts = await started(client, slack, root, markdown_text="so far")

    call = client.api_call("chat.appendStream", json={"channel": root.channel_id, "ts": ts, **content})

    assert await refused(call) == error
    assert slack.store.messages[root.channel_id][ts].text == "so far"
