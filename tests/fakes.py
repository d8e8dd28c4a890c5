"""Stand-ins for services of others. They speak the real protocol over HTTP, so that the real clients are tested."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any

import numpy as np
from aiohttp import web

Reply = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


class FakeOpenAI:
    """A server for chat completions and embeddings on the loopback.

    It answers `text` in pieces, with usage, and embeds texts as fixed random vectors. What is put into `script` goes
    first, one entry a request: see `fails`, `streams`, `hangs` and `embeds`. `requests` holds the bodies that came.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self.text: str | Callable[[list[dict[str, str]]], str] = "Nine o'clock. [1]"
        self.script: deque[Reply] = deque()
        self.requests: list[dict[str, Any]] = []
        self._over = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeOpenAI]:
        """Serve until the block ends; `base_url` is set inside."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
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

    def streams(self, *lines: str, cut: bool = False) -> None:
        """Send these server-sent events for the next request; `cut` drops the connection after the last."""

        async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            response = await _begin_stream(request)
            for line in lines:
                await response.write(f"data: {line}\n\n".encode())
            if cut and request.transport is not None:
                request.transport.close()
            return response

        self.script.append(reply)

    def embeds(self, vectors: Sequence[Sequence[float]], *, indices: Sequence[int] | None = None) -> None:
        """Answer the next embeddings request with exactly these vectors."""

        async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            return web.json_response(_embeddings(vectors, indices or range(len(vectors))))

        self.script.append(reply)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._take(request)
        if self.script:
            return await self.script.popleft()(request, body)
        text = self.text if isinstance(self.text, str) else self.text(body["messages"])
        response = await _begin_stream(request)
        for start in range(0, len(text), 7):
            await _write(response, chunk(text[start : start + 7]))
        await _write(response, chunk(None, finish_reason="stop"))
        await _write(response, usage_chunk(prompt_tokens=100, completion_tokens=20))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await self._take(request)
        if self.script:
            return await self.script.popleft()(request, body)
        vectors = [_vector(text, body.get("dimensions", 1536)) for text in body["input"]]
        return web.json_response(_embeddings(vectors, range(len(vectors))))

    async def _take(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.requests.append(body)
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


def _vector(text: str, dimensions: int) -> list[float]:
    """Return a vector that depends on the text alone; not of unit length."""
    seed = int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    vector: list[float] = (3 * np.random.default_rng(seed).standard_normal(dimensions)).tolist()
    return vector


def _embeddings(vectors: Sequence[Sequence[float]], indices: Sequence[int]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": i, "embedding": list(v)} for i, v in zip(indices, vectors, strict=True)]
    return {"object": "list", "data": data, "model": "fake", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
