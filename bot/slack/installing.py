"""Where people let us into their workspace: `/slack/install` sends a browser to Slack, which sends it back.

Whoever comes back must be the browser that left, at most ten minutes ago, and for the first time: a state in the address,
a secret in a cookie, and both together in the database.
"""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Callable
from http import HTTPStatus

import structlog
from aiohttp import web

from bot.errors import Forbidden, InvalidRequest, Refused, ServiceUnavailable, TooManyRequests, WorkspaceGone
from bot.services.installations import SIGN_IN_S, InstallationService
from bot.slack.oauth import SlackOAuth
from bot.values import Grant

log = structlog.get_logger()

INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
COOKIE = "recollect_sign_in"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
"""What `secrets.token_urlsafe()` gives: 256 bits."""

_CODE_LIMIT = 500

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def mount_installing(
    app: web.Application,
    oauth: SlackOAuth,
    installations: InstallationService,
    *,
    is_secure: bool,
    on_installed: Callable[[], None],
) -> None:
    """Serve both addresses. Not `is_secure`: over plain HTTP. `on_installed` is called when all is stored."""
    door = FrontDoor(oauth, installations, is_secure=is_secure, on_installed=on_installed)
    app.router.add_get(INSTALL_PATH, door.leave, allow_head=False)
    app.router.add_get(REDIRECT_PATH, door.come_back, allow_head=False)


class FrontDoor:
    """Sends browsers to Slack and takes them back. Whatever happens is said on a page, in words for people."""

    def __init__(
        self,
        oauth: SlackOAuth,
        installations: InstallationService,
        *,
        is_secure: bool,
        on_installed: Callable[[], None],
    ) -> None:
        self._oauth = oauth
        self._installations = installations
        self._is_secure = is_secure
        self._on_installed = on_installed

    async def leave(self, request: web.Request) -> web.Response:
        """302 to Slack; 503 when too many are on their way, or nothing can be stored."""
        state, browser = secrets.token_urlsafe(), _browser(request) or secrets.token_urlsafe()
        try:
            await self._installations.begin(state, browser)
        except TooManyRequests:
            log.warning("sign_in.shed")
            return _page(
                "Too many at once",
                "Too many people are doing this at the moment. Try again in ten minutes.",
                status=503,
            )
        except ServiceUnavailable as error:
            return _unavailable(error)
        response = web.Response(
            status=HTTPStatus.FOUND, headers={**_HEADERS, "Location": self._oauth.authorize_url(state)}
        )
        response.set_cookie(
            COOKIE, browser, max_age=SIGN_IN_S, path="/slack", secure=self._is_secure, httponly=True, samesite="Lax"
        )
        return response

    async def come_back(self, request: web.Request) -> web.Response:
        """200 when we are in, or somebody said no; 400 for who didn't leave from here; 503 to try again later.

        403 when there is no room for another workspace: then Slack is told that we don't come in.
        """
        try:
            return await self._come_back(request)
        except ServiceUnavailable as error:
            return _unavailable(error)

    async def _come_back(self, request: web.Request) -> web.Response:
        state, browser, code = request.query.get("state", ""), _browser(request), request.query.get("code", "")
        known = _SECRET.fullmatch(state) and browser and await self._installations.redeem(state, browser)
        if not known:
            log.warning("sign_in.unknown")
            return _page(
                "This sign-in can't be used",
                "It is older than ten minutes, was used already, or was begun in another browser. "
                "Nothing was installed.",
                status=400,
            )
        if said := request.query.get("error"):
            log.info("sign_in.cancelled", reason=said[:40])
            return _cancelled() if said == "access_denied" else _refused()
        if not 0 < len(code) <= _CODE_LIMIT:
            return _refused()
        try:
            grant = await self._oauth.grant(code)
        except (InvalidRequest, Refused) as error:
            log.warning("sign_in.refused", reason=str(error)[:40])
            return _refused()
        return await self._install(grant)

    async def _install(self, grant: Grant) -> web.Response:
        try:
            await self._installations.install(grant)
        except WorkspaceGone as error:
            raise ServiceUnavailable(str(error)) from error
        except Forbidden:
            await self._oauth.uninstall(grant.token)
            return _full()
        self._on_installed()
        return _installed(grant)


def _browser(request: web.Request) -> str | None:
    """Return the secret that this browser's cookie holds; None for what we never gave out."""
    value = request.cookies.get(COOKIE, "")
    return value if _SECRET.fullmatch(value) else None


def _installed(grant: Grant) -> web.Response:
    if grant.is_enterprise:
        text = "An administrator of your organisation now says which of its workspaces it is added to."
    else:
        text = "Add it to a channel or write to it directly, share a file, and ask."
    link = f"https://slack.com/app_redirect?app={grant.app_id}&team={grant.team_id}"
    return _page(f"Recollect is in {grant.name or 'your workspace'}", text, link=(link, "Open it in Slack"))


def _cancelled() -> web.Response:
    return _page("Nothing was installed", "You said no to Slack, and so Recollect stays outside.")


def _refused() -> web.Response:
    return _page("Slack didn't let me in", "It refused what it had just handed out. Nothing was installed.", status=400)


def _full() -> web.Response:
    text = "It is in as many workspaces as it may be. Nothing was installed. Whoever runs it can make room."
    return _page("Recollect has no room for another workspace", text, status=403)


def _unavailable(error: ServiceUnavailable) -> web.Response:
    log.warning("sign_in.failed", error=type(error).__name__, reason=str(error))
    return _page("That didn't work", "Something I depend on isn't answering. Please try again in a moment.", status=503)


def _page(title: str, text: str, *, status: int = 200, link: tuple[str, str] | None = None) -> web.Response:
    address, words = link or (INSTALL_PATH, "Begin again")
    body = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title></head>'
        f"<body><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
        f'<p><a href="{html.escape(address)}">{html.escape(words)}</a></p></body></html>'
    )
    return web.Response(text=body, content_type="text/html", status=status, headers=_HEADERS)
