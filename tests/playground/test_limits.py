from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.limits import PostLimiter, check_blocks, check_text
from bot.playground.local import LocalSlack
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Channel, User
from tests.playground.conftest import refused


def test_posts_into_one_channel_are_limited_and_others_are_free() -> None:
    limiter = PostLimiter(1.0)
    limiter.check("C1")
    limiter.check("C2")

    with pytest.raises(ApiRefusal) as refusal:
        limiter.check("C1")

    assert (refusal.value.error, refusal.value.status) == ("ratelimited", 429)
    assert refusal.value.headers == {"Retry-After": "1"}


def test_a_burst_is_allowed_when_it_is_granted() -> None:
    limiter = PostLimiter(0.1, burst=3)

    for _ in range(3):
        limiter.check("C1")
    with pytest.raises(ApiRefusal) as refusal:
        limiter.check("C1")

    assert refusal.value.headers == {"Retry-After": "10"}


async def test_allowance_comes_back_with_time() -> None:
    limiter = PostLimiter(20.0)
    limiter.check("C1")

    await asyncio.sleep(0.06)

    limiter.check("C1")


async def test_a_second_post_within_a_second_gets_429_and_how_long_to_wait(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.limiter.per_second = 1.0
    await client.chat_postMessage(channel=general.id, text="one")

    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel=general.id, text="two")

    assert refusal.value.response.status_code == 429
    assert refusal.value.response.headers["Retry-After"] == "1"
    assert [m.text for m in slack.store.top_level(general.id)] == ["one"]


async def test_the_sdks_own_retry_gets_through_after_the_wait(slack: LocalSlack, general: Channel) -> None:
    slack.limiter.per_second = 1.0
    client = AsyncWebClient(
        token=slack.bot_token, base_url=slack.api_url, retry_handlers=[AsyncRateLimitErrorRetryHandler()]
    )
    started = time.monotonic()

    await client.chat_postMessage(channel=general.id, text="one")
    await client.chat_postMessage(channel=general.id, text="two")

    assert time.monotonic() - started >= 1
    assert [m.text for m in slack.store.top_level(general.id)] == ["one", "two"]


async def test_a_stream_counts_as_one_post_however_long_it_grows(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    slack.limiter.per_second = 1.0
    root = await slack.say(ada, general, "question")
    place = {"channel": general.id, "thread_ts": root.ts}
    stream = {**place, "recipient_user_id": ada.id, "recipient_team_id": slack.store.team_id}

    started = await client.api_call("chat.startStream", json=stream)
    for word in ("one ", "two ", "three"):
        await client.chat_appendStream(channel=general.id, ts=started["ts"], markdown_text=word)

    assert slack.store.messages[general.id][started["ts"]].text == "one two three"
    assert await refused(client.api_call("chat.startStream", json=stream)) == "ratelimited"


async def test_a_refused_post_leaves_the_allowance_whole(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.limiter.per_second = 1.0

    assert await refused(client.api_call("chat.postMessage", json={"channel": general.id, "text": "  "})) == "no_text"

    assert (await client.chat_postMessage(channel=general.id, text="fine"))["ok"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"text": ""}, "no_text"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "nope"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "x" * 7_000}] * 2}, "msg_blocks_too_long"),
    ],
)
async def test_too_much_and_too_little_are_refused(
    client: AsyncWebClient, general: Channel, content: dict[str, Any], error: str
) -> None:
    assert await refused(client.api_call("chat.postMessage", json={"channel": general.id, **content})) == error


async def test_an_update_takes_less_text_than_a_post(client: AsyncWebClient, general: Channel) -> None:
    posted = await client.chat_postMessage(channel=general.id, text="x" * 40_000)

    call = client.chat_update(channel=general.id, ts=posted["ts"], text="x" * 4_001)

    assert await refused(call) == "msg_too_long"


def test_what_just_fits_is_taken() -> None:
    check_text("x" * 40_000)
    check_blocks([{"type": "divider"}] * 50)
    check_blocks([{"type": "markdown", "text": "x" * 6_000}] * 2)
