"""Downloads: the token goes to Slack's own hosts, and to nobody else."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

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
        yield SlackFiles(clients, api_url=api_url)
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
        "https://files.slack.com:99999/a",
        "https://[::1/a",
        "https://token@files.slack.com/a",
        "https://evil.example\\@files.slack.com/a",
        "https://files.slack.com\\@evil.example/a",
        "https://files.slack.com./a",
        "https://files.slack.com%2eevil.example/a",
        "https://acme.slack.com/a",
        "http://127.0.0.1:2/a",
        "http://[::1]:1/a",
        "http://10.0.0.1/a",
        "https://192.168.1.1/a",
        "ftp://files.slack.com/a",
        "javascript:alert(1)",
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


async def test_the_token_goes_to_the_first_address_alone() -> None:
    seen: list[tuple[str, str | None]] = []

    async def serve(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization")))
        if request.path == "/a":
            return web.Response(status=302, headers={"Location": "/b"})
        return web.Response(body=b"here")

    async with host(serve) as api:
        assert await fetched(f"{api}/a", api=api) == b"here"

    assert seen == [("/a", f"Bearer {TOKEN}"), ("/b", None)]


@pytest.mark.parametrize(
    "location", ["https://slack.com/signin", "https://acme.slack.com/?redir=%2Ffiles-pri", "/signin"]
)
async def test_a_way_to_slacks_login_is_a_missing_scope(location: str) -> None:
    async def serve(request: web.Request) -> web.Response:
        if request.path == "/signin":
            return web.Response(text="<html><form>", content_type="text/html")
        return web.Response(status=302, headers={"Location": location})

    async with host(serve) as api:
        with pytest.raises(UnreadableFile, match="login page") as caught:
            await fetched(f"{api}/a", api=api)

    assert "files:read" in caught.value.user_message


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://[",
        "http://10.0.0.1/",
        "//evil.example/a",
        "ftp://files.slack.com/a",
        "https://slack.com.evil.example",
    ],
)
async def test_a_redirect_that_leads_nowhere_or_elsewhere_ends_there(location: str) -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    async with host(serve) as api:
        with pytest.raises(UnreadableFile, match=r"host not trusted|redirects"):
            await fetched(f"{api}/a", api=api)


PAGE = b"<!DOCTYPE html><html><title>Sign in</title></html>"


@pytest.mark.parametrize(
    ("body", "served_as", "about"),
    [
        (PAGE, "application/pdf", {"size": 9000}),
        (PAGE, "text/html", {"size": len(PAGE)}),
        (
            b"\xef\xbb\xbf <!-- Slack -->\n" + PAGE,
            "text/plain",
            {"size": 9000, "name": "a.txt", "mimetype": "text/plain"},
        ),
        (b"<?xml version='1.0'?>" + PAGE, "application/octet-stream", {"size": 0, "name": "a", "mimetype": ""}),
        (b"Please sign in.", "text/html", {"size": 15, "name": "a.docx", "mimetype": "application/msword"}),
        (PAGE, "text/html", {"size": 0, "name": "a.html", "mimetype": "text/html"}),
    ],
)
async def test_a_login_page_is_known_by_its_type_its_look_and_its_size(
    body: bytes, served_as: str, about: dict[str, Any]
) -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=served_as)

    async with host(serve) as api, files(f"{api}/api/") as slack_files:
        with pytest.raises(UnreadableFile, match="login page") as caught:
            await slack_files.fetch(shared(f"{api}/a", **about), max_bytes=10_000)

    assert "files:read" in caught.value.user_message


async def test_a_page_that_was_saved_as_a_word_file_is_that_file() -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=PAGE, content_type="application/msword")

    async with host(serve) as api:
        about = {"name": "a.doc", "mimetype": "application/msword", "size": len(PAGE)}
        assert await fetched(f"{api}/a", api=api, **about) == PAGE


@pytest.mark.parametrize(
    ("name", "mimetype", "sentence"),
    [
        ("a.png", "image/png", "This is a picture"),
        ("a.jpg", "IMAGE/JPEG", "This is a picture"),
        ("a.mp4", "video/mp4", "This is a sound or video recording"),
        ("a.mp3", "audio/mpeg", "This is a sound or video recording"),
    ],
)
async def test_a_type_we_never_read_is_not_asked_for(name: str, mimetype: str, sentence: str) -> None:
    asked: list[str] = []

    async def serve(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"x")

    async with host(serve) as api:
        with pytest.raises(UnreadableFile) as caught:
            await fetched(f"{api}/a", api=api, name=name, mimetype=mimetype)
        assert await fetched(f"{api}/ts", api=api, name="a.ts", mimetype="video/mp2t") == b"x"
        assert await fetched(f"{api}/svg", api=api, name="a.svg", mimetype="image/svg+xml") == b"x"

    assert caught.value.user_message.startswith(sentence)
    assert asked == ["/ts", "/svg"]


@dataclass
class Raw:
    """A host that says what it likes: its answer, then it hangs or closes. `sent` counts bytes of the body."""

    head: bytes
    body: bytes = b""
    endless: bool = False
    hangs: bool = False
    received: bytearray = field(default_factory=bytearray)
    sent: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.received += await reader.read(2**16)
            writer.write(self.head)
            await self._send(writer, self.body)
            while self.endless:
                await self._send(writer, b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            if self.hangs:
                await reader.read()
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n"


async def test_a_declared_length_over_the_limit_is_not_waited_for() -> None:
    async with Raw(OK + b"Content-Length: 1000000000000\r\n\r\n", hangs=True).running() as api:
        async with asyncio.timeout(5):
            with pytest.raises(UnreadableFile, match="too large"):
                await fetched(f"{api}/a", api=api, size=10)


async def test_a_stream_without_end_is_cut_at_the_limit() -> None:
    raw = Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", endless=True)
    async with raw.running() as api, asyncio.timeout(10):
        with pytest.raises(UnreadableFile, match="too large"):
            await fetched(f"{api}/a", api=api, size=10)

    assert raw.sent < 20 * 2**20, "what the kernel holds on the way"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 5\r\n\r\n", b"%PDF-1.4 and more"),
        (b"Content-Length: 100\r\n\r\n", b"%PDF-"),
        (b"Connection: close\r\n\r\n", b"%PDF-"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\n%PDF-\r\n"),
        (b"Content-Length: rubbish\r\n\r\n", b"%PDF-"),
    ],
)
async def test_less_than_slack_said_is_asked_for_again(head: bytes, body: bytes) -> None:
    async with Raw(OK + head, body).running() as api:
        with pytest.raises(ServiceUnavailable):
            await fetched(f"{api}/a", api=api, size=100)


async def test_what_is_packed_once_more_counts_unpacked() -> None:
    asked: list[str | None] = []

    async def serve(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Accept-Encoding"))
        return web.Response(body=gzip.compress(bytes(2**20)), headers={"Content-Encoding": "gzip"})

    async with host(serve) as api:
        with pytest.raises(UnreadableFile, match="too large"):
            await fetched(f"{api}/a", api=api)

    assert asked == ["identity"]


class Elsewhere(AbstractResolver):
    """A name server that has been lied to: every name is at a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=self._port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        return None


async def test_a_host_that_poses_as_slacks_hears_a_greeting_of_tls_and_no_token() -> None:
    raw = Raw(OK + b"Content-Length: 4\r\n\r\n%PDF")
    async with raw.running() as address, files("https://slack.com/api/") as slack_files:
        elsewhere = aiohttp.TCPConnector(resolver=Elsewhere(int(address.rsplit(":", 1)[1])))
        async with aiohttp.ClientSession(connector=elsewhere) as session:
            slack_files._downloads._session = session
            with pytest.raises(ServiceUnavailable):
                await slack_files.fetch(shared("https://files.slack.com/a"), max_bytes=1000)

    assert raw.received[:1] == b"\x16", "a TLS handshake"
    assert TOKEN.encode() not in raw.received
