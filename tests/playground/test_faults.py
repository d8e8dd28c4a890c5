from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel
from tests.playground.conftest import refused


async def test_the_next_calls_of_a_method_can_be_refused(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.faults.refuse("chat.postMessage", "fatal_error", times=2)

    assert await refused(client.chat_postMessage(channel=general.id, text="one")) == "fatal_error"
    assert await refused(client.chat_postMessage(channel=general.id, text="two")) == "fatal_error"
    assert (await client.chat_postMessage(channel=general.id, text="three"))["ok"]
    assert [m.text for m in slack.store.top_level(general.id)] == ["three"]


async def test_a_refusal_can_carry_a_status_and_a_time_to_wait(slack: LocalSlack, client: AsyncWebClient) -> None:
    slack.faults.refuse("auth.test", "ratelimited", status=429, retry_after_s=7)

    with pytest.raises(SlackApiError) as refusal:
        await client.auth_test()

    assert (refusal.value.response.status_code, refusal.value.response.headers["Retry-After"]) == (429, "7")


async def test_an_answer_can_be_lost_after_the_deed_is_done(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.faults.cut_reply("chat.postMessage")

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.chat_postMessage(channel=general.id, text="was it posted?")

    assert [m.text for m in slack.store.top_level(general.id)] == ["was it posted?"]
