from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.faults import Fault, Faults, broken, html, rate_limited, refused, slow
from bot.playground.local import LocalSlack
from bot.playground.state import Channel
from tests.playground.conftest import refused as refused_by_slack


def posted(slack: LocalSlack, channel: Channel) -> list[str]:
    return [message.text for message in slack.store.top_level(channel.id)]


async def test_the_next_calls_of_a_method_can_be_refused(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.faults.refuse("chat.postMessage", "fatal_error", times=2)

    assert await refused_by_slack(client.chat_postMessage(channel=general.id, text="one")) == "fatal_error"
    assert await refused_by_slack(client.chat_postMessage(channel=general.id, text="two")) == "fatal_error"
    assert (await client.chat_postMessage(channel=general.id, text="three"))["ok"]
    assert posted(slack, general) == ["three"]


async def test_a_refusal_can_carry_a_status_and_a_time_to_wait(slack: LocalSlack, client: AsyncWebClient) -> None:
    slack.faults.put("auth.test", rate_limited(7))

    with pytest.raises(SlackApiError) as refusal:
        await client.auth_test()

    assert (refusal.value.response.status_code, refusal.value.response.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(("done", "left"), [(True, ["was it posted?"]), (False, [])])
async def test_a_connection_can_break_before_the_deed_or_after_it(
    slack: LocalSlack, client: AsyncWebClient, general: Channel, *, done: bool, left: list[str]
) -> None:
    slack.faults.put("chat.postMessage", broken(done=done))

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.chat_postMessage(channel=general.id, text="was it posted?")

    assert posted(slack, general) == left


@pytest.mark.parametrize("done", [True, False])
async def test_a_page_for_people_can_come_where_json_should(
    slack: LocalSlack, client: AsyncWebClient, general: Channel, *, done: bool
) -> None:
    slack.faults.put("chat.postMessage", html(done=done))

    with pytest.raises((SlackApiError, aiohttp.ContentTypeError)):
        await client.chat_postMessage(channel=general.id, text="words")

    assert posted(slack, general) == (["words"] if done else [])


async def test_a_call_can_hang_and_come_to_nothing(slack: LocalSlack, general: Channel) -> None:
    slack.faults.put("chat.postMessage", slow(0.2))
    client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, timeout=1, retry_handlers=[])
    started = time.monotonic()

    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=general.id, text="words")

    assert time.monotonic() - started >= 0.2
    assert posted(slack, general) == []


async def test_an_answer_can_come_too_late_for_a_deed_that_is_done(slack: LocalSlack, general: Channel) -> None:
    slack.faults.put("chat.postMessage", slow(0.3, done=True))

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {slack.bot_token}"}) as session:
        call = session.post(f"{slack.api_url}chat.postMessage", json={"channel": general.id, "text": "words"})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.1)

    assert posted(slack, general) == ["words"]


async def test_a_deed_that_slack_refuses_uses_up_no_fault_that_follows_it(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.faults.put("chat.postMessage", broken(done=True))

    nowhere = client.chat_postMessage(channel="C0NOWHERE", text="words")
    assert await refused_by_slack(nowhere) == "channel_not_found"

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.chat_postMessage(channel=general.id, text="now")


def struck(faults: Faults, method: str, times: int) -> list[str]:
    taken = (faults.take(method, done=False) for _ in range(times))
    return [fault.name if fault else "" for fault in taken]


def unlucky(seed: int) -> Faults:
    faults = Faults()
    faults.sometimes("chat.postMessage", refused("fatal_error"), probability=0.2, seed=seed)
    faults.sometimes("*", Fault("any", cut=True), probability=0.1, seed=seed)
    return faults


def test_chance_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first, again, other = (struck(unlucky(seed), "chat.postMessage", 400) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_chance_strikes_as_often_as_asked_and_is_counted() -> None:
    faults = unlucky(1)

    names = struck(faults, "chat.postMessage", 2000)

    assert 300 < names.count("fatal_error") < 500
    assert faults.happened["chat.postMessage", "fatal_error"] == names.count("fatal_error")
    assert set(struck(faults, "auth.test", 200)) == {"", "any"}


def test_what_was_asked_for_comes_before_what_may_come_and_everything_ends_with_clear() -> None:
    faults = Faults()
    faults.sometimes("*", Fault("any"), probability=1.0)
    faults.put("auth.test", Fault("asked"), times=2)

    assert struck(faults, "auth.test", 3) == ["asked", "asked", "any"]

    faults.clear()
    assert struck(faults, "auth.test", 2) == ["", ""]
