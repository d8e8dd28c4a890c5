"""Listeners of events: each decides what work the event means, and stores it before Slack is told."""

from __future__ import annotations

from typing import Any

import structlog
from slack_bolt.context.async_context import AsyncBoltContext
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.services.errands import forget_errand
from bot.slack.client import UNREACHED, error_code
from bot.slack.delivery import Capabilities
from bot.slack.inbox import Body, Inbox, file_errands, question_errand
from bot.text.mrkdwn import mentioned_ids, without_mention
from bot.values import Errand

log = structlog.get_logger()

_HEARD = frozenset({None, "file_share", "thread_broadcast"})
"""Subtypes of `message` that a person wrote; the others are edits, deletions and notices."""

PROMPTS = (
    {"title": "What can I ask?", "message": "What has been shared with me lately?"},
    {"title": "Find a document", "message": "Where are our onboarding documents?"},
)


class EventListeners:
    """What the bot hears: mentions, direct messages, messages with files, and files deleted."""

    def __init__(self, inbox: Inbox, client: AsyncWebClient, capabilities: Capabilities) -> None:
        self._inbox = inbox
        self._client = client
        self._capabilities = capabilities

    async def on_app_mention(self, body: Body, event: Body, context: AsyncBoltContext) -> None:
        """Somebody spoke to the bot in a channel."""
        if _is_from_person(event):
            await self._accept(body, errands_of(event, body["team_id"], bot_user_id=context.bot_user_id or ""))

    async def on_message(self, body: Body, event: Body, context: AsyncBoltContext) -> None:
        """Somebody wrote somewhere the bot is: a direct message is a question, a file is to be read."""
        if event.get("subtype") in _HEARD and _is_from_person(event):
            await self._accept(body, errands_of(event, body["team_id"], bot_user_id=context.bot_user_id or ""))

    async def on_file_deleted(self, body: Body, event: Body) -> None:
        """A file is gone from Slack, and so from here."""
        team_id, file_id = body["team_id"], event["file_id"]
        await self._accept(body, [forget_errand(team_id, file_id)])

    async def on_app_home_opened(self, event: Body) -> None:
        """Somebody opened the bot's messages: suggest what to ask."""
        method = "assistant.threads.setSuggestedPrompts"
        if event.get("tab") != "messages" or not self._capabilities.has(method):
            return
        arguments: dict[str, Any] = {"channel_id": event["channel"], "prompts": list(PROMPTS)}
        try:
            await self._client.api_call(method, json=arguments)
        except SlackApiError as error:
            if not self._capabilities.lacks(method, error):
                log.info("prompts.refused", reason=error_code(error))
        except UNREACHED as error:
            log.info("prompts.refused", reason=type(error).__name__)

    async def on_other(self, event: Body) -> None:
        """An older manifest may subscribe to more: take it, or Slack sends it three times and counts failures."""
        log.debug("event.ignored", type=event.get("type"))

    async def _accept(self, body: Body, errands: list[Errand]) -> None:
        await self._inbox.accept(body, event_id=body["event_id"], team_id=body["team_id"], errands=errands)


def errands_of(event: Body, team_id: str, *, bot_user_id: str) -> list[Errand]:
    """Return the work a message means; the copies Slack sends of one message mean the same work.

    A question is a direct message or a mention. One that is nothing but files gets its receipt alone.
    """
    errands = file_errands(team_id, event)
    text = event.get("text") or ""
    is_question = event.get("channel_type") == "im" or bot_user_id in mentioned_ids(text)
    says_something = bool(without_mention(text, bot_user_id))
    if is_question and (says_something or not errands):
        errands.append(question_errand(team_id, event))
    return errands


def _is_from_person(event: Body) -> bool:
    return bool(event.get("user")) and not event.get("bot_id")
