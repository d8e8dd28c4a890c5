"""Slack's OAuth: where it asks people whether we may come in, and what it gives us when they say yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import structlog
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.oauth import AuthorizeUrlGenerator
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import RecollectError
from bot.slack.client import SlackRefusal, ask, tell
from bot.slack.payloads import is_id
from bot.slack.scopes import BOT_SCOPES, OPTIONAL_SCOPES
from bot.values import Grant, Token

log = structlog.get_logger()

_ACCESS = "oauth.v2.access"
_TIMEOUT_S = 10
_AUTHORIZE_PATH = "/oauth/v2/authorize"


class SlackOAuth:
    """The app's own word with Slack, by its client id and secret; made in a running loop."""

    def __init__(self, *, client_id: str, client_secret: str, redirect_url: str, api_url: str) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        self._client = AsyncWebClient(base_url=api_url, session=self._session, retry_handlers=[])
        self._reading = AsyncWebClient(
            base_url=api_url, session=self._session, retry_handlers=[AsyncConnectionErrorRetryHandler()]
        )
        self._credentials = {"Authorization": aiohttp.encode_basic_auth(client_id, client_secret)}
        self._names = {"client_id": client_id, "client_secret": client_secret}
        self._redirect_url = redirect_url
        self._addresses = AuthorizeUrlGenerator(
            client_id=quote(client_id, safe=""),
            redirect_uri=quote(redirect_url, safe=""),
            scopes=[*BOT_SCOPES, *OPTIONAL_SCOPES],
            authorization_url=api_url.removesuffix("/").removesuffix("/api") + _AUTHORIZE_PATH,
        )

    def authorize_url(self, state: str) -> str:
        """Return the page on which Slack asks."""
        return self._addresses.generate(state)

    async def grant(self, code: str) -> Grant:
        """Return what the code is worth, which is worth it once.

        Raises SlackRefusal for a code that Slack doesn't know any more, InvalidSettings or NotFound when it takes back
        at once what the code was worth, ServiceUnavailable when it doesn't answer.
        """
        answer = await self._access({"code": code, "redirect_uri": self._redirect_url})
        token = _token_from(answer)
        who = await ask(self._reading.auth_test(token=token.access_token))
        return _grant_from(answer, who.data if isinstance(who.data, dict) else {}, token)

    async def exchange(self, refresh_token: str) -> Token:
        """Return the token that comes after. Raises as `grant`, but for the token's."""
        return _token_from(await self._access({"grant_type": "refresh_token", "refresh_token": refresh_token}))

    async def uninstall(self, token: Token) -> None:
        """Take the app out of the workspace that this token is for; a log line when Slack doesn't do it."""
        call = self._client.api_call("apps.uninstall", data=self._names, headers=_bearer(token.access_token))
        try:
            await tell(call)
        except RecollectError as error:
            log.warning("workspace.not_left", error=type(error).__name__, reason=str(error))

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def _access(self, arguments: Mapping[str, str]) -> Mapping[str, Any]:
        """Call without the SDK's own method, for which aiohttp has no good word any more."""
        call = self._client.api_call(_ACCESS, data=dict(arguments), headers=self._credentials)
        answer = (await tell(call)).data
        return answer if isinstance(answer, dict) else {}


def _token_from(answer: Mapping[str, Any]) -> Token:
    """Return the bot's token. Raises SlackRefusal for an answer without one."""
    access, refresh, lasts_s = (answer.get(name) for name in ("access_token", "refresh_token", "expires_in"))
    if not (isinstance(access, str) and access.startswith("xox") and answer.get("token_type") == "bot"):
        raise SlackRefusal("no_bot_token")
    if isinstance(refresh, str) and isinstance(lasts_s, int | float):
        return Token(access, refresh, float(lasts_s))
    return Token(access)


def _grant_from(answer: Mapping[str, Any], who: Mapping[str, Any], token: Token) -> Grant:
    """Return what was granted: by an organisation, all of it under its own id. Raises SlackRefusal for nonsense."""
    is_enterprise = answer.get("is_enterprise_install") is True
    place = _inside(answer, "enterprise" if is_enterprise else "team")
    team_id, app_id, bot_user_id = place.get("id"), answer.get("app_id"), answer.get("bot_user_id")
    installer_id = _inside(answer, "authed_user").get("id")
    if not (is_id(team_id) and is_id(app_id) and is_id(bot_user_id) and is_id(installer_id)):
        raise SlackRefusal("no_workspace")
    return Grant(
        team_id,
        app_id,
        token,
        bot_user_id,
        installer_id,
        name=str(place.get("name") or ""),
        url=str(who.get("url") or ""),
        bot_id=str(who.get("bot_id") or ""),
        scopes=str(answer.get("scope") or ""),
        is_enterprise=is_enterprise,
    )


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _inside(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = answer.get(name)
    return inner if isinstance(inner, dict) else {}
