"""Stand-ins for services of others. They speak the real protocol over HTTP, so that the real clients are tested."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from aiohttp import web

Reply = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


REQUESTS_KEPT = 10_000


@dataclass(slots=True)
class Tally:
    """What a server said its answers cost."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        self.calls += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens


class FakeOpenAI:
    """A server for chat completions and embeddings on the loopback.

    It answers `text` in pieces, with usage, and embeds texts as fixed random vectors. What is put into `script` goes
    first, one entry a request: see `fails`, `streams`, `hangs` and `embeds`. Then `trouble` is asked, by path, whether
    something is to go wrong with this request. `requests` holds the last bodies that came, `arrivals` when and where;
    `chat_reported` and `embedding_reported` sum up the usage that was stated.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self.text: str | Callable[[list[dict[str, str]]], str] = "Nine o'clock. [1]"
        self.cost: Callable[[list[dict[str, str]], str], tuple[int, int]] = lambda *_: (100, 20)
        self.vector: Callable[[str, int], list[float]] = random_vector
        self.script: deque[Reply] = deque()
        self.trouble: Callable[[str], Reply | None] = lambda _: None
        self.requests: list[dict[str, Any]] = []
        self.arrivals: deque[tuple[float, str]] = deque(maxlen=REQUESTS_KEPT)
        self.chat_reported = Tally()
        self.embedding_reported = Tally()
        self._over = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeOpenAI]:
        """Serve until the block ends; `base_url` is set inside."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            self._over.set()
            await runner.cleanup()

    def fails(self, status: int, *, code: str | None = None, times: int = 1) -> None:
        """Refuse the next requests; 429 and 5xx ask the client to come again at once."""

        async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            error = {"error": {"message": "no", "type": "error", "code": code, "param": None}}
            return web.json_response(error, status=status, headers={"retry-after-ms": "1"})

        self.script.extend([reply] * times)

    def hangs(self, *, times: int = 1) -> None:
        """Keep the next requests waiting until the server stops."""

        async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            await self._over.wait()
            return web.Response(status=500)

        self.script.extend([reply] * times)

    def streams(self, *lines: str, cut: bool = False, stall: bool = False) -> None:
        """Send these server-sent events for the next request; after the last, `cut` drops the connection, `stall` waits."""

        async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            response = await _begin_stream(request)
            for line in lines:
                await response.write(f"data: {line}\n\n".encode())
            if cut and request.transport is not None:
                request.transport.close()
            if stall:
                await self._over.wait()
            return response

        self.script.append(reply)

    def embeds(self, vectors: Sequence[Sequence[float]], *, indices: Sequence[int] | None = None) -> None:
        """Answer the next embeddings request with exactly these vectors."""

        async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            return web.json_response(_embeddings(vectors, indices or range(len(vectors))))

        self.script.append(reply)

    async def answer(self, request: web.Request, body: dict[str, Any], *, cut: bool = False) -> web.StreamResponse:
        """Stream `text` and what it cost; `cut` breaks the connection half-way, before anything is said of the cost."""
        text = self.text if isinstance(self.text, str) else self.text(body["messages"])
        pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
        response = await _begin_stream(request)
        for piece in pieces[: len(pieces) // 2] if cut else pieces:
            await _write(response, chunk(piece))
        if cut:
            if request.transport is not None:
                request.transport.close()
            return response
        prompt_tokens, completion_tokens = self.cost(body["messages"], text)
        await _write(response, chunk(None, finish_reason="stop"))
        await _write(response, usage_chunk(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens))
        self.chat_reported.add(prompt_tokens, completion_tokens)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._take(request)
        reply = self._scripted(request)
        return await (reply(request, body) if reply else self.answer(request, body))

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await self._take(request)
        if reply := self._scripted(request):
            return await reply(request, body)
        vectors = [self.vector(text, body.get("dimensions", 1536)) for text in body["input"]]
        tokens = sum(len(text.split()) for text in body["input"])
        self.embedding_reported.add(tokens, 0)
        return web.json_response(_embeddings(vectors, range(len(vectors)), tokens=tokens))

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if reply := self.trouble(request.path):
            return await reply(request, {})
        return web.json_response({"object": "list", "data": []})

    def _scripted(self, request: web.Request) -> Reply | None:
        return self.script.popleft() if self.script else self.trouble(request.path)

    async def _take(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.requests.append(body)
        self.arrivals.append((time.monotonic(), request.path))
        if len(self.requests) > 2 * REQUESTS_KEPT:
            del self.requests[:REQUESTS_KEPT]
        return body


def chunk(content: str | None, *, finish_reason: str | None = None) -> str:
    """Return one piece of a streamed completion as JSON."""
    delta = {} if content is None else {"role": "assistant", "content": content}
    return _chunk([{"index": 0, "delta": delta, "finish_reason": finish_reason}], None)


def usage_chunk(*, prompt_tokens: int, completion_tokens: int) -> str:
    """Return the last piece of a streamed completion, which states what it cost."""
    total = prompt_tokens + completion_tokens
    return _chunk([], {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total})


def _chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None) -> str:
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "fake",
            "choices": choices,
            "usage": usage,
        }
    )


async def _begin_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    return response


async def _write(response: web.StreamResponse, data: str) -> None:
    await response.write(f"data: {data}\n\n".encode())


def random_vector(text: str, dimensions: int) -> list[float]:
    """Return a vector that depends on the text alone; not of unit length."""
    seed = int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    vector: list[float] = (3 * np.random.default_rng(seed).standard_normal(dimensions)).tolist()
    return vector


def word_vector(text: str, dimensions: int) -> list[float]:
    """Return a vector that is near those of texts with the same words."""
    words = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    vectors = [_of_word(word, dimensions) for word in words] or [_of_word("", dimensions)]
    vector: list[float] = np.sum(vectors, axis=0).tolist()
    return vector


@lru_cache(maxsize=2000)
def _of_word(word: str, dimensions: int) -> np.ndarray:
    return np.array(random_vector(word, dimensions))


def _embeddings(vectors: Sequence[Sequence[float]], indices: Sequence[int], *, tokens: int = 1) -> dict[str, Any]:
    data = [{"object": "embedding", "index": i, "embedding": list(v)} for i, v in zip(indices, vectors, strict=True)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": "fake", "usage": usage}
