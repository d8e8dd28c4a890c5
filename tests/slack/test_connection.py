"""Socket Mode on bad days: nothing that Slack sends ends it, and nothing that the network does ends it for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable, InvalidSettings
from bot.jobs.queue import Queue
from bot.playground.faults import html
from bot.playground.local import LocalSlack
from bot.repositories.channels import ChannelRepository
from bot.slack import connection as connection_module
from bot.slack.connection import SlackConnection
from bot.slack.dispatch import on_error
from bot.slack.hearing import Hearing
from bot.slack.identity import authorize_as
from bot.slack.inbox import Inbox
from tests.conftest import TEAM
from tests.slack.acts import until, value


class Listener:
    """A Bolt app that keeps what it hears; it waits while `open` is clear, and fails while `fails` is set."""

    def __init__(self, slack: LocalSlack) -> None:
        self.texts: list[str] = []
        self.raw: list[bytes] = []
        self.retries: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails: Exception | None = None
        store = slack.store
        self.bolt = AsyncApp(
            client=AsyncWebClient(slack.bot_token, base_url=slack.api_url),
            authorize=authorize_as(
                team_id=store.team_id,
                url=slack.url,
                bot_user_id=store.bot.id,
                bot_id=store.bot_id,
                token=lambda: "xoxb-x",
            ),
            process_before_response=True,
        )
        self.bolt.error(on_error)
        self.bolt.event("message")(self.on_message)
        self.bolt.command("/ask")(self.on_command)

    async def on_message(self, event: dict[str, Any], context: dict[str, Any], request: Any) -> None:
        self.retries += request.headers.get("x-slack-retry-num", [])
        await self.open.wait()
        if self.fails:
            raise self.fails
        self.texts.append(event["text"])
        self.raw.append(context["raw"])

    async def on_command(self, ack: Any, command: dict[str, Any]) -> None:
        await ack(text=f"You said {command['text']}")


@pytest.fixture
def heard(slack: LocalSlack) -> Listener:
    return Listener(slack)


@pytest.fixture
async def hearing(sessions: Sessions) -> Hearing:
    async with sessions.tenant(TEAM) as session:
        await ChannelRepository(session).record_workspace(TEAM, name="Test")
    inbox = Inbox(sessions, Queue())
    return Hearing(sessions, Queue(), inbox, team_id=TEAM, gap_s=30, backfill_hours=24)


def made(slack: LocalSlack, heard: Listener, hearing: Hearing, **options: Any) -> SlackConnection:
    client = AsyncWebClient(slack.app_token, base_url=slack.api_url)
    return SlackConnection(heard.bolt, client, slack.app_token, hearing=hearing, **options)


@pytest.fixture
async def connection(slack: LocalSlack, heard: Listener, hearing: Hearing) -> AsyncIterator[SlackConnection]:
    connection = made(slack, heard, hearing)
    await connection.open()
    yield connection
    await connection.close()


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ping ten times a second instead of once in three."""
    monkeypatch.setattr("bot.slack.socket.PING_INTERVAL_S", 0.1)


async def say(slack: LocalSlack, text: str) -> None:
    await slack.say("Ada", "general", text)


async def nonsense(slack: LocalSlack, *texts: str | bytes) -> None:
    """Send this to the app as Slack would."""
    [link] = slack.sockets._open
    for text in texts:
        await (link.socket.send_bytes(text) if isinstance(text, bytes) else link.socket.send_str(text))


async def test_what_is_heard_comes_byte_for_byte_and_is_acknowledged(
    slack: LocalSlack, heard: Listener, connection: SlackConnection
) -> None:
    await say(slack, "hello 😀")
    await slack.settle()

    [delivery] = slack.deliveries
    assert heard.texts == ["hello 😀"]
    assert b'"event_id": "' + delivery.envelope["event_id"].encode() in heard.raw[0]
    assert delivery.acked_at is not None
    assert connection.problem() is None


