"""Slack's errors become ours; what may be repeated is, and nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bot.errors import InvalidSettings, NotFound, ServiceUnavailable
from bot.playground.faults import Fault, broken, html, refused
from bot.playground.local import LocalSlack
from bot.slack.client import (
    Clients,
    MessageGone,
    RateLimited,
    SlackRefusal,
    Unanswered,
    Unsupported,
    ask,
    insist,
    tell,
)
from tests.slack.acts import calls_of


@pytest.fixture
async def clients(slack: LocalSlack) -> AsyncIterator[Clients]:
    clients = Clients(slack.bot_token, base_url=slack.api_url)
    yield clients
    await clients.close()


@pytest.fixture
def place(slack: LocalSlack) -> str:
    return slack.store.channel("general").id


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("channel_not_found", NotFound),
        ("is_archived", NotFound),
        ("user_not_found", NotFound),
        ("message_not_found", MessageGone),
        ("invalid_auth", ServiceUnavailable),
        ("fatal_error", Unanswered),
        ("missing_scope", Unsupported),
        ("msg_too_long", SlackRefusal),
        ("rate_limited", RateLimited),
    ],
)
async def test_slacks_refusals_become_our_errors(
    slack: LocalSlack, clients: Clients, place: str, code: str, kind: type[Exception]
) -> None:
    slack.faults.refuse("chat.postMessage", code)

    with pytest.raises(kind):
        await tell(clients.posting.chat_postMessage(channel=place, text="once"))


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked"])
async def test_a_token_that_slack_refuses_is_for_an_administrator_to_mend(
    slack: LocalSlack, clients: Clients, code: str
) -> None:
    slack.faults.refuse("auth.test", code)

    with pytest.raises(InvalidSettings) as error:
        await ask(clients.reading.auth_test())

    assert "SLACK_BOT_TOKEN" in error.value.user_message


async def test_who_only_reads_waits_for_what_slack_refuses_by_an_unknown_name(
    slack: LocalSlack, clients: Clients
) -> None:
    slack.faults.refuse("users.info", "fetch_members_failed")

    with pytest.raises(ServiceUnavailable):
        await ask(clients.reading.users_info(user="U1"))


@pytest.mark.parametrize("fault", [broken(done=True), html(), refused("", status=502), refused("internal_error")])
async def test_nobody_knows_what_became_of_a_post_without_a_clear_answer(
    slack: LocalSlack, clients: Clients, place: str, fault: Fault
) -> None:
    slack.faults.put("chat.postMessage", fault)

    with pytest.raises(Unanswered):
        await tell(clients.posting.chat_postMessage(channel=place, text="once"))

    assert len(slack.store.messages[place]) <= 1


async def test_a_post_that_could_not_even_be_sent_was_not_posted(unused_tcp_port: int) -> None:
    clients = Clients("xoxb-1", base_url=f"http://127.0.0.1:{unused_tcp_port}/api/")

    with pytest.raises(ServiceUnavailable) as error:
        await tell(clients.posting.chat_postMessage(channel="C1", text="once"))
    await clients.close()

    assert not isinstance(error.value, Unanswered)


async def test_an_answer_that_is_no_object_is_none() -> None:
    async def words(request: web.Request) -> web.Response:
        return web.Response(text="Everything is fine")

    app = web.Application()
    app.router.add_post("/api/{method}", words)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clients = Clients("xoxb-1", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/api/")

    with pytest.raises(Unanswered):
        await tell(clients.posting.chat_postMessage(channel="C1", text="once"))

    await clients.close()
    await runner.cleanup()


async def test_a_change_is_repeated_until_it_is_answered(slack: LocalSlack, clients: Clients, place: str) -> None:
    posted = await clients.posting.chat_postMessage(channel=place, text="old")
    slack.faults.put("chat.update", html())
    slack.faults.put("chat.update", broken(done=False))
    slack.faults.cut_reply("chat.update")

    await insist(clients.posting, "chat.update", {"channel": place, "ts": posted["ts"], "text": "new"})

    assert [message.text for message in slack.store.messages[place].values()] == ["new"]


async def test_a_change_that_slack_will_not_make_is_tried_once(slack: LocalSlack, clients: Clients, place: str) -> None:
    slack.faults.refuse("chat.update", "edit_window_closed", times=2)

    with pytest.raises(SlackRefusal):
        await insist(clients.posting, "chat.update", {"channel": place, "ts": "1.0", "text": "new"})

    assert len([call for call in slack.calls if call.method == "chat.update"]) == 1


async def test_a_change_waits_for_a_short_limit_and_leaves_a_long_one_to_the_queue(
    slack: LocalSlack, clients: Clients, place: str
) -> None:
    posted = await clients.posting.chat_postMessage(channel=place, text="old")
    change = {"channel": place, "ts": posted["ts"], "text": "new"}
    slack.faults.refuse("chat.update", "ratelimited", status=429, retry_after_s=1)
    started = time.monotonic()
    await insist(clients.posting, "chat.update", change)
    waited_s = time.monotonic() - started
    slack.faults.refuse("chat.update", "ratelimited", status=429, retry_after_s=30)

    with pytest.raises(RateLimited) as error:
        await insist(clients.posting, "chat.update", change)

    assert waited_s >= 1
    assert error.value.retry_after_s == 30
    assert len(calls_of(slack, "chat.update")) == 1
    assert not slack.manners.early
