"""A workspace of two people and a bot, and an app that is connected to it with the real SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.installed import BOT_SCOPES, MORE_SCOPES, MORE_SUBSCRIPTIONS, SUBSCRIPTIONS
from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.contracts import Contracts

Json = dict[str, Any]


@dataclass(slots=True)
class Listener:
    """An app that acknowledges everything and remembers it. `retries` are the retry numbers, "0" for a first try."""

    app: AsyncApp
    handler: AsyncSocketModeHandler
    payloads: list[Json] = field(default_factory=list)
    retries: list[str | None] = field(default_factory=list)

    async def heard(self, kind: str, *, count: int = 1) -> list[Json]:
        """Return the inner events of this type, once there are so many."""
        async with asyncio.timeout(5):
            while len(found := [p["event"] for p in self.payloads if p.get("event", {}).get("type") == kind]) < count:
                await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """A Slack that grants and sends everything, and lets the bot post as fast as it can."""
    slack = LocalSlack(
        scopes=BOT_SCOPES | MORE_SCOPES, subscriptions=SUBSCRIPTIONS | MORE_SUBSCRIPTIONS, posts_per_second=None
    )
    async with slack:
        yield slack


@pytest.fixture
def ada(slack: LocalSlack) -> User:
    return slack.add_user("Ada", email="ada@example.com", is_admin=True)


@pytest.fixture
def ben(slack: LocalSlack) -> User:
    return slack.add_user("Ben", email="ben@example.com")


@pytest.fixture
def general(slack: LocalSlack, ada: User, ben: User) -> Channel:
    return slack.add_channel("general", members=[ada, ben])


@pytest.fixture
def client(slack: LocalSlack) -> AsyncWebClient:
    """The real client with the bot's token; it gives up at the first refusal."""
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[])


async def refused(call: Awaitable[object]) -> str:
    """Return Slack's word for why it didn't do this."""
    with pytest.raises(SlackApiError) as refusal:
        await call
    return str(refusal.value.response["error"])


Connect = Callable[[AsyncApp], Awaitable[Listener]]


@pytest.fixture
async def connect(slack: LocalSlack) -> AsyncIterator[Connect]:
    """Connect an app over Socket Mode; closed at the end."""
    handlers: list[AsyncSocketModeHandler] = []

    async def connected(app: AsyncApp) -> Listener:
        web_client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
        handler = AsyncSocketModeHandler(app, slack.app_token, web_client=web_client)
        await handler.connect_async()  # type: ignore[no-untyped-call]  # the SDK leaves it bare
        handlers.append(handler)
        return Listener(app, handler)

    yield connected
    for handler in handlers:
        await handler.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it bare


@pytest.fixture
async def app(slack: LocalSlack, client: AsyncWebClient, connect: Connect) -> Listener:
    """An app that listens to everything."""
    bolt = AsyncApp(client=client, raise_error_for_unhandled_request=False)
    listener = await connect(bolt)

    @bolt.middleware
    async def remember(body: Json, req: Any, next: Callable[[], Awaitable[None]]) -> None:  # noqa: A002  # Bolt fills arguments by these names
        listener.payloads.append(body)
        listener.retries.append((req.headers.get("x-slack-retry-num") or [None])[0])
        await next()

    async def take(ack: AsyncAck) -> None:
        await ack()

    for subscription in slack.workspace.deliveries.subscriptions:
        bolt.event(subscription.split(".")[0])(take)
    for command in slack.commands:
        bolt.command(command)(take)
    bolt.action("any")(take)
    return listener


@pytest.fixture
def contracts(shared: Path) -> Contracts:
    """Slack's own schemas."""
    return Contracts(shared)
