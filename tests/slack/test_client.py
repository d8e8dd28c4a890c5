"""Posts are paced and made once; Slack's errors become ours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from slack_sdk.errors import SlackApiError

from bot.errors import InvalidSettings, NotFound, ServiceUnavailable
from bot.playground.local import LocalSlack
from bot.slack.client import Clients, Pacer, Poster, ask, error_code


@pytest.fixture
async def clients(slack: LocalSlack) -> AsyncIterator[Clients]:
    clients = Clients(slack.bot_token, base_url=slack.api_url)
    yield clients
    await clients.close()


@pytest.fixture
def place(slack: LocalSlack) -> str:
    return slack.store.channel("general").id


async def test_messages_to_one_channel_keep_their_distance_and_others_do_not_wait() -> None:
    pacer, started = Pacer(interval_s=0.2), time.monotonic()

    await pacer.turn("C1")
    await pacer.turn("C2")
    at_once = time.monotonic() - started
    await pacer.turn("C1")

    assert at_once < 0.1
    assert time.monotonic() - started >= 0.2


async def test_a_turn_that_came_to_nothing_is_given_back() -> None:
    pacer, started = Pacer(interval_s=5), time.monotonic()

    await pacer.turn("C1")
    pacer.give_back("C1")
    await pacer.turn("C1")

    assert time.monotonic() - started < 1


async def test_a_rate_limit_is_waited_out_for_the_whole_channel(
    slack: LocalSlack, clients: Clients, place: str
) -> None:
    slack.faults.refuse("chat.postMessage", "ratelimited", status=429, retry_after_s=1)
    started = time.monotonic()

    await Poster(clients.posting, Pacer(interval_s=0)).call("chat.postMessage", channel=place, text="once")

    assert time.monotonic() - started >= 1
    assert [message.text for message in slack.store.messages[place].values()] == ["once"]


async def test_a_dropped_connection_is_not_posted_through_again(
    slack: LocalSlack, clients: Clients, place: str
) -> None:
    slack.faults.cut_reply("chat.postMessage")

    with pytest.raises(ServiceUnavailable):
        await Poster(clients.posting, Pacer(interval_s=0)).call("chat.postMessage", channel=place, text="once")

    assert len(slack.store.messages[place]) == 1


async def test_what_slack_refuses_comes_through_to_the_one_who_posts(clients: Clients, place: str) -> None:
    with pytest.raises(SlackApiError) as error:
        await Poster(clients.posting, Pacer()).call("chat.postMessage", channel=place, text="")

    assert error_code(error.value) == "no_text"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("channel_not_found", NotFound),
        ("user_not_found", NotFound),
        ("invalid_auth", InvalidSettings),
        ("token_revoked", InvalidSettings),
        ("fatal_error", ServiceUnavailable),
        ("missing_scope", ServiceUnavailable),
    ],
)
async def test_slacks_errors_become_ours(slack: LocalSlack, clients: Clients, code: str, kind: type[Exception]) -> None:
    slack.faults.refuse("users.info", code, times=3)

    with pytest.raises(kind):
        await ask(clients.reading.users_info(user="U1"))


async def test_an_http_error_without_a_name_has_its_status(slack: LocalSlack, clients: Clients) -> None:
    slack.faults.refuse("users.info", "", status=503, times=5)

    with pytest.raises(ServiceUnavailable, match="503"):
        await ask(clients.posting.users_info(user="U1"))
