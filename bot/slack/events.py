"""Listeners of events: each decides what work the event means, and stores it before Slack is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import structlog
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.services.errands import forget_errand
from bot.slack.delivery import Capabilities
from bot.slack.inbox import Inbox, errands_of, question_errand, reading_errands
from bot.slack.payloads import (
    Body,
    SlackMessage,
    converted_channel,
    deletion_from,
    edit_from,
    is_id,
    message_from,
    place_of,
)
from bot.values import Errand

log = structlog.get_logger()

PROMPTS = (
    {"title": "What can I ask?", "message": "What has been shared with me lately?"},
    {"title": "Find a document", "message": "Where are our onboarding documents?"},
)


class EventListeners:
    """What the bot hears: mentions, direct messages, messages with files, edits, deletions, and files deleted.

    A request whose context says `is_copy` was for another of our workspaces, in a channel they share: what is said in it
    is answered there, and only read here.
    """

    def __init__(self, inbox: Inbox, client: AsyncWebClient, capabilities: Capabilities) -> None:
        self._inbox = inbox
        self._client = client
        self._capabilities = capabilities

    async def on_app_mention(self, body: Body, event: Body, context: AsyncBoltContext) -> None:
        """Somebody spoke to the bot in a channel."""
        if message := message_from(event):
            await self._accept_message(message, body, context)

    async def on_message(self, body: Body, event: Body, context: AsyncBoltContext) -> None:
        """Somebody wrote somewhere the bot is: a direct message is a question, a file is to be read.

        An edit is a question when it is the first to name the bot; a deletion takes a question back. That a channel was
        made private or public is told by a notice in it.
        """
        if deletion := deletion_from(event):
            if place := _place(body):
                event_id, team_id = place
                await self._inbox.withdraw(context["raw"], event_id=event_id, team_id=team_id, deletion=deletion)
        elif channel_id := converted_channel(event):
            if place := _place(body):
                team_id = place[1]
                await self._inbox.note(team_id, lambda known: known.record_channel_change(team_id, channel_id))
        elif edit := edit_from(event):
            is_ours = edit.message.user_id == context.bot_user_id
            if edit.asks(context.bot_user_id or "") and not is_ours and not context.get("is_copy"):
                await self._accept(body, context, lambda team_id: [question_errand(edit.message, team_id)])
        elif message := message_from(event):
            await self._accept_message(message, body, context)

    async def on_file_deleted(self, body: Body, event: Body, context: AsyncBoltContext) -> None:
        """A file is gone from Slack, and so from here."""
        file_id = event.get("file_id")
        if is_id(file_id):
            await self._accept(body, context, lambda team_id: [forget_errand(team_id, file_id)])

    async def on_app_home_opened(self, event: Body) -> None:
        """Somebody opened the bot's messages: suggest what to ask."""
        channel_id = event.get("channel")
        if event.get("tab") == "messages" and is_id(channel_id):
            arguments = {"channel_id": channel_id, "prompts": list(PROMPTS)}
            await self._capabilities.attempt(self._client, "assistant.threads.setSuggestedPrompts", arguments)

    async def on_any(self, body: Body, next: Callable[[], Awaitable[None]]) -> BoltResponse | None:  # noqa: A002  # Bolt's name
        """Before anything else: Slack may say that it left out events of a minute, because there were too many."""
        if body.get("type") != "app_rate_limited":
            await next()
            return None
        minute = body.get("minute_rate_limited")
        since = datetime.now(UTC) - timedelta(minutes=2)
        if isinstance(minute, int) and 0 < minute < since.timestamp():
            since = max(datetime.fromtimestamp(minute, UTC), since - timedelta(hours=1))
        log.warning("slack.left_out_events", since=since.isoformat(timespec="seconds"))
        self._inbox.miss(since)
        return BoltResponse(status=HTTPStatus.OK)

    async def on_other(self, event: Body) -> None:
        """An older manifest may subscribe to more: take it, or Slack sends it three times and counts failures."""
        log.debug("event.ignored", type=event.get("type"))

    async def _accept_message(self, message: SlackMessage, body: Body, context: AsyncBoltContext) -> None:
        if context.get("is_copy"):
            await self._accept(body, context, lambda team_id: reading_errands(message, team_id))
            return
        bot_user_id = context.bot_user_id or ""
        if message.user_id == bot_user_id:
            return
        await self._accept(body, context, lambda team_id: errands_of(message, team_id, bot_user_id=bot_user_id))

    async def _accept(self, body: Body, context: AsyncBoltContext, errands: Callable[[str], list[Errand]]) -> None:
        if place := _place(body):
            event_id, team_id = place
            await self._inbox.accept(context["raw"], event_id=event_id, team_id=team_id, errands=errands(team_id))


def _place(body: Body) -> tuple[str, str] | None:
    place = place_of(body)
    if place is None:
        log.warning("event.unreadable")
    return place
