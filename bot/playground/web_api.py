"""The Web API over HTTP: who calls, what they may, and what is recorded of it."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections import deque
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from bot.playground.call import Backstage, Call, Method, decoded
from bot.playground.faults import Fault, Faults
from bot.playground.manners import Manners
from bot.playground.methods import METHODS
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Json

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call as it arrived: arguments decoded, the token left out. `error` is None when it was done."""

    method: str
    args: Json
    error: str | None = None
    at: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Tokens:
    """The secrets an app needs to be this workspace's; `grants` are more bot tokens, and when each ends, if ever."""

    bot: str
    app: str
    signing_secret: str
    grants: dict[str, float | None] = field(default_factory=dict)

    def kind(self, token: str) -> str:
        """Return whose token this is, "bot" or "app". Raises `invalid_auth`, `token_expired`."""
        if token in (self.bot, self.app):
            return "bot" if token == self.bot else "app"
        if token not in self.grants:
            raise ApiRefusal("invalid_auth")
        ends_at = self.grants[token]
        if ends_at is not None and ends_at < time.monotonic():
            raise ApiRefusal("token_expired")
        return "bot"

    def is_bot(self, token: str) -> bool:
        """Tell whether this is the bot's."""
        try:
            return bool(token) and self.kind(token) == "bot"
        except ApiRefusal:
            return False


class WebApi:
    """Answers POST and GET of /api/METHOD as slack.com does.

    `calls` are the last `calls_kept` that arrived, all of them when that is None.
    """

    def __init__(
        self, backstage: Backstage, tokens: Tokens, faults: Faults, manners: Manners, *, calls_kept: int | None = None
    ) -> None:
        self._backstage = backstage
        self.tokens = tokens
        self._faults = faults
        self._manners = manners
        self.disabled: set[str] = set()
        self.calls: deque[RecordedCall] = deque(maxlen=calls_kept)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        name = request.match_info["method"]
        raw = await _raw_arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or str(raw.get("token") or "")
        channel = str(raw.get("channel") or raw.get("channel_id") or "")
        arrived_at = self._manners.arrived(name, channel)
        args: Json = {}
        try:
            args = decoded(raw)
            method = self._method(name, token)
            if fault := self._faults.take(name, done=False):
                return await self._fail(request, name, args, fault)
            body = self._run(method, args)
        except ApiRefusal as refusal:
            return self._refuse(name, args, refusal)
        self._record(name, args, None)
        self._manners.posted(name, channel, at=arrived_at)
        if fault := self._faults.take(name, done=True):
            return await self._answer_badly(request, fault, body)
        return self._reply({"ok": True, **body})

    def _method(self, name: str, token: str) -> Method:
        if name in self.disabled or name not in METHODS:
            raise ApiRefusal("unknown_method", req_method=name)
        method = METHODS[name]
        self._check_token(method, token)
        return method

    def _run(self, method: Method, args: Json) -> Json:
        call = Call(args, self._backstage)
        if method.scope and method.scope != "connections:write":
            call.need(method.scope)
        return method.run(call)

    async def _fail(self, request: web.Request, name: str, args: Json, fault: Fault) -> web.StreamResponse:
        """Answer a call of which nothing was done."""
        if fault.refusal is not None:
            await asyncio.sleep(fault.hang_s)
            return self._refuse(name, args, fault.refusal)
        self._record(name, args, fault.name)
        return await self._answer_badly(request, fault, {})

    async def _answer_badly(self, request: web.Request, fault: Fault, body: Json) -> web.StreamResponse:
        await asyncio.sleep(fault.hang_s)
        if fault.cut and request.transport is not None:
            request.transport.close()
        if fault.page is not None:
            return web.Response(text=fault.page, content_type="text/html")
        return self._reply({"ok": True, **body})

    def _refuse(self, name: str, args: Json, refusal: ApiRefusal) -> web.Response:
        self._record(name, args, refusal.error)
        if wait := refusal.headers.get("Retry-After"):
            channel = str(args.get("channel") or args.get("channel_id") or "")
            self._manners.told_to_wait(name, channel, retry_after_s=float(wait))
        return self._reply(refusal.body(), status=refusal.status, headers=refusal.headers)

    def _check_token(self, method: Method, token: str) -> None:
        if method.token == "any":  # noqa: S105 - a kind of token, not one
            return
        if not token:
            raise ApiRefusal("not_authed")
        kind = self.tokens.kind(token)
        if kind == "bot" and not self._backstage.workspace.store.is_installed:
            raise ApiRefusal("account_inactive")
        if kind != method.token:
            raise ApiRefusal("not_allowed_token_type")

    def _record(self, name: str, args: Json, error: str | None) -> None:
        if self.calls.maxlen != 0:
            self.calls.append(RecordedCall(name, copy.deepcopy(args), error))
        if error is not None:
            log.debug("playground.refused", method=name, error=error)

    def _reply(self, body: Json, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        scopes = ",".join(sorted(self._backstage.scopes))
        sent = {"x-oauth-scopes": scopes, **(headers or {})}
        return web.json_response(body, status=status, headers=sent)


async def _raw_arguments(request: web.Request) -> Json:
    """Merge the query, the form and the JSON body of a call: clients use any of them."""
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            body = {}
        args |= body if isinstance(body, dict) else {}
    elif request.method == "POST":
        args |= {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    return args
