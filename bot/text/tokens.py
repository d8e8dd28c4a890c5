"""Token counts for models of OpenAI's family, offline."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def count_tokens(text: str, model: str) -> int:
    """Return how many tokens `text` makes for `model`; an estimate for a model of another family.

    The ranks (30 to 70 MB, a tenth of a second) are loaded by the first call. `<|endoftext|>` counts as plain text.
    """
    return int(_encoding(encoding_name(model)).count(_encodable(text)))


def cut(text: str, model: str, *, max_tokens: int) -> str:
    """Return the beginning of `text` that makes at most `max_tokens` tokens, whole characters only."""
    encoding = _encoding(encoding_name(model))
    tokens = encoding.encode(_encodable(text))
    if len(tokens) <= max_tokens:
        return text
    kept = max_tokens
    while (beginning := encoding.decode(tokens[:kept])) is None:  # the last character lies across the edge
        kept -= 1
    return str(beginning)


def encoding_name(model: str) -> str:
    """Return the name of the encoding that `model` uses: cl100k_base for GPT-3.5, GPT-4 and the embeddings."""
    older = model == "gpt-4" or model.startswith(("gpt-4-", "gpt-3.5-", "text-embedding-"))
    return "cl100k_base" if older else "o200k_base"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=2)
def _encoding(name: str) -> Any:
    from rs_bpe.bpe import openai  # noqa: PLC0415  # tens of megabytes that local mode never needs

    return openai.cl100k_base() if name == "cl100k_base" else openai.o200k_base()
