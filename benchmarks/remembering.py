"""The local model, with a memory for what it has embedded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bot.llm.local import LocalEmbedder
from bot.values import Vector


class Remembering(LocalEmbedder):
    """Embeds each text once: the same sentences and questions come back. What is asked first takes its full time."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Vector] = {}
        self._asked: dict[str, Vector] = {}

    async def embed(self, texts: Sequence[str]) -> Vector:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, await super().embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])

    async def embed_query(self, text: str) -> Vector:
        if text not in self._asked:
            self._asked[text] = await super().embed_query(text)
        return self._asked[text]
