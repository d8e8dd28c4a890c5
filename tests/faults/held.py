"""A model that begins its answers and pauses: whoever writes one can be caught in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes import FakeOpenAI, Reply, chunk, usage_chunk


@dataclass(slots=True)
class Held:
    """One answer. It has begun when `begun` is set, and goes on when `go` is."""

    text: str
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_begun(self, *, timeout_s: float = 30) -> None:
        """Return as soon as somebody is being told the first words. Raises TimeoutError."""
        await asyncio.wait_for(self.begun.wait(), timeout_s)


def hold(openai: FakeOpenAI, *texts: str, question: str = "") -> list[Held]:
    """Hold the next answers to a question (any, unless given), one request each: half is said at once, the rest when it may.

    Whoever asks anything else meanwhile, a worker that was woken late say, is answered as ever.
    """
    answers = [Held(text) for text in texts]
    openai.script.extend(_reply_to(openai, held, question) for held in answers)
    return answers


def write_slowly(openai: FakeOpenAI, text: str, *, pause_s: float) -> None:
    """Say this in answer to everything from now on, with a pause half-way: so much of it is always being written."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        held = Held(text)
        asyncio.get_running_loop().call_later(pause_s, held.go.set)
        return await _reply(openai, held)(request, body)

    openai.trouble = lambda path: reply if path.endswith("completions") else None


def _reply_to(openai: FakeOpenAI, held: Held, question: str) -> Reply:
    write = _reply(openai, held)

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if question in body["messages"][-1]["content"]:
            return await write(request, body)
        openai.script.appendleft(reply)
        return await openai.answer(request, body)

    return reply


def _reply(openai: FakeOpenAI, held: Held) -> Reply:
    async def reply(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        middle = len(held.text) // 2
        await _write(response, chunk(held.text[:middle]))
        held.begun.set()
        await _either(held.go, openai._over)  # a server that closes waits for whom it serves
        await _write(response, chunk(held.text[middle:]))
        await _write(response, chunk(None, finish_reason="stop"))
        await _write(response, usage_chunk(prompt_tokens=9, completion_tokens=9))
        await _write(response, "[DONE]")
        return response

    return reply


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _write(response: web.StreamResponse, data: str) -> None:
    with contextlib.suppress(ConnectionError):  # who asked may be dead by now
        await response.write(f"data: {data}\n\n".encode())
