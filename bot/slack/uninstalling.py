"""Listeners of the bot's own end in a workspace: all that is kept of it goes. Slack tells it twice, in either order."""

from __future__ import annotations

import asyncio

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ServiceUnavailable
from bot.slack.addressing import addressed, told_at
from bot.slack.client import is_refused
from bot.slack.inbox import Inbox
from bot.slack.payloads import Body

_PATIENCE_S = 2.0
"""Slack waits three seconds for us, and we store something after this."""


class UninstallListeners:
    """What the bot hears when it is removed. `team_id`, `bot_user_id`: where we are, and who we are there.

    What Slack says of another workspace, or of one of those of an organisation, purges nothing here.
    """

    def __init__(self, inbox: Inbox, client: AsyncWebClient, *, team_id: str, bot_user_id: str) -> None:
        self._inbox = inbox
        self._client = client
        self._team_id = team_id
        self._bot_user_id = bot_user_id

    async def on_app_uninstalled(self, body: Body) -> None:
        """Somebody removed the app from the workspace."""
        await self._depart(body)

    async def on_tokens_revoked(self, body: Body, event: Body) -> None:
        """Tokens are worth nothing any more; when the bot's is among them, and Slack refuses it, it has left.

        That can't be taken back, and the event alone may be told again after a return. Raises ServiceUnavailable when
        Slack doesn't say: then it sends the event again.
        """
        tokens = event.get("tokens")
        revoked = tokens.get("bot") if isinstance(tokens, dict) else None
        if isinstance(revoked, list) and self._bot_user_id in revoked and await self._is_refused():
            await self._depart(body)

    async def _is_refused(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await is_refused(self._client)
        except TimeoutError as error:
            raise ServiceUnavailable("Slack doesn't say whether our token is good") from error

    async def _depart(self, body: Body) -> None:
        if addressed(body) == self._team_id:
            await self._inbox.depart(self._team_id, told_at=told_at(body))
