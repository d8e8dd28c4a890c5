"""Token counts for models of OpenAI's family, offline."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def count_tokens(text: str, model: str) -> int:
    """Return how many tokens `text` makes for `model`: o200k_base, or cl100k_base for GPT-3.5, GPT-4 and embeddings.

    For a model of another family this is an estimate. The ranks, about 50 MB, are loaded at the first call.
    """
    return int(_encoding(encoding_name(model)).count(text.encode("utf-8", "replace").decode()))


def encoding_name(model: str) -> str:
    """Return the name of the encoding that `model` uses."""
    older = model in {"gpt-4", "gpt-3.5-turbo"} or model.startswith(("gpt-4-", "gpt-3.5-", "text-embedding-"))
    return "cl100k_base" if older else "o200k_base"


@lru_cache(maxsize=2)
def _encoding(name: str) -> Any:
    from rs_bpe.bpe import openai  # noqa: PLC0415  # tens of megabytes that local mode never needs

    return openai.cl100k_base() if name == "cl100k_base" else openai.o200k_base()