async def test_a_command_is_answered_in_its_acknowledgement(
    slack: LocalSlack, heard: Listener, connection: SlackConnection
) -> None:
    at = await slack.command("Ada", "general", "/ask", "something")

    assert (await slack.wait_for_ephemeral("Ada", "general", after=at)).text == "You said something"


async def test_what_cannot_be_taken_is_not_acknowledged_and_comes_again(
    slack: LocalSlack, heard: Listener, connection: SlackConnection
) -> None:
    slack.sockets.ack_timeout_s = 0.2
    slack.workspace.deliveries.retry_delays_s = (0.0, 0.1)
    heard.fails = DatabaseUnavailable("away")
    await say(slack, "first")
    await asyncio.sleep(0.1)
    heard.fails = None
    await slack.settle()

    [delivery] = slack.deliveries
    assert (delivery.attempts, delivery.acked_at is None) == (2, False)
    assert (heard.texts, heard.retries) == (["first"], ["1"])


async def test_a_request_that_takes_its_time_holds_up_no_other(
    slack: LocalSlack, heard: Listener, connection: SlackConnection
) -> None:
    heard.open.clear()
    await say(slack, "slow")
    at = await slack.command("Ada", "general", "/ask", "something")
    answered = await slack.wait_for_ephemeral("Ada", "general", after=at)
    heard.open.set()
    await slack.settle()

    assert answered
    assert heard.texts == ["slow"]


async def test_nonsense_is_let_pass(slack: LocalSlack, heard: Listener, connection: SlackConnection) -> None:
    envelope = '{"type": "events_api", "envelope_id": "e1", "payload": %s}'
    await nonsense(
        slack,
        "",
        "{",
        "null",
        "[1, 2]",
        '{"type": 3}',
        '{"type": "events_api"}',
        '{"type": "unheard_of", "envelope_id": "e1", "payload": {}}',
        '{"type": "hello"}',
        "[" * 100_000,
        b"\x00\xff",
        *(envelope % payload for payload in ("null", "3", "[]", '"x"', "{}", '{"event": null}', '{"event": "x"}')),
        *(
            envelope % payload
            for payload in ('{"team": 3}', '{"authorizations": {}}', '{"view": {"x": 1}, "user": []}')
        ),
        envelope % ('{"type": "event_callback", "event": {"type": "message"}}'),
        envelope % ('{"a":' * 50_000),
    )

    await say(slack, "hello")
    await slack.settle()

    assert heard.texts == ["hello"]
    assert slack.sockets.connected_total == 1


async def test_a_refresh_is_answered_by_another_connection_before_the_first_ends(
    slack: LocalSlack, heard: Listener, connection: SlackConnection
) -> None:
    heard.open.clear()
    await say(slack, "under way")
    await until(lambda: connection._handled)

    await slack.sockets.refresh()
    await slack.sockets.wait_connected()
    heard.open.set()
    for number in range(20):
        await say(slack, f"message {number}")
    await slack.settle()

    assert len(heard.texts) == 21
    assert slack.sockets.connected_total == 2
    assert all(delivery.attempts == 1 for delivery in slack.deliveries)
    await until(lambda: slack.sockets.connection_count == 1)


@pytest.mark.parametrize("way", ["cut", "close"])
async def test_a_connection_that_ends_is_replaced_at_once(
    slack: LocalSlack, heard: Listener, connection: SlackConnection, way: str
) -> None:
    for _ in range(3):
        await getattr(slack.sockets, way)()
        started = time.monotonic()
        await slack.sockets.wait_connected()
        assert time.monotonic() - started < 2
    await say(slack, "hello")
    await slack.settle()

    assert heard.texts == ["hello"]


async def test_a_connection_that_falls_silent_is_noticed_and_replaced(
    slack: LocalSlack, heard: Listener, hearing: Hearing, quick_pings: None
) -> None:
    connection = made(slack, heard, hearing)
    await connection.open()
    await asyncio.sleep(0.5)
    untouched = slack.sockets.connected_total
    slack.sockets.stall()
    slack.sockets.forget_stalled()

    await slack.sockets.wait_connected(timeout_s=5)
    await say(slack, "hello")
    await slack.settle()
    await connection.close()

    assert untouched == 1
    assert heard.texts == ["hello"]


