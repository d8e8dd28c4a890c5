"""OpenAI, or any server that speaks its protocol. The only module that knows the SDK; its errors end here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import openai
from openai import AsyncOpenAI

from bot.errors import InvalidSettings, ModelUnavailable, RecollectError
from bot.text.prompt import NOT_FOUND, Message, build_messages
from bot.text.tokens import count_tokens, cut
from bot.values import Prompt, Usage, Vector

DEFAULT_BASE_URL = "https://api.openai.com/v1"

MAX_INPUTS = 2_048
MAX_REQUEST_TOKENS = 300_000
MAX_INPUT_TOKENS = 8_191
"""Limits of one embeddings request and of one input, by OpenAI's API reference."""

MESSAGE_TOKENS = 3
"""What a chat message costs besides its content, by OpenAI's cookbook; the reply's head costs as much."""


class OpenAIChat:
    """Chat completions, streamed.

    `timeout_s` bounds the wait for each piece; the SDK itself tries again after 429, 5xx and lost connections,
    `max_retries` times, as long as nothing has come.
    """

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str | None = None,
        timeout_s: float = 60,
        max_retries: int = 2,
        prompt_budget: int = 12_000,
    ) -> None:
        self.name = model
        self.prompt_budget = prompt_budget
        self._client = _client(api_key, base_url, timeout_s, max_retries)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by the model's own encoding; an estimate for models of others."""
        return count_tokens(text, self.name)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str | Usage]:
        """Yield the answer as it comes, then its Usage; by our count when the server states none.

        No text when the model says that the passages don't hold the answer. Raises ModelUnavailable, also half-way
        through, and InvalidSettings when the key or the model's name is refused.
        """
        messages = build_messages(prompt, budget=self.prompt_budget, count_tokens=self.count_tokens)
        usage: Usage | None = None
        text, shown, finished = "", 0, False
        with _translated(self.name, "OPENAI_CHAT_MODEL"):
            chunks: Any = await self._client.chat.completions.create(
                model=self.name,
                messages=cast("Any", messages),  # the SDK wants one TypedDict per role
                stream=True,
                stream_options={"include_usage": True},
            )
            async with chunks:
                async for chunk in chunks:
                    piece, ends, stated = _read(chunk, self.name)
                    text, finished, usage = text + piece, finished or ends, stated or usage
                    if len(text) > shown and not _may_be_not_found(text):
                        yield text[shown:]
                        shown = len(text)
        if not finished:
            raise ModelUnavailable(f"{self.name}: the stream ended before the answer did")
        if shown < len(text) and not _is_not_found(text):
            yield text[shown:]
        yield usage or self._counted(messages, text)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _counted(self, messages: Sequence[Message], text: str) -> Usage:
        asked = sum(self.count_tokens(message["content"]) + MESSAGE_TOKENS for message in messages) + MESSAGE_TOKENS
        return Usage(self.name, prompt_tokens=asked, completion_tokens=self.count_tokens(text))


class OpenAIEmbedder:
    """Embeddings in requests within the API's limits, one after another."""

    max_tokens = MAX_INPUT_TOKENS

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        dimensions: int,
        base_url: str | None = None,
        timeout_s: float = 60,
        max_retries: int = 2,
    ) -> None:
        self.name = model
        self.dimensions = dimensions
        self._client = _client(api_key, base_url, timeout_s, max_retries)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by cl100k_base, which OpenAI's embedding models use."""
        return count_tokens(text, self.name)

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one unit vector per text, in order, shape (n, dimensions). Text past the 8,191st token is not seen.

        Raises ModelUnavailable, and InvalidSettings for a refused key or model and for vectors of another length.
        """
        inputs = [cut(text, self.name, max_tokens=self.max_tokens) or " " for text in texts]  # "" is refused
        sizes = [self.count_tokens(text) for text in inputs]
        batches = [await self._request(inputs[start:end]) for start, end in _batches(sizes)]
        return np.concatenate([np.empty((0, self.dimensions), dtype=np.float32), *batches])

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, shape (dimensions,)."""
        vector: Vector = (await self.embed([text]))[0]
        return vector

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(self, inputs: Sequence[str]) -> Vector:
        shortened = self.name.startswith("text-embedding-3")  # older and foreign models refuse to be asked
        with _translated(self.name, "OPENAI_EMBEDDING_MODEL"):
            response = await self._client.embeddings.create(
                model=self.name, input=list(inputs), dimensions=self.dimensions if shortened else openai.omit
            )
            by_index = {item.index: item.embedding for item in response.data or ()}
        if sorted(by_index) != list(range(len(inputs))):
            raise ModelUnavailable(f"{self.name}: {len(by_index)} vectors for {len(inputs)} texts")
        return self._unit([by_index[index] for index in range(len(inputs))])

    def _unit(self, rows: Sequence[Sequence[float]]) -> Vector:
        """Return the rows as unit vectors, shape (n, dimensions)."""
        lengths = {len(row) for row in rows}
        if lengths != {self.dimensions}:
            raise InvalidSettings(
                f"{self.name}: vectors of {sorted(lengths)} numbers instead of {self.dimensions}",
                user_message=f"The embedding model {self.name} doesn't return {self.dimensions} numbers. "
                "Please check OPENAI_EMBEDDING_DIMENSIONS.",
            )
        vectors: Vector = np.asarray(rows, dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and norms.all()):
            raise ModelUnavailable(f"{self.name}: a vector without length")
        unit: Vector = vectors / norms
        return unit


def _client(api_key: str, base_url: str | None, timeout_s: float, max_retries: int) -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key=api_key, base_url=base_url or DEFAULT_BASE_URL, timeout=timeout_s, max_retries=max_retries
    )


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


def _batches(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each run of texts that fits into one request; `sizes` are their tokens."""
    start, tokens = 0, 0
    for end, size in enumerate(sizes):
        if end - start == MAX_INPUTS or tokens + size > MAX_REQUEST_TOKENS:
            yield start, end
            start, tokens = end, 0
        tokens += size
    if start < len(sizes):
        yield start, len(sizes)


@contextmanager
def _translated(model: str, setting: str) -> Iterator[None]:
    """Turn the SDK's errors, and what it lets through of malformed replies, into ours."""
    try:
        yield
    except (openai.OpenAIError, ValueError) as error:
        raise _error_from(error, model, setting) from error


def _error_from(error: Exception, model: str, setting: str) -> RecollectError:
    code = getattr(error, "code", None)
    what = f"{model}: {type(error).__name__} (status {getattr(error, 'status_code', None)}, code {code})"
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return InvalidSettings(
                what, user_message="The language model refuses my key. Whoever runs me should check OPENAI_API_KEY."
            )
        case openai.NotFoundError():
            return InvalidSettings(
                what,
                user_message=f"The language model {model} isn't known there. Whoever runs me should check {setting}.",
            )
        case openai.RateLimitError() if code == "insufficient_quota":
            return ModelUnavailable(
                what, user_message="The language model's credit is used up. Whoever runs me should look at its account."
            )
        case openai.RateLimitError():
            return ModelUnavailable(
                what, user_message="The language model is busy right now. Please try again in a minute."
            )
        case _:
            return ModelUnavailable(what)
