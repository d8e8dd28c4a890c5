"""The HTTP server: whether the bot is well, and whatever is mounted beside that."""

from __future__ import annotations

import asyncio
import errno
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable, InvalidSettings
from bot.values import LOCAL_TEAM_ID
from bot.web.errors import errors_as_json

log = structlog.get_logger()

MAX_BODY_BYTES = 4 * 2**20
"""Largest body taken whole: Slack's events and the API's JSON stay far below. Uploads are read piece by piece."""

_HEALTH_TIMEOUT_S = 3.0
_SHUTDOWN_TIMEOUT_S = 10.0
_WHY = {
    errno.EADDRINUSE: "it is taken. Stop the other program, or set HTTP_PORT to a free one (0 picks any)",
    errno.EACCES: "this account may not open it. Set HTTP_PORT to one above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address. Set HTTP_HOST to one it has, such as 127.0.0.1",
}


def make_web_app(sessions: Sessions) -> web.Application:
    """Return an application that serves `/healthz`, and answers every error as JSON."""
    app = web.Application(middlewares=[errors_as_json], client_max_size=MAX_BODY_BYTES)

    async def on_health(_: web.Request) -> web.Response:
        """Say 200 when a transaction can begin, 503 when not: for a balancer, without a key."""
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S), sessions.tenant(LOCAL_TEAM_ID):
                return web.json_response({"status": "ok"})
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("health.failed", error=type(error).__name__)
            return web.json_response({"status": "database unreachable"}, status=503)

    app.router.add_get("/healthz", on_health)
    return app


class WebServer:
    """Serves an application from entering to leaving; requests under way get ten seconds to end.

    `port=0` takes any free one: `url` knows which. Raises InvalidSettings when the address can't be had.
    """

    def __init__(self, app: web.Application, *, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        self._host = host
        self._port = port

    @property
    def url(self) -> str:
        """The server's address, once it is entered: `http://127.0.0.1:3000`."""
        port = self._runner.addresses[0][1]
        return f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"

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
