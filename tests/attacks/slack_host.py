"""A host of Slack's that serves what it likes in place of the file, and remembers who came with the token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from bot.playground.files import LOGIN_PAGE
from bot.slack.client import Clients
from bot.slack.files import SlackFiles
from bot.values import SharedFile

TOKEN = "xoxb-canary-token"
_SIZE = 5_000
_BODY = b"Words. " * 800


@dataclass(slots=True)
class SlackHost:
    """`serve` gives a file an address; what is asked for with the token but not at a first address counts."""

    address: str = ""
    bodies: dict[str, bytes] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    canary: str = ""

    def shared(self, path: str, *, filename: str, mimetype: str = "application/octet-stream", size: int) -> SharedFile:
        """Return Slack's word of a file at this path."""
        return SharedFile("T1", "F1", filename, mimetype, size, "C1", "1.0", "1.0", "U1", f"{self.address}{path}")

    def serve(self, data: bytes, filename: str) -> SharedFile:
        """Serve these bytes, and return what Slack says of them."""
        self.bodies = {"/file": data}
        return self.shared("/file", filename=filename, size=len(data))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in self.bodies:
            return web.Response(body=self.bodies[request.path], content_type="application/octet-stream")
        if not request.path.startswith("/first") and "Authorization" in request.headers:
            self.tokens.append(request.path)
        return await ANSWERS[request.path.rsplit("/", 1)[-1]](self, request)


@asynccontextmanager
async def slack_host(canary: str) -> AsyncIterator[tuple[SlackHost, SlackFiles]]:
    """Run the host; yields it with the bot's own client of it."""
    host = SlackHost(canary=canary)
    app = web.Application()
    app.router.add_get("/{path:.*}", host.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    clients = Clients(TOKEN, base_url=f"{host.address}/api/")
    try:
        yield host, SlackFiles(clients, api_url=f"{host.address}/api/")
    finally:
        await clients.close()
        await runner.cleanup()


Answer = Callable[[SlackHost, web.Request], Awaitable[web.StreamResponse]]


def _page(body: str, content_type: str) -> Answer:
    async def answer(_: SlackHost, __: web.Request) -> web.Response:
        return web.Response(text=body, content_type=content_type)

    return answer


def _redirect(target: Callable[[SlackHost], str]) -> Answer:
    async def answer(host: SlackHost, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target(host)})

    return answer


async def _endless(_: SlackHost, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(bytes(2**20))
    except ConnectionError:  # who fetches has had enough, as they must
        return response


async def _cut(_: SlackHost, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.force_close()
    await response.prepare(request)
    await response.write(_BODY[:100])
    return response


ANSWERS: dict[str, Answer] = {
    "login": _page(LOGIN_PAGE, "text/html"),
    "login-as-pdf": _page(LOGIN_PAGE, "application/pdf"),
    "login-as-text": _page(f"\ufeff<!-- Slack -->\n{LOGIN_PAGE}", "text/plain"),
    "login-elsewhere": _redirect(lambda host: f"{host.address}/then/login"),
    "redirect-out": _redirect(lambda host: host.canary),
    "redirect-in": _redirect(lambda _: "http://169.254.169.254/latest/meta-data"),
    "redirect-here": _redirect(lambda host: f"{host.address}/then/cut"),
    "redirect-round": _redirect(lambda host: f"{host.address}/then/redirect-round"),
    "endless": _endless,
    "cut": _cut,
}
"""What a host can do to whoever fetches a file: nothing of it is a file."""


def answers(host: SlackHost) -> dict[str, SharedFile]:
    """Return the addresses of all these answers, by name, as Slack would tell of a PDF or a page there."""
    pdf = {
        name: host.shared(f"/first/{name}", filename="a.pdf", mimetype="application/pdf", size=_SIZE)
        for name in ANSWERS
    }
    page = host.shared("/first/login", filename="a.html", mimetype="text/html", size=_SIZE)
    less = host.shared("/first/login", filename="a.pdf", mimetype="application/pdf", size=len(LOGIN_PAGE) // 2)
    return {**pdf, "login-for-a-page": page, "login-for-less": less}
