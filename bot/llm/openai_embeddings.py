"""Embeddings by OpenAI, or by any server that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import openai

from bot.errors import InvalidSettings, ModelUnavailable
from bot.llm.breaker import Breaker
from bot.llm.openai_server import OpenAIServer
from bot.text.tokens import count_tokens, cut
from bot.values import Usage, Vector

MAX_INPUTS = 2_048
MAX_REQUEST_TOKENS = 300_000
MAX_INPUT_TOKENS = 8_191
"""Limits of one embeddings request and of one input, by OpenAI's API reference."""

QUERY_TIMEOUT_S = 10.0
"""Longest wait for a question's vector: without it the words alone are searched for, and somebody is waiting."""


class OpenAIEmbedder:
    """Embeddings in requests within the API's limits, one after another.

    The SDK tries again after 429, 5xx and lost connections, `max_retries` times. `on_usage` is told what the server
    states that each request cost.
    """

    max_tokens = MAX_INPUT_TOKENS

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        dimensions: int,
        base_url: str | None = None,
        timeout_s: float = 20,
        max_retries: int = 1,
        breaker: Breaker | None = None,
        on_usage: Callable[[Usage], None] = lambda _: None,
    ) -> None:
        self.name = model
        self.dimensions = dimensions
        self._on_usage = on_usage
        self._server = OpenAIServer(
            model,
            setting="OPENAI_EMBEDDING_MODEL",
            api_key=api_key,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            breaker=breaker,
        )

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by cl100k_base, which OpenAI's embedding models use."""
        return count_tokens(text, self.name)

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one unit vector per text, in order, shape (n, dimensions). Text past the 8,191st token is not seen.

        Raises ModelUnavailable, InvalidRequest for a refused text, and InvalidSettings for a refused key or model and
        for vectors of another length.
        """
        inputs = [self._input(text) for text in texts]
        sizes = [self.count_tokens(text) for text in inputs]
        batches = [await self._request(inputs[start:end]) for start, end in _batches(sizes)]
        return np.concatenate([np.empty((0, self.dimensions), dtype=np.float32), *batches])

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, shape (dimensions,); waits for 10 s at most. Raises as `embed` does."""
        vector: Vector = (await self._request([self._input(text)], timeout_s=QUERY_TIMEOUT_S))[0]
        return vector

    async def problem(self) -> str | None:
        """Return what keeps the model from answering; None when nothing is known to."""
        return await self._server.problem()

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    def _input(self, text: str) -> str:
        return cut(text, self.name, max_tokens=self.max_tokens) or " "  # "" is refused

    async def _request(self, inputs: Sequence[str], *, timeout_s: float | None = None) -> Vector:
        """Return one unit vector per input; `timeout_s` bounds the whole, repetitions included."""
        shortened = self.name.startswith("text-embedding-3")  # older and foreign models refuse to be asked
        with self._server.call():
            async with asyncio.timeout(timeout_s):
                response = await self._server.client.embeddings.create(
                    model=self.name, input=list(inputs), dimensions=self.dimensions if shortened else openai.omit
                )
            if response.usage:
                self._on_usage(Usage(self.name, prompt_tokens=response.usage.prompt_tokens, completion_tokens=0))
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
