"""Nothing is called before its Retry-After is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.playground.faults import slow
from bot.playground.local import LocalSlack
from bot.slack import heeding
from bot.slack.client import Clients
from bot.slack.heeding import retry_after_s


@pytest.fixture
async def clients(slack: LocalSlack) -> AsyncIterator[Clients]:
    clients = Clients(slack.bot_token, base_url=slack.api_url)
    yield clients
    await clients.close()


async def test_the_reading_client_waits_for_a_short_limit(slack: LocalSlack, clients: Clients) -> None:
    slack.faults.refuse("auth.test", "ratelimited", status=429, retry_after_s=1)
    started = time.monotonic()

    await clients.reading.auth_test()

    assert time.monotonic() - started >= 1
    assert not slack.manners.early


async def test_a_long_limit_is_not_waited_for_and_nobody_calls_before_it_is_over(
    slack: LocalSlack, clients: Clients
) -> None:
    slack.faults.refuse("auth.test", "ratelimited", status=429, retry_after_s=30)
    for _ in range(3):
        with pytest.raises(SlackApiError) as error:
            await clients.reading.auth_test()
        assert 29 < (retry_after_s(error.value) or 0) <= 30
    with pytest.raises(SlackApiError):
        await clients.posting.auth_test()

    assert len([call for call in slack.calls if call.method == "auth.test"]) == 1
    assert not slack.manners.early


async def test_those_who_call_while_another_waits_wait_too(slack: LocalSlack, clients: Clients) -> None:
    slack.faults.refuse("auth.test", "ratelimited", status=429, retry_after_s=1)

    await asyncio.gather(*(clients.reading.auth_test() for _ in range(3)))
    await asyncio.gather(*(clients.reading.auth_test() for _ in range(3)))

    assert not slack.manners.early


async def test_posts_are_limited_by_channel(slack: LocalSlack, clients: Clients) -> None:
    closed, open_ = slack.store.channel("general").id, slack.store.channel("handbook").id
    slack.faults.refuse("chat.postMessage", "ratelimited", status=429, retry_after_s=30)
    for _ in range(2):
        with pytest.raises(SlackApiError):
            await clients.posting.chat_postMessage(channel=closed, text="no")

    await clients.posting.chat_postMessage(channel=open_, text="yes")

    assert slack.manners.calls["chat.postMessage"] == 2


async def test_a_call_that_hangs_is_given_up(
    slack: LocalSlack, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heeding, "CALL_LIMIT_S", 0.2)
    slack.faults.put("auth.test", slow(1))
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        await clients.posting.auth_test()

    assert time.monotonic() - started < 0.9


@pytest.mark.parametrize(
    ("said", "meant"), [("7", 7.0), ("soon", 1.0), ("-3", 0.0), ("nan", 0.0), ("1e9", 3600.0), (None, 1.0)]
)
def test_an_odd_time_to_wait_is_made_sense_of(clients: Clients, said: str | None, meant: float) -> None:
    headers = {} if said is None else {"Retry-After": said}
    response = AsyncSlackResponse(
        client=clients.posting, http_verb="POST", api_url="", req_args={}, data={}, headers=headers, status_code=429
    )

    assert retry_after_s(SlackApiError("no", response)) == meant  # type: ignore[no-untyped-call]  # the SDK leaves it bare
