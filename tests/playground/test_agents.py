from __future__ import annotations

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.playground.conftest import refused


async def test_a_status_stands_below_the_thread_until_the_bot_speaks(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "question")
    place = (general.id, root.ts)

    await client.assistant_threads_setStatus(channel_id=general.id, thread_ts=root.ts, status="is reading…")
    assert slack.workspace.statuses[place]["status"] == "is reading…"

    await slack.say(ada, general, "still there?", thread_ts=root.ts)
    assert place in slack.workspace.statuses

    await client.chat_postMessage(channel=general.id, thread_ts=root.ts, text="yes")
    assert place not in slack.workspace.statuses


async def test_an_empty_status_takes_it_away(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "question")
    where: dict[str, Any] = {"channel_id": general.id, "thread_ts": root.ts}

    await client.assistant_threads_setStatus(**where, status="is reading…", loading_messages=["page 1"])
    await client.assistant_threads_setStatus(**where, status="")

    assert slack.workspace.statuses == {}


async def test_too_many_loading_messages_and_a_lost_thread_are_refused(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "question")
    status = client.assistant_threads_setStatus

    many = status(channel_id=general.id, thread_ts=root.ts, status="x", loading_messages=["x"] * 11)
    lost = status(channel_id=general.id, thread_ts="1.000001", status="x")

    assert await refused(many) == "invalid_arguments"
    assert await refused(lost) == "thread_not_found"


async def test_up_to_four_prompts_are_offered(slack: LocalSlack, client: AsyncWebClient, ada: User) -> None:
    direct = slack.direct(ada)
    prompt = {"title": "Hours", "message": "When do we open?"}

    await client.assistant_threads_setSuggestedPrompts(channel_id=direct.id, title="Try", prompts=[prompt])
    many = client.assistant_threads_setSuggestedPrompts(channel_id=direct.id, prompts=[prompt] * 5)

    assert slack.workspace.prompts[direct.id] == {"title": "Try", "prompts": [prompt]}
    assert await refused(many) == "invalid_arguments"


async def test_a_session_that_rests_shows_no_status(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "question")
    await client.assistant_threads_setStatus(channel_id=general.id, thread_ts=root.ts, status="is reading…")

    await client.agents_sessions_setStatus(channel_id=general.id, thread_ts=root.ts, status="active")
    unknown = client.agents_sessions_setStatus(channel_id=general.id, thread_ts=root.ts, status="dreaming")

    assert slack.workspace.statuses == {}
    assert await refused(unknown) == "invalid_arguments"


async def test_titles_have_their_length(slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel) -> None:
    root = await slack.say(ada, general, "question")

    await client.agents_sessions_rename(channel_id=general.id, title="Hours")
    await client.assistant_threads_setTitle(channel_id=general.id, thread_ts=root.ts, title="Hours")
    long = client.agents_sessions_rename(channel_id=general.id, title="x" * 201)

    assert await refused(long) == "invalid_arguments"
