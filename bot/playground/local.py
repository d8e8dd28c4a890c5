"""A Slack on this machine: one object, one port."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Self

from aiohttp import web

from bot.playground.call import Backstage
from bot.playground.delivery import Deliveries
from bot.playground.events import Events
from bot.playground.faults import Faults
from bot.playground.files import Uploads, download
from bot.playground.hands import Hands
from bot.playground.http_events import HttpTransport
from bot.playground.installed import BOT_SCOPES, COMMANDS, SUBSCRIPTIONS
from bot.playground.interactions import Interactions
from bot.playground.limits import PostLimiter
from bot.playground.manners import Manners
from bot.playground.page import LOOPBACK, Page
from bot.playground.refusal import ApiRefusal
from bot.playground.sockets import Sockets
from bot.playground.state import Store
from bot.playground.watch import Watchers
from bot.playground.web_api import RecordedCall, Tokens, WebApi
from bot.playground.workspace import Workspace
from bot.values import LOCAL_TEAM_ID

MAX_REQUEST_BYTES = 512 * 2**20


class LocalSlack(Hands):
    """A workspace with one app in it, served over HTTP and WebSockets.

    It lives between `start()` and `close()`, or in an `async with`. `port` 0 takes a free one. Users and channels
    may be added before it starts. Scopes and subscriptions are the manifest's unless given. `posts_per_second` None lets
    the app post as fast as it can. Of calls and deliveries the last `history_kept` are remembered, all when it is None.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        team_id: str = LOCAL_TEAM_ID,
        bot_name: str = "Recollect",
        commands: Mapping[str, str] | Sequence[str] = COMMANDS,
        scopes: Iterable[str] = BOT_SCOPES,
        subscriptions: Iterable[str] = SUBSCRIPTIONS,
        home_tab: bool = False,
        posts_per_second: float | None = 1.0,
        post_burst: int = 1,
        history_kept: int | None = None,
    ) -> None:
        store = Store(team_id=team_id, bot_name=bot_name)
        events, watchers = Events(store), Watchers()
        self.sockets = Sockets(store, lambda count: watchers.tell("app", connected=count > 0))
        deliveries = Deliveries(store, events, self.sockets, subscriptions, kept=history_kept)
        workspace = Workspace(store, events, deliveries, watchers)
        super().__init__(workspace, Interactions(workspace), commands=commands)
        tokens = Tokens(_bot_token(), f"xapp-{secrets.token_hex(12)}", secrets.token_hex(16))
        self.faults, self.manners = Faults(), Manners()
        self.limiter = PostLimiter(posts_per_second, burst=post_burst)
        self.scopes = set(scopes)
        self._uploads = Uploads(store)
        backstage = Backstage(workspace, self.sockets, self._uploads, self.interactions, self.limiter, self.scopes)
        self.web_api = WebApi(backstage, tokens, self.faults, self.manners, calls_kept=history_kept)
        self._host, self._port = host, port
        self._page = Page(self, home_tab=home_tab, is_connected=self._is_connected, loopback_only=host in LOOPBACK)
        self._runner: web.AppRunner | None = None
        self._http: HttpTransport | None = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where people open the page; known once started."""
        return f"{self.store.base_url}/"

    @property
    def api_url(self) -> str:
        """What an SDK takes as its base URL, with the slash it needs at the end."""
        return f"{self.store.base_url}/api/"

    @property
    def bot_token(self) -> str:
        """The app's `xoxb-` token."""
        return self.tokens.bot

    @property
    def app_token(self) -> str:
        """The app's `xapp-` token, for Socket Mode."""
        return self.tokens.app

    @property
    def signing_secret(self) -> str:
        """What HTTP deliveries are signed with."""
        return self.tokens.signing_secret

    @property
    def tokens(self) -> Tokens:
        """The secrets the app has now."""
        return self.web_api.tokens

    @property
    def calls(self) -> Sequence[RecordedCall]:
        """The Web API calls that arrived, oldest first."""
        return self.web_api.calls

    async def start(self) -> Self:
        """Listen; from here on the addresses are known. Returns itself."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        shown = "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host  # noqa: S104 - compared, not bound
        self.store.base_url = f"http://{shown}:{port}"
        return self

    async def close(self) -> None:
        """Stop listening and give up what was on its way. Closing twice is nothing."""
        await self.workspace.deliveries.close()
        await self.sockets.cut()
        await self._page.close()
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def disable(self, *methods: str) -> None:
        """Make these Web API methods unknown, as on a server or plan that lacks them."""
        self.web_api.disabled.update(methods)

    def enable(self, *methods: str) -> None:
        """Undo `disable`."""
        self.web_api.disabled.difference_update(methods)

    def install(self) -> None:
        """Install the app again after `uninstall`, with a bot token of a new installation; the old one stays dead."""
        self.web_api.tokens = replace(self.tokens, bot=_bot_token())
        self.store.is_installed = True

    async def deliver_over_http(self, url: str) -> HttpTransport:
        """From now on post events, commands and interactions to this URL, signed, instead of Socket Mode."""
        if self._http is not None:
            await self._http.close()
        self._http = HttpTransport(url, self.signing_secret)
        self.workspace.deliveries.transport = self._http
        return self._http

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.route("*", "/api/{method}", self.web_api.serve),
            web.get("/link/", self.sockets.serve),
            web.post("/upload/v1/{ticket}", self._uploads.receive),
            web.get(r"/files-pri/{team}-{file_id:F\w+}/{name}", self.serve_file),
            web.get(r"/files-pri/{team}-{file_id:F\w+}/download/{name}", self.serve_file),
            web.post("/response/{token}", self.serve_response),
            *self._page.routes(),
        ]

    def _is_connected(self) -> bool:
        return self._http is not None or self.sockets.connection_count > 0

    async def serve_file(self, request: web.Request) -> web.Response:
        """Answer a download."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        is_bot = scheme == "Bearer" and self.tokens.is_bot(token)
        return download(request, self.store, may_read=is_bot and "files:read" in self.scopes)

    async def serve_response(self, request: web.Request) -> web.Response:
        """Answer what the app posts to a response URL."""
        try:
            body = json.loads(await request.text())
            self.interactions.respond_to(request.match_info["token"], body)
        except ApiRefusal as refusal:
            return web.json_response(refusal.body(), status=refusal.status if refusal.status != 200 else 400)  # noqa: PLR2004
        except ValueError:
            return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
        return web.Response(text="ok")


def _bot_token() -> str:
    return f"xoxb-{secrets.token_hex(12)}"
