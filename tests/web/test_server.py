from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from bot.errors import (
    AlreadyExists,
    Forbidden,
    InvalidRequest,
    InvalidSettings,
    ModelUnavailable,
    NotFound,
    RecollectError,
    Unauthenticated,
    UnreadableFile,
)
from bot.web.server import WebServer, make_web_app

SECRET = "the inner workings"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def app_with(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    app = make_web_app()
    app.router.add_get("/try", handler)
    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/try", 405, "method_not_allowed")],
)
async def test_an_unknown_address_or_method_is_answered_as_json(method: str, path: str, status: int, name: str) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text="done")

    async with (
        WebServer(app_with(handler), host="127.0.0.1", port=0) as server,
        aiohttp.ClientSession() as http,
        http.request(method, server.url + path) as response,
    ):
        assert response.status == status
        assert (await response.json())["error"] == name
        assert response.headers.get("Allow") == ("GET,HEAD" if status == 405 else None)


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (InvalidRequest(SECRET), 400, "invalid_request"),
        (UnreadableFile(SECRET), 400, "invalid_request"),
        (AlreadyExists(SECRET), 400, "already_exists"),
        (Unauthenticated(SECRET), 401, "unauthenticated"),
        (Forbidden(SECRET), 403, "forbidden"),
        (NotFound(SECRET), 404, "not_found"),
        (ModelUnavailable(SECRET), 503, "service_unavailable"),
        (InvalidSettings(SECRET, user_message=SECRET), 503, "service_unavailable"),
        (RecollectError(SECRET), 500, "internal_error"),
        (ValueError(SECRET), 500, "internal_error"),
    ],
)
async def test_an_error_is_a_name_and_a_sentence_and_its_own_text_stays_inside(
    error: Exception, status: int, name: str
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        raise error

    async with (
        WebServer(app_with(handler), host="127.0.0.1", port=0) as server,
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/try") as response,
    ):
        body = await response.json()

        assert response.status == status
        assert body["error"] == name
        assert body["message"]
        assert SECRET not in await response.text()


async def test_an_unexpected_error_is_logged_under_the_number_that_the_caller_gets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        raise KeyError(SECRET)

    async with (
        WebServer(app_with(handler), host="127.0.0.1", port=0) as server,
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/try") as response,
    ):
        number = (await response.json())["message"].split(": ")[1]

    logged = "".join(capsys.readouterr())
    assert number in logged
    assert SECRET in logged


async def test_a_taken_port_is_named_in_the_error() -> None:
    async with WebServer(make_web_app(), host="127.0.0.1", port=0) as server:
        port = int(server.url.rsplit(":", 1)[1])

        with pytest.raises(InvalidSettings) as caught:
            async with WebServer(make_web_app(), host="127.0.0.1", port=port):
                pass

    assert f"port {port}: it is taken" in caught.value.user_message
    assert "HTTP_PORT" in caught.value.user_message


async def test_an_address_of_another_machine_is_refused_in_words() -> None:
    with pytest.raises(InvalidSettings) as caught:
        async with WebServer(make_web_app(), host="192.0.2.1", port=0):
            pass

    assert "this machine has no such address" in caught.value.user_message


async def test_a_request_under_way_is_answered_before_the_server_closes() -> None:
    started = asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        started.set()
        await asyncio.sleep(0.2)
        return web.Response(text="done")

    async with aiohttp.ClientSession() as http:
        async with WebServer(app_with(handler), host="127.0.0.1", port=0) as server:
            url = f"{server.url}/try"
            request = asyncio.ensure_future(http.get(url))
            await started.wait()

        assert await (await request).text() == "done"
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get(url)


async def test_what_comes_beyond_the_limit_is_sent_away_but_for_questions_of_health() -> None:
    release, started = asyncio.Event(), asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        started.set()
        await release.wait()
        return web.Response(text="done")

    async def on_health(_: web.Request) -> web.StreamResponse:
        return web.Response(text="well")

    app = make_web_app(requests_limit=1)
    app.router.add_get("/try", handler)
    app.router.add_get("/healthz", on_health)
    async with WebServer(app, host="127.0.0.1", port=0) as server, aiohttp.ClientSession() as http:
        first = asyncio.ensure_future(http.get(f"{server.url}/try"))
        await started.wait()
        async with http.get(f"{server.url}/try") as second, http.get(f"{server.url}/healthz") as health:
            assert (second.status, health.status) == (503, 200)
            assert second.headers["Retry-After"]
        release.set()
        assert (await first).status == 200
        async with http.get(f"{server.url}/try") as third:
            assert third.status == 200


async def test_a_server_that_refuses_ends_what_is_under_way_and_takes_nothing_new() -> None:
    release, started = asyncio.Event(), asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        started.set()
        await release.wait()
        return web.Response(text="done")

    async with WebServer(app_with(handler), host="127.0.0.1", port=0) as server, aiohttp.ClientSession() as http:
        first = asyncio.ensure_future(http.get(f"{server.url}/try"))
        await started.wait()
        assert await server.problem() is None
        server.refuse()
        assert await server.problem() == "stopping"
        async with http.get(f"{server.url}/try") as second:
            assert second.status == 503
        release.set()
        assert await (await first).text() == "done"
