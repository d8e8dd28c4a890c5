"""The two things a model does for us. Each protocol has a local implementation and one that speaks to OpenAI."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from bot.values import Prompt, Usage, Vector


class Embedder(Protocol):
    """Turns text into unit vectors."""

    @property
    def name(self) -> str:
        """The model's name, recorded with every vector it made."""

    @property
    def dimensions(self) -> int:
        """Length of each vector, at most 3,072."""

    @property
    def max_tokens(self) -> int:
        """Longest input the model reads; what comes after is not seen."""

    def count_tokens(self, text: str) -> int:
        """Return how many of the model's tokens `text` makes, specials included."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one unit vector per text, in order, shape (n, dimensions); (0, dimensions) for none.

        Raises ModelUnavailable; nothing is returned for a part.
        """

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, shape (dimensions,). Raises ModelUnavailable."""

    async def problem(self) -> str | None:
        """Return a sentence on what keeps the model from answering, None when all is well: within 4 s, 5 s old at most."""

    async def close(self) -> None:
        """Let go of threads and connections."""


class ChatModel(Protocol):
    """Writes an answer from numbered passages."""

    @property
    def name(self) -> str:
        """The model's name, stored with every answer."""

    @property
    def prompt_budget(self) -> int:
        """Tokens that passages and history may take together."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens, by the model's tokenizer or the nearest real one."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        """Yield the answer's text in pieces, then its Usage, last and once.

        Sources are marked in the text as [1], [2] …, by the passages' order. No text at all means: not found.
        Raises ModelUnavailable, also half-way through; after the Usage, if what was spent is known by then.
        """

    async def problem(self) -> str | None:
        """Return a sentence on what keeps the model from answering, None when all is well: within 4 s, 5 s old at most."""

    async def close(self) -> None:
        """Let go of threads and connections."""
