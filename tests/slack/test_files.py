"""Downloads: the token goes to Slack's own hosts, and to nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bot.errors import ServiceUnavailable, UnreadableFile
from bot.slack.client import Clients
from bot.slack.files import SlackFiles
from bot.values import SharedFile

TOKEN = "xoxb-secret"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def host(handler: Handler) -> AsyncIterator[str]:
    """Serve everything by one handler; yields the address."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def shared(url: str | None, *, name: str = "a.pdf", mimetype: str = "application/pdf", size: int = 0) -> SharedFile:
    return SharedFile("T1", "F1", name, mimetype, size, "C1", "1.0", "1.0", "U1", url)


@asynccontextmanager
async def files(api_url: str) -> AsyncIterator[SlackFiles]:
    clients = Clients(TOKEN, base_url=api_url)
    try:
        yield SlackFiles(clients, TOKEN, api_url=api_url)
    finally:
        await clients.close()


async def fetched(url: str, *, api: str, **about: object) -> bytes:
    async with files(f"{api}/api/") as slack_files:
        return await slack_files.fetch(shared(url, **about), max_bytes=1000)  # type: ignore[arg-type]


async def test_bytes_come_with_our_token() -> None:
    async def serve(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        return web.Response(body=b"%PDF", content_type="application/pdf")

    async with host(serve) as api:
        assert await fetched(f"{api}/a.pdf", api=api) == b"%PDF"


@pytest.mark.parametrize(
    "url",
    [
        "http://files.slack.com/a",
        "https://files.slack.com.evil.example/a",
        "https://files.slack.com@evil.example/a",
        "https://evil.example/files.slack.com",
        "https://slack.com/a",
        "https://files.slack.com:8443/a",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "//evil.example/a",
        "",
    ],
)
@pytest.mark.parametrize("api_url", ["https://slack.com/api/", "http://127.0.0.1:1/api/"])
async def test_no_other_host_is_asked(url: str, api_url: str) -> None:
    async with files(api_url) as slack_files:
        with pytest.raises(UnreadableFile, match="host not trusted"):
            await slack_files.fetch(shared(url), max_bytes=1000)


async def test_a_redirect_to_a_foreign_host_is_never_followed() -> None:
    asked: list[str] = []

    async def foreign(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"stolen")

    async with host(foreign) as evil:

        async def redirect(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{evil}/take"})

        async with host(redirect) as api:
            with pytest.raises(UnreadableFile, match="host not trusted"):
                await fetched(f"{api}/a.pdf", api=api)

    assert asked == []


async def test_a_redirect_within_the_host_is_followed_three_times_at_most() -> None:
    async def serve(request: web.Request) -> web.Response:
        left = int(request.path[1:])
        return (
            web.Response(body=b"here") if left == 0 else web.Response(status=307, headers={"Location": f"/{left - 1}"})
        )

    async with host(serve) as api:
        assert await fetched(f"{api}/2", api=api) == b"here"
        with pytest.raises(UnreadableFile, match="redirects"):
            await fetched(f"{api}/3", api=api)


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, UnreadableFile), (410, UnreadableFile), (500, ServiceUnavailable), (403, ServiceUnavailable)],
)
async def test_what_isnt_there_is_told_from_what_may_come_back(status: int, error: type[Exception]) -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with host(serve) as api:
        with pytest.raises(error):
            await fetched(f"{api}/a", api=api)


async def test_more_bytes_than_allowed_are_not_read_whatever_slack_said() -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 5000)

    async with host(serve) as api:
        with pytest.raises(UnreadableFile, match="too large"):
            await fetched(f"{api}/a", api=api, size=10)
        with pytest.raises(UnreadableFile, match="too large"):
            await fetched(f"{api}/a", api=api, size=1001)


async def test_a_login_page_is_told_from_a_web_page_somebody_shared() -> None:
    page = b"<!DOCTYPE html><html><title>Sign in</title></html>"

    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=page, content_type="text/html")

    async with host(serve) as api:
        assert await fetched(f"{api}/a", api=api, name="a.html", mimetype="text/html", size=len(page)) == page
        with pytest.raises(UnreadableFile, match="login page"):
            await fetched(f"{api}/a", api=api)
        with pytest.raises(UnreadableFile, match="login page"):
            await fetched(f"{api}/a", api=api, name="a.html", mimetype="text/html", size=10)


async def test_a_host_that_does_not_answer_may_come_back() -> None:
    with pytest.raises(ServiceUnavailable):
        await fetched("http://127.0.0.1:9/a", api="http://127.0.0.1:9")
