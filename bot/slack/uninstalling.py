"""Listeners of the bot's own end in a workspace: all that is kept of it goes. Slack tells it twice, in either order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.slack.inbox import Inbox
from bot.slack.payloads import Body, is_id

_SECOND = timedelta(seconds=1)
"""Slack tells whole seconds: what it says happened at that one may have happened at its end."""


class UninstallListeners:
    """What the bot hears when it is removed. `bot_user_id`: who it is there."""

    def __init__(self, inbox: Inbox, *, bot_user_id: str) -> None:
        self._inbox = inbox
        self._bot_user_id = bot_user_id

    async def on_app_uninstalled(self, body: Body) -> None:
        """Somebody removed the app from the workspace."""
        await self._depart(body)

    async def on_tokens_revoked(self, body: Body, event: Body) -> None:
        """Tokens are worth nothing any more; when the bot's is among them, it has lost the workspace."""
        tokens = event.get("tokens")
        revoked = tokens.get("bot") if isinstance(tokens, dict) else None
        if isinstance(revoked, list) and self._bot_user_id in revoked:
            await self._depart(body)

    async def _depart(self, body: Body) -> None:
        team_id = body.get("team_id")
        if is_id(team_id):
            await self._inbox.depart(team_id, told_at=_told_at(body))


def _told_at(body: Body) -> datetime | None:
    moment = body.get("event_time")
    if not isinstance(moment, int) or not 0 < moment < 2**33:
        return None
    return datetime.fromtimestamp(moment, UTC) + _SECOND
