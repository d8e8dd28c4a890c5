"""What goes wrong with a model: late, refused, broken off half-way, not JSON. Each is a reply of `FakeOpenAI`."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from tests.fakes import FakeOpenAI, Reply, chunk, word_vector
from tests.faults.load import HANDBOOK

CHAT, EMBEDDINGS, MODELS = "/v1/chat/completions", "/v1/embeddings", "/v1/models"

NO_JSON = "<html>upstream connect error</html>"


def knows_handbook(openai: FakeOpenAI) -> None:
    """Have it answer with sentences of the handbook, at a cost that differs from question to question."""
    sentences = [line for line in HANDBOOK.splitlines() if line.endswith(".")]
    openai.vector = word_vector
    openai.text = lambda messages: f"{sentences[len(str(messages)) % len(sentences)]} [1]"
    openai.cost = lambda messages, text: (sum(len(m["content"].split()) for m in messages), len(text.split()))


def thinks(openai: FakeOpenAI, seconds: float) -> Reply:
    """An answer that takes its time, as all do."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await openai.answer(request, body)

    return reply


def refuses(status: int, *, retry_after_s: int | None = None) -> Reply:
    """An error as OpenAI words it; with how long to keep away, where it says so."""
    headers = {"retry-after": str(retry_after_s)} if retry_after_s is not None else {}

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        error = {"error": {"message": "no", "type": "error", "code": None, "param": None}}
        return web.json_response(error, status=status, headers=headers)

    return reply


def hangs(seconds: float) -> Reply:
    """Nothing for so long, and then a broken connection."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return _broken(request)

    return reply


def breaks() -> Reply:
    """A connection that is closed without an answer."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return _broken(request)

    return reply


def says_no_json() -> Reply:
    """Status 200 and a page that some proxy made up."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(text=NO_JSON, content_type="application/json")

    return reply


def cuts(openai: FakeOpenAI) -> Reply:
    """The first half of an answer, then a broken connection, and not a word of what it cost."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await openai.answer(request, body, cut=True)

    return reply


def garbles() -> Reply:
    """A stream that begins well and goes on with what is no JSON."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for data in (chunk("The harbour "), '{"choices": [{"delta": {"conte'):
            await response.write(f"data: {data}\n\n".encode())
        return response

    return reply


class Trouble:
    """Chooses, by dice of its own, what goes wrong with a request; `happened` counts by path and name.

    `odds` are replies by path and name, each with its probability.
    """

    def __init__(self, odds: Mapping[str, Mapping[str, tuple[float, Reply]]], *, seed: int) -> None:
        self.happened: Counter[tuple[str, str]] = Counter()
        self._odds = odds
        self._dice = random.Random(seed)

    def __call__(self, path: str) -> Reply | None:
        """Return what goes wrong with this request, None when nothing does."""
        throw = self._dice.random()
        for name, (probability, reply) in self._odds.get(path, {}).items():
            throw -= probability
            if throw < 0:
                self.happened[path, name] += 1
                return reply
        return None


def down(*paths: str, status: int = 503) -> Callable[[str], Reply | None]:
    """Refuse every request for these paths."""
    refusal = refuses(status)
    return lambda path: refusal if path in paths else None


def _broken(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)
