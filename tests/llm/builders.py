"""Passages and prompts for the tests of models."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from bot.llm import Embedder
from bot.text import lexical
from bot.values import Passage, Prompt, Turn, new_id


def passage(text: str, *, filename: str = "handbook.md", score: float = 0.5, page: int | None = None) -> Passage:
    return Passage(
        chunk_id=new_id(),
        document_id=new_id(),
        filename=filename,
        text=text,
        char_start=1000,
        char_end=1000 + len(text),
        page=page,
        heading=None,
        cosine=score,
        lexical=score,
        score=score,
    )


async def found_prompt(
    question: str,
    texts: Sequence[str],
    embedder: Embedder,
    *,
    search_text: str | None = None,
    history: Sequence[Turn] = (),
) -> Prompt:
    """Return the prompt that the real search would make of these texts: BM25 and cosine in equal parts."""
    search_text = search_text or question
    documents = [lexical.document_weights(text) for text in texts]
    frequencies = Counter(term for document in documents for term in document)
    asked = {word.own: word.count for word in lexical.query_words(search_text)}
    idf = {t: math.log(1 + (len(texts) - frequencies[t] + 0.5) / (frequencies[t] + 0.5)) for t in asked}
    most = sum(idf[t] * n * (lexical.K1 + 1) for t, n in asked.items()) or 1
    cosines = await embedder.embed(texts) @ await embedder.embed_query(search_text)
    found = [
        passage(
            text, score=0.5 * float(cosine) + 0.5 * sum(idf[t] * n * weights.get(t, 0) for t, n in asked.items()) / most
        )
        for text, weights, cosine in zip(texts, documents, cosines, strict=True)
    ]
    best = sorted(found, key=lambda hit: hit.score, reverse=True)
    return Prompt(question, search_text, tuple(best), tuple(history), idf)
