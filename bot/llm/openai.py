"""Answers by OpenAI, or by any server that speaks its protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from bot.errors import ModelUnavailable
from bot.llm.breaker import Breaker
from bot.llm.openai_server import OpenAIServer
from bot.text.prompt import NOT_FOUND, Message, build_messages
from bot.text.tokens import count_tokens
from bot.values import Prompt, Usage

MESSAGE_TOKENS = 3
"""What a chat message costs besides its content, by OpenAI's cookbook; the reply's head costs as much."""


@dataclass(slots=True)
class _Said:
    """What has come of an answer: its text, how much of that was passed on, whether it ended, what it cost."""

    text: str = ""
    shown: int = 0
    ended: bool = False
    usage: Usage | None = None

    def rest(self) -> str:
        """Return what wasn't passed on yet, and take it as passed on."""
        rest, self.shown = self.text[self.shown :], len(self.text)
        return rest


class OpenAIChat:
    """Chat completions, streamed.

    `timeout_s` bounds the wait for each piece. A failure isn't tried again here: whoever can wait does it, and frees
    its place meanwhile.
    """

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str | None = None,
        timeout_s: float = 20,
        max_retries: int = 0,
        prompt_budget: int = 12_000,
        breaker: Breaker | None = None,
    ) -> None:
        self.name = model
        self.prompt_budget = prompt_budget
        self._server = OpenAIServer(
            model,
            setting="OPENAI_CHAT_MODEL",
            api_key=api_key,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            breaker=breaker,
        )

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by the model's own encoding; an estimate for models of others."""
        return count_tokens(text, self.name)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        """Yield the answer as it comes, then its Usage; by our count, and marked so, when the server states none.

        No text when the model says that the passages don't hold the answer. Raises ModelUnavailable, also half-way
        through (then after the Usage, if that was stated), InvalidSettings when the key or the model's name is
        refused, InvalidRequest when this prompt is.
        """
        messages = build_messages(prompt, budget=self.prompt_budget, count_tokens=self.count_tokens)
        said = _Said()
        try:
            with self._server.call():
                async with aclosing(self._read(messages, said)) as texts:
                    async for text in texts:
                        yield text
        except ModelUnavailable:
            if said.usage is not None:
                yield said.usage
            raise
        yield said.usage or self._counted(messages, said.text)

    async def problem(self) -> str | None:
        """Return what keeps the model from answering; None when nothing is known to."""
        return await self._server.problem()

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _read(self, messages: Sequence[Message], said: _Said) -> AsyncGenerator[str, None]:
        """Yield the answer's text as far as it is certain to be one, noting in `said` all that comes."""
        chunks: Any = await self._server.client.chat.completions.create(
            model=self.name,
            messages=cast("Any", messages),  # the SDK wants one TypedDict per role
            stream=True,
            stream_options={"include_usage": True},
        )
        async with chunks:
            async for chunk in chunks:
                piece, ends, stated = _read(chunk, self.name)
                said.text, said.ended, said.usage = said.text + piece, said.ended or ends, stated or said.usage
                if piece and not _may_be_not_found(said.text):
                    yield said.rest()
        if not said.ended:
            raise ModelUnavailable(f"{self.name}: the stream ended before the answer did")
        if said.shown < len(said.text) and not _is_not_found(said.text):
            yield said.rest()

    def _counted(self, messages: Sequence[Message], text: str) -> Usage:
        asked = sum(self.count_tokens(message["content"]) + MESSAGE_TOKENS for message in messages) + MESSAGE_TOKENS
        return Usage(self.name, prompt_tokens=asked, completion_tokens=self.count_tokens(text), stated=False)


def _read(chunk: Any, model: str) -> tuple[str, bool, Usage | None]:
    """Return a chunk's text, whether the answer ends with it, and the usage if this chunk states it."""
    try:
        choices, usage = chunk.choices or (), chunk.usage
        text = "".join(choice.delta.content or "" for choice in choices)
        ends = any(choice.finish_reason is not None for choice in choices)
        stated = Usage(model, usage.prompt_tokens, usage.completion_tokens) if usage else None
    except (AttributeError, TypeError) as error:
        raise ValueError("malformed chunk") from error
    return text, ends, stated


def _may_be_not_found(text: str) -> bool:
    """Tell whether what has come so far is, or may yet become, the word for "not found"."""
    said = _bare(text)
    return NOT_FOUND.startswith(said) or said.startswith(NOT_FOUND)


def _is_not_found(text: str) -> bool:
    return not text.strip() or _bare(text).startswith(NOT_FOUND)


def _bare(text: str) -> str:
    return text.lstrip(" \n\t\"'`*")
