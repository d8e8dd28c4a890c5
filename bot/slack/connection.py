"""Whether Socket Mode can be opened: the SDK itself would try a wrong token for ever."""

from __future__ import annotations

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import InvalidSettings
from bot.slack.client import ask


async def require_app_token(client: AsyncWebClient, token: str) -> None:
    """Raise InvalidSettings unless Slack opens Socket Mode for this token; ServiceUnavailable when it doesn't answer.

    The address that Slack hands out for it isn't used, and expires.
    """
    try:
        await ask(client.apps_connections_open(app_token=token))
    except InvalidSettings as error:
        message = (
            "Slack refuses SLACK_APP_TOKEN. Make one with connections:write under Basic Information, App-Level Tokens, "
            "and switch Socket Mode on."
        )
        raise InvalidSettings(str(error), user_message=message) from error