async def test_slack_is_tried_until_it_is_back_and_the_trouble_is_named(
    slack: LocalSlack, heard: Listener, connection: SlackConnection
) -> None:
    async with slack.sockets.outage():
        trouble = await until(connection.problem)
        slack.faults.refuse("apps.connections.open", "internal_error", times=2, status=500)
        await asyncio.sleep(1)
    started = time.monotonic()
    await slack.sockets.wait_connected()
    reconnected_s = time.monotonic() - started
    await until(lambda: connection.problem() is None)

    assert trouble.startswith("Not connected to Slack")
    assert reconnected_s < 10


async def test_an_answer_that_nobody_understands_ends_nothing(
    slack: LocalSlack, heard: Listener, connection: SlackConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, odd = connection_module._address, [KeyError("url"), AttributeError("get"), ZeroDivisionError()]

    async def misread(client: AsyncWebClient, token: str) -> str:
        if odd:
            raise odd.pop()
        return await address(client, token)

    monkeypatch.setattr(connection_module, "_address", misread)
    slack.faults.put("apps.connections.open", html())
    await slack.sockets.cut()
    await slack.sockets.wait_connected(timeout_s=20)
    await say(slack, "hello")
    await slack.settle()

    assert heard.texts == ["hello"]


async def test_a_start_without_slack_goes_on_trying(
    slack: LocalSlack, heard: Listener, hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.connection._FIRST_TIMEOUT_S", 0.2)
    connection = made(slack, heard, hearing)
    async with slack.sockets.outage():
        with capture_logs() as logs:
            await connection.open()
        trouble = connection.problem()
    await slack.sockets.wait_connected()
    await connection.close()

    assert trouble
    assert "slack.unreached" in [entry["event"] for entry in logs]


async def test_a_token_that_slack_refuses_is_named_at_once(
    slack: LocalSlack, heard: Listener, hearing: Hearing
) -> None:
    client = AsyncWebClient("xapp-wrong", base_url=slack.api_url)
    connection = SlackConnection(heard.bolt, client, "xapp-wrong", hearing=hearing)

    with pytest.raises(InvalidSettings) as error:
        await connection.open()
    await connection.close()

    assert "SLACK_APP_TOKEN" in error.value.user_message


async def test_only_so_many_requests_are_worked_on_at_once(
    slack: LocalSlack, heard: Listener, hearing: Hearing
) -> None:
    slack.sockets.ack_timeout_s = 0.3
    slack.workspace.deliveries.retry_delays_s = (0.3,)
    heard.open.clear()
    connection = made(slack, heard, hearing, handled_limit=2)
    await connection.open()
    for number in range(4):
        await say(slack, f"message {number}")
    await until(lambda: len(connection._handled) == 2)
    await asyncio.sleep(0.1)
    at_work = len(connection._handled)
    heard.open.set()
    await slack.settle()
    await connection.close()

    assert at_work == 2
    assert sorted(set(heard.texts)) == [f"message {number}" for number in range(4)]


async def test_closing_lets_what_was_heard_be_acknowledged_and_hears_nothing_more(
    slack: LocalSlack, heard: Listener, hearing: Hearing
) -> None:
    slack.workspace.deliveries.retry_delays_s = ()
    connection = made(slack, heard, hearing)
    await connection.open()
    heard.open.clear()
    await say(slack, "under way")
    await until(lambda: connection._handled)

    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0.05)
    slack.sockets.ack_timeout_s = 0.1
    await say(slack, "too late")
    heard.open.set()
    await closing
    await slack.settle()

    first, second = slack.deliveries
    assert heard.texts == ["under way"]
    assert first.acked_at is not None
    assert second.acked_at is None


async def test_while_it_is_connected_the_workspace_counts_as_heard(
    slack: LocalSlack, connection: SlackConnection, sessions: Sessions
) -> None:
    async def noted() -> bool:
        return await value(sessions, "SELECT heard_at FROM workspaces") is not None

    await until(noted)
