"""Quality of search and of extractive answers on XQuAD, in memory: `python -m benchmarks.extractive [SHARED]`.

The data are for measurement only and no part of this repository: they are read from SHARED/data/xquad, by default from
the directory `shared` beside the repository. Two minutes on two cores.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.table import Table

from bot.llm.extractive import ExtractiveModel, Scored
from bot.llm.local import LocalEmbedder
from bot.text import lexical
from bot.values import Passage, Prompt, Vector, new_id

PASSAGES = 3
BLEND = 0.5
FLOORS = (0.36, 0.40, 0.46)
RELEVANCE_FLOORS = (0.15, 0.20, 0.25, 0.30)


@dataclass(frozen=True)
class Asked:
    text: str
    answers: list[str]
    paragraph: int


@dataclass(frozen=True)
class Outcome:
    confidence: float
    in_first: bool
    in_three: bool
    in_sight: bool
    characters: int
    duration_ms: float


class Remembering(LocalEmbedder):
    """Embeds each text once: the same sentences come back for every question."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Vector] = {}

    async def embed(self, texts: Sequence[str]) -> Vector:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, await super().embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])


class Corpus:
    """Paragraphs with both of their vectors."""

    def __init__(self, paragraphs: list[str], articles: list[int], vectors: Vector) -> None:
        self.paragraphs = paragraphs
        self.articles = np.array(articles)
        self._vectors = vectors
        self._lexical = [lexical.document_weights(paragraph) for paragraph in paragraphs]
        self._frequency = Counter(term for weights in self._lexical for term in weights)

    def idf(self, term: int) -> float:
        frequency = self._frequency[term]
        return math.log(1 + (len(self.paragraphs) - frequency + 0.5) / (frequency + 0.5))

    def scores(self, question: str, vector: Vector) -> tuple[Vector, Vector]:
        """Return the cosine and the normalised BM25 of every paragraph."""
        terms = _asked(question)
        most = sum(self.idf(t) * n * (lexical.K1 + 1) for t, n in terms.items()) or 1.0
        found = [sum(self.idf(t) * n * weights.get(t, 0) for t, n in terms.items()) for weights in self._lexical]
        return self._vectors @ vector, np.array(found, dtype=np.float32) / np.float32(most)

    def prompt(self, question: str, cosine: Vector, bm25: Vector, allowed: NDArray[np.bool_]) -> Prompt:
        score = np.where(allowed, BLEND * bm25 + (1 - BLEND) * cosine, -1)
        best = [int(i) for i in np.argsort(-score)[:PASSAGES]]
        passages = tuple(self._passage(i, float(cosine[i]), float(bm25[i]), float(score[i])) for i in best)
        return Prompt(question, question, passages, (), {t: self.idf(t) for t in _asked(question)})

    def _passage(self, i: int, cosine: float, bm25: float, score: float) -> Passage:
        text = self.paragraphs[i]
        return Passage(new_id(), new_id(), "xquad", text, 0, len(text), None, None, cosine, bm25, score)


def _asked(question: str) -> dict[int, int]:
    return {word.own: word.count for word in lexical.query_words(question)}


def read(path: Path) -> tuple[list[str], list[int], list[Asked]]:
    paragraphs: list[str] = []
    articles: list[int] = []
    questions: list[Asked] = []
    for article, entry in enumerate(json.loads(path.read_text())["data"]):
        for paragraph in entry["paragraphs"]:
            for asked in paragraph["qas"]:
                answers = [answer["text"] for answer in asked["answers"]]
                questions.append(Asked(asked["question"], answers, len(paragraphs)))
            paragraphs.append(paragraph["context"])
            articles.append(article)
    return paragraphs, articles, questions


async def outcome(model: ExtractiveModel, prompt: Prompt, asked: Asked) -> Outcome:
    started = time.perf_counter()
    scored: list[Scored] = await model.rank(prompt)
    shown = "".join([piece async for piece in model.stream(prompt) if isinstance(piece, str)])
    duration_ms = 1000 * (time.perf_counter() - started)
    holds = [any(answer in found.candidate.reading for answer in asked.answers) for found in scored[:3]]
    return Outcome(
        confidence=scored[0].confidence,
        in_first=holds[0],
        in_three=any(holds),
        in_sight=any(answer in shown for answer in asked.answers),
        characters=len(shown),
        duration_ms=duration_ms,
    )


