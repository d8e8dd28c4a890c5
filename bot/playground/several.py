"""Several workspaces at one address, and an app that each of them may let in by OAuth."""

from __future__ import annotations

import base64
import binascii
import html
import secrets
from typing import Self
from urllib.parse import urlencode

from aiohttp import web

from bot.errors import NotFound
from bot.playground.faults import Faults
from bot.playground.grants import Grants
from bot.playground.http_events import HttpTransport
from bot.playground.local import MAX_REQUEST_BYTES, LocalSlack
from bot.playground.refusal import ApiRefusal
from bot.playground.sockets import Sockets
from bot.playground.state import Json, Store
from bot.playground.web_api import Tokens

AUTHORIZE_PATH = "/oauth/v2/authorize"


class LocalSlacks:
    """A Slack of more than one workspace, without pages for people but the one that asks whether an app may come in.

    It lives in an `async with`. A workspace says nothing to the app before it let it in. `redirect_uris` are those that
    the app's settings name.
    """

    def __init__(self, *, rotates_tokens: bool = False) -> None:
        self.client_id = "1.2"
        self.client_secret = secrets.token_hex(16)
        self.app_token, self.signing_secret = f"xapp-{secrets.token_hex(12)}", secrets.token_hex(16)
        self.redirect_uris: set[str] = set()
        self.grants = Grants(rotates=rotates_tokens)
        self.faults = Faults()
        self.accesses: list[Json] = []
        self.workspaces: dict[str, LocalSlack] = {}
        self._store = Store()
        self.sockets = Sockets(self._store, lambda _: None)
        self._http: HttpTransport | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(
            [
                web.route("*", "/api/{method}", self._serve_api),
                web.get("/link/", self.sockets.serve),
                web.get(AUTHORIZE_PATH, self._ask),
                web.post(AUTHORIZE_PATH, self._decide),
                web.get(r"/files-pri/{team}-{file_id:F\w+}/{name}", self._serve_file),
                web.get(r"/files-pri/{team}-{file_id:F\w+}/download/{name}", self._serve_file),
                web.post("/response/{token}", self._serve_response),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._store.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for slack in self.workspaces.values():
            await slack.close()
        await self.sockets.cut()
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """What an SDK takes as its base URL, with the slash it needs at the end."""
        return f"{self._store.base_url}/api/"

    def add(self, team_id: str, name: str, *, enterprise_id: str | None = None) -> LocalSlack:
        """Make a workspace, in which nobody but its own people are yet; of an organisation, the app is let into all."""
        slack = LocalSlack(team_id=team_id, posts_per_second=None)
        slack.store.team_name, slack.store.domain = name, name.lower()
        slack.store.base_url, slack.store.enterprise_id = self._store.base_url, enterprise_id
        slack.web_api.tokens = Tokens("", self.app_token, self.signing_secret)
        slack.store.is_installed = False
        slack.workspace.deliveries.transport = self._http or self.sockets
        self.workspaces[team_id] = slack
        return slack

    async def deliver_over_http(self, url: str) -> HttpTransport:
        """From now on post what happens anywhere to this URL, signed, instead of over Socket Mode."""
        if self._http is not None:
            await self._http.close()
        self._http = HttpTransport(url, self.signing_secret)
        for slack in self.workspaces.values():
            slack.workspace.deliveries.transport = self._http
        return self._http

    def uninstall(self, slack: LocalSlack) -> None:
        """Take the app out of a workspace: its tokens are worthless at once, and it hears so twice, then nothing."""
        self.grants.revoke(slack)
        slack.uninstall()

    async def _serve_api(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        slack = self.grants.workspace_of(token)
        if slack is not None and request.match_info["method"] != "apps.uninstall":
            return await slack.web_api.serve(request)
        try:
            body = self._of_the_app(request.match_info["method"], token, dict(await request.post()), request)
        except ApiRefusal as refusal:
            return web.json_response(refusal.body(), status=refusal.status, headers=refusal.headers)
        return web.json_response({"ok": True, **body})

    def _of_the_app(self, method: str, token: str, args: Json, request: web.Request) -> Json:
        """Answer what the app asks as itself."""
        match method:
            case "oauth.v2.access":
                return self._access(args, request)
            case "apps.uninstall":
                return self._let_go(token, args)
            case "apps.connections.open":
                return {"url": self._link(token)}
        raise ApiRefusal("invalid_auth" if token else "not_authed")

    def _access(self, args: Json, request: web.Request) -> Json:
        """oauth.v2.access, for a code or a refresh token."""
        self.accesses.append({name: value for name, value in args.items() if name == "grant_type"})
        fault = self.faults.take("oauth.v2.access", done=False)
        if fault is not None and fault.refusal is not None:
            raise fault.refusal
        if _credentials(request) != (self.client_id, self.client_secret):
            raise ApiRefusal("bad_client_secret")
        if args.get("grant_type") == "refresh_token":
            return self.grants.refresh(str(args.get("refresh_token")))
        return self.grants.exchange(str(args.get("code")), str(args.get("redirect_uri")))

    def _let_go(self, token: str, args: Json) -> Json:
        """apps.uninstall: the app leaves a workspace by itself."""
        slack = self.grants.workspace_of(token)
        if slack is None or token not in slack.tokens.grants:
            raise ApiRefusal("invalid_auth")
        if (args.get("client_id"), args.get("client_secret")) != (self.client_id, self.client_secret):
            raise ApiRefusal("bad_client_secret")
        self.uninstall(slack)
        return {}

    def _link(self, token: str) -> str:
        if token != self.app_token:
            raise ApiRefusal("invalid_auth")
        base = self._store.base_url.replace("http", "ws", 1)
        return f"{base}/link/?ticket={self.sockets.new_ticket()}&app_id={self._store.app_id}"

    async def _ask(self, request: web.Request) -> web.Response:
        """The page on which somebody says which workspace the app may come into."""
        if problem := self._problem(dict(request.query)):
            return web.Response(status=400, text=problem)
        given = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in request.query.items()
        )
        buttons = "".join(
            f'<button name="team" value="{team_id}">Allow in {html.escape(slack.store.team_name)}</button>'
            for team_id, slack in self.workspaces.items()
        )
        page = f'<form method="post">{given}{buttons}<button name="team" value="">Cancel</button></form>'
        return web.Response(text=page, content_type="text/html")

    async def _decide(self, request: web.Request) -> web.Response:
        """Send the browser back to the app: with a code, or with `access_denied`."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        if problem := self._problem(form):
            return web.Response(status=400, text=problem)
        answer = {"error": "access_denied"}
        if slack := self.workspaces.get(form.get("team", "")):
            answer = {"code": self.grants.allow(slack, "U0INSTALLER", form["redirect_uri"])}
        raise web.HTTPFound(f"{form['redirect_uri']}?{urlencode({**answer, 'state': form['state']})}")

    def _problem(self, given: Json) -> str | None:
        if given.get("client_id") != self.client_id:
            return "invalid_client_id"
        if given.get("redirect_uri") not in self.redirect_uris:
            return "redirect_uri did not match any configured URIs"
        return None if given.get("scope") and given.get("state") else "missing scope or state"

    async def _serve_file(self, request: web.Request) -> web.StreamResponse:
        slack = self.workspaces.get(request.match_info["team"])
        if slack is None:
            raise web.HTTPNotFound
        return await slack.serve_file(request)

    async def _serve_response(self, request: web.Request) -> web.StreamResponse:
        for slack in self.workspaces.values():
            if slack.interactions.knows(request.match_info["token"]):
                return await slack.serve_response(request)
        raise NotFound("response_url")


def _credentials(request: web.Request) -> tuple[str, str]:
    """Return the client's id and secret, as HTTP's basic authentication carries them."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return (name, secret) if scheme == "Basic" else ("", "")
