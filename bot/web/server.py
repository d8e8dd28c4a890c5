"""The HTTP server: what is mounted on it is answered, as long as there is room."""

from __future__ import annotations

import asyncio
import errno
from types import TracebackType
from typing import Self

from aiohttp import web

from bot.errors import InvalidSettings
from bot.web.errors import Handler, errors_as_json
from bot.web.health import HEALTH_PATHS

MAX_BODY_BYTES = 4 * 2**20
"""Largest body taken whole: Slack's events and the API's JSON stay far below. Uploads are read piece by piece."""

REQUESTS_LIMIT = 1_000
"""Requests worked on at once. What waits for a database that is away must not fill the memory."""

_SHUTDOWN_TIMEOUT_S = 2.0
_REFUSING = web.AppKey("refusing", asyncio.Event)
_WHY = {
    errno.EADDRINUSE: "it is taken. Stop the other program, or set HTTP_PORT to a free one (0 picks any)",
    errno.EACCES: "this account may not open it. Set HTTP_PORT to one above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address. Set HTTP_HOST to one it has, such as 127.0.0.1",
}


def make_web_app(*, requests_limit: int = REQUESTS_LIMIT) -> web.Application:
    """Return an application that answers every error as JSON, and 503 to what comes beyond `requests_limit`."""
    under_way = 0

    @web.middleware
    async def refuse_some(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal under_way
        if request.path in HEALTH_PATHS:
            return await handler(request)
        if under_way >= requests_limit or request.app[_REFUSING].is_set():
            raise web.HTTPServiceUnavailable
        under_way += 1
        try:
            return await handler(request)
        finally:
            under_way -= 1

    app = web.Application(middlewares=[errors_as_json, refuse_some], client_max_size=MAX_BODY_BYTES)
    app[_REFUSING] = asyncio.Event()
    return app


class WebServer:
    """Serves an application from entering to leaving; requests under way get two seconds to end.

    `port=0` takes any free one: `url` knows which. Raises InvalidSettings when the address can't be had.
    """

    def __init__(self, app: web.Application, *, host: str, port: int) -> None:
        self._refusing = app[_REFUSING]
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        self._host = host
        self._port = port

    @property
    def url(self) -> str:
        """The server's address, once it is entered: `http://127.0.0.1:3000`."""
        port = self._runner.addresses[0][1]
        return f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"

    def refuse(self) -> None:
        """From now on answer 503 to all but questions for health: Slack, and a balancer, then ask another process."""
        self._refusing.set()

    async def problem(self) -> str | None:
        """Return why nothing is taken on any more, None while it is."""
        return "stopping" if self._refusing.is_set() else None

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise _unavailable(self._host, self._port, error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()


def _unavailable(host: str, port: int, error: OSError) -> InvalidSettings:
    why = _WHY.get(error.errno or 0, "the system refuses it. Check HTTP_HOST and HTTP_PORT")
    return InvalidSettings(f"listen: {error}", user_message=f"I can't listen on {host}, port {port}: {why}.")
