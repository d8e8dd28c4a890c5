"""The health of a model's server, and what its refusals mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bot.errors import ModelUnavailable
from bot.llm import openai_server
from bot.llm.breaker import Breaker
from bot.llm.openai_server import OpenAIServer


def connected(base_url: str, *, breaker: Breaker | None = None, timeout_s: float = 5) -> OpenAIServer:
    return OpenAIServer(
        "m",
        setting="OPENAI_CHAT_MODEL",
        api_key="k",
        base_url=base_url,
        timeout_s=timeout_s,
        max_retries=0,
        breaker=breaker,
    )


class Models:
    """A server that answers GET /models with `status`, after `wait_s`; `asked` counts."""

    def __init__(self) -> None:
        self.status, self.wait_s, self.asked, self.headers = 200, 0.0, 0, dict[str, str]()

    async def reply(self, _: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.sleep(self.wait_s)
        if self.status == 200:
            return web.json_response({"object": "list", "data": []})
        return web.json_response({"error": {"message": "no"}}, status=self.status, headers=self.headers)


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
async def server(models: Models) -> AsyncIterator[OpenAIServer]:
    app = web.Application()
    app.router.add_get("/v1/models", models.reply)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server = connected(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    yield server
    await server.close()
    await runner.cleanup()


@pytest.mark.parametrize("status", [200, 401, 404, 429])
async def test_a_server_that_answers_anything_below_500_is_there(
    server: OpenAIServer, models: Models, status: int
) -> None:
    models.status = status

    assert await server.problem() is None


async def test_a_server_in_trouble_says_so(server: OpenAIServer, models: Models) -> None:
    models.status = 503

    assert await server.problem() == "m answers HTTP 503"


async def test_a_server_that_is_not_there_is_named() -> None:
    server = connected("http://127.0.0.1:9/v1")

    assert await server.problem() == "m can't be reached"
    await server.close()


async def test_nobody_waits_long_for_the_word_of_a_silent_server(
    server: OpenAIServer, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_server, "HEALTH_TIMEOUT_S", 0.1)
    models.wait_s = 3

    assert await asyncio.wait_for(server.problem(), 2) == "m can't be reached"


async def test_the_word_holds_for_a_while(
    server: OpenAIServer, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.problem()
    models.status = 503
    assert await server.problem() is None
    assert models.asked == 1

    monkeypatch.setattr(openai_server, "HEALTH_AGE_S", 0)

    assert await server.problem() is not None


async def test_a_model_left_alone_is_not_asked_until_a_call_may_be_made_again(
    server: OpenAIServer, models: Models
) -> None:
    breaker = Breaker("m", failures=1, rest_s=0.2)
    resting = connected(str(server.client.base_url), breaker=breaker)
    with pytest.raises(ModelUnavailable), resting.call():
        raise TimeoutError

    sentence = await resting.problem()
    asked = models.asked
    await asyncio.sleep(0.2)

    assert sentence is not None
    assert "failed several times in a row" in sentence
    assert asked == 0
    assert await resting.problem() is None, "else nothing would call it, and it would stay so"
    await resting.close()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
async def test_how_long_to_stay_away_is_the_servers_word(
    server: OpenAIServer, models: Models, headers: dict[str, str], seconds: float | None
) -> None:
    models.status, models.headers = 429, headers
    started = time.monotonic()

    with pytest.raises(ModelUnavailable) as raised, server.call():
        await server.client.models.list()

    assert raised.value.retry_after_s == seconds
    assert "busy" in raised.value.user_message
    assert time.monotonic() - started < 1