def share(values: ArrayLike) -> str:
    return f"{np.mean(np.asarray(values)):.3f}"


async def measure(path: Path) -> None:
    paragraphs, articles, questions = read(path)
    embedder = Remembering()
    corpus = Corpus(paragraphs, articles, await embedder.embed(paragraphs))
    model = ExtractiveModel(embedder, floor=0, passages=PASSAGES)

    ranks: list[int] = []
    right: list[float] = []
    foreign: list[Vector] = []
    here: list[Outcome] = []
    without: list[Outcome] = []
    elsewhere: list[Outcome] = []
    for asked in questions:
        cosine, bm25 = corpus.scores(asked.text, (await embedder.embed([asked.text]))[0])
        score = BLEND * bm25 + (1 - BLEND) * cosine
        ranks.append(int((score > score[asked.paragraph]).sum()))
        right.append(float(score[asked.paragraph]))
        off_topic = corpus.articles != corpus.articles[asked.paragraph]
        foreign.append(score[off_topic])
        others = np.arange(len(paragraphs)) != asked.paragraph
        for outcomes, allowed in ((here, others | True), (without, others), (elsewhere, off_topic)):
            outcomes.append(await outcome(model, corpus.prompt(asked.text, cosine, bm25, allowed), asked))
    await embedder.close()
    console = Console(width=110)
    console.print(_search_table(ranks, np.array(right), np.concatenate(foreign)))
    console.print(_answer_table(here))
    console.print(_refusal_table(here, without, elsewhere))


def _search_table(ranks: list[int], right: Vector, foreign: Vector) -> Table:
    ndcg = np.mean([1 / math.log2(rank + 2) if rank < 10 else 0 for rank in ranks])
    within = share([rank < 8 for rank in ranks])
    table = Table(title=f"Search, w = {BLEND}: nDCG@10 {ndcg:.3f}, recall@8 {within}")
    for name in ("relevance floor", "right paragraph kept", "paragraphs of other articles kept"):
        table.add_column(name)
    for floor in RELEVANCE_FLOORS:
        table.add_row(f"{floor:.2f}", share(right >= floor), f"{np.mean(foreign >= floor):.4f}")
    return table


def _answer_table(here: list[Outcome]) -> Table:
    table = Table(title=f"Extractive answers, best {PASSAGES} passages, {len(here)} questions")
    for name in (
        "in the best sentence",
        "in the best three",
        "in what is shown",
        "characters shown",
        "ms without encoding",
    ):
        table.add_column(name)
    table.add_row(
        share([found.in_first for found in here]),
        share([found.in_three for found in here]),
        share([found.in_sight for found in here]),
        f"{median(found.characters for found in here):.0f}",
        f"{median(found.duration_ms for found in here):.1f}",
    )
    return table


def _refusal_table(here: list[Outcome], without: list[Outcome], elsewhere: list[Outcome]) -> Table:
    kept, same, absent = (np.array([o.confidence for o in outcomes]) for outcomes in (here, without, elsewhere))
    right = np.array([found.in_first for found in here])
    auc = [np.mean(kept[:, None] > other[None]) for other in (same, absent)]
    table = Table(title=f"Refusal: AUC {auc[0]:.3f} (same article), {auc[1]:.3f} (topic absent)")
    for name in (
        "floor",
        "answerable kept",
        "best sentence right if kept",
        "refused, same article",
        "refused, topic absent",
    ):
        table.add_column(name)
    for floor in FLOORS:
        table.add_row(
            f"{floor:.2f}",
            share(kept >= floor),
            share(right[kept >= floor]),
            share(same < floor),
            share(absent < floor),
        )
    return table


def main() -> None:
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "shared"
    path = shared / "data" / "xquad" / "xquad.en.json"
    if not path.exists():
        sys.exit(f"{path} isn't there; name the directory that holds data/xquad")
    asyncio.run(measure(path))


if __name__ == "__main__":
    main()
