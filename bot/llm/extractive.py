"""Answers without a language model: the best sentences of the best passages, word for word."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from bot.llm import Embedder
from bot.text.ranking import Candidate, candidates
from bot.text.sentences import Kind, Span, reading, sentences
from bot.values import Passage, Prompt, Usage

MAX_CANDIDATES = 6
"""Sentences whose cosine is computed, about 8 ms each; more change fewer than one answer in a hundred."""

MAX_SENTENCES = 3
NEAR = 0.2
"""A further sentence is shown when its score is this near to the best one's: .92 of answers in sight, 1.8 sentences."""

_RUNNING = {Kind.PROSE, Kind.LINE}

_LEANS_BACK = re.compile(
    r"(?:It|Its|They|Their|This|That|These|Those|He|She|His|Her|Such|However|But|And|Also|Thus|Therefore|Then|Instead|"
    r"Moreover|Furthermore|Additionally|Otherwise|In addition|As a result|For example|The (?:former|latter))\b"
)


@dataclass(frozen=True, slots=True)
class Scored:
    """A sentence with its score among the others and its confidence on its own."""

    candidate: Candidate
    score: float
    confidence: float


class ExtractiveModel:
    """A chat model that can't invent: it shows sentences as they stand, each with its source, or nothing.

    `floor` is the confidence below which it says nothing: .40 keeps 95 % of answers and refuses 98 % of questions on
    subjects that aren't there (docs/decisions/0003).
    """

    name = "extractive"
    prompt_budget = 2_000

    def __init__(self, embedder: Embedder, *, floor: float = 0.40, passages: int = 3) -> None:
        self._embedder = embedder
        self._floor = floor
        self._passages = passages

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by the embedder's tokenizer."""
        return self._embedder.count_tokens(text)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        """Yield the answer a sentence at a time, then its Usage: what was read and what was written.

        Nothing but the Usage when no sentence is sure enough. Raises ModelUnavailable when the embedder does.
        """
        prompt = replace(prompt, passages=prompt.passages[: self._passages])
        scored = await self.rank(prompt)
        written = 0
        if scored and scored[0].confidence >= self._floor:
            for piece in _compose(_worth_showing(scored), prompt.passages):
                written += self.count_tokens(piece)
                yield piece
        read = sum(self.count_tokens(text) for text in (prompt.search_text, *(p.text for p in prompt.passages)))
        yield Usage(self.name, prompt_tokens=read, completion_tokens=written)

    async def rank(self, prompt: Prompt) -> list[Scored]:
        """Return the likeliest sentences of the prompt's passages, best first. Raises ModelUnavailable."""
        likely = sorted(candidates(prompt), key=lambda candidate: candidate.prior, reverse=True)[:MAX_CANDIDATES]
        if not likely:
            return []
        vectors = await self._embedder.embed([prompt.search_text, *(candidate.reading for candidate in likely)])
        cosines = (vectors[1:] @ vectors[0]).tolist()
        scored = [
            Scored(candidate, candidate.score(cosine), candidate.confidence(cosine))
            for candidate, cosine in zip(likely, cosines, strict=True)
        ]
        return sorted(scored, key=lambda found: found.score, reverse=True)

    async def problem(self) -> None:
        """Return None: what could be wrong is the embedder's, which says so itself."""

    async def close(self) -> None:
        """Do nothing: the embedder belongs to whoever made it."""


def _worth_showing(scored: Sequence[Scored]) -> list[Candidate]:
    """Return the best sentence, and those near it that say something else."""
    shown: list[Candidate] = []
    for found in scored:
        if found.score < scored[0].score - NEAR or len(shown) == MAX_SENTENCES:
            break
        says_more = all(found.candidate.reading not in other.reading for other in shown)
        if not shown or (says_more and found.candidate.span.kind is not Kind.LINE):
            shown.append(found.candidate)
    return shown


def _compose(shown: Sequence[Candidate], passages: Sequence[Passage]) -> Iterator[str]:
    """Yield the answer: a paragraph per passage, sentences in the text's order, a mark after each run of them."""
    for paragraph, number in enumerate(dict.fromkeys(candidate.number for candidate in shown)):
        text = passages[number - 1].text
        spans = sentences(text)
        of_passage = [candidate for candidate in shown if candidate.number == number]
        positions = sorted({place for candidate in of_passage for place in _with_neighbour(candidate, spans)})
        lead = "\n\n" if paragraph else ""
        for position, following in zip_longest(positions, positions[1:]):
            runs_on = (
                following == position + 1 and spans[position].kind in _RUNNING and spans[following].kind in _RUNNING
            )
            yield lead + reading(text, spans[position]) + ("" if runs_on else f" [{number}]")
            lead = " " if spans[position].kind is Kind.PROSE else "\n"


def _with_neighbour(candidate: Candidate, spans: Sequence[Span]) -> tuple[int, ...]:
    """Return the position of a sentence, with the one before where it leans on that, the one after where it heads it."""
    position = candidate.position
    if candidate.span.kind is Kind.LINE and position + 1 < len(spans):
        return position, position + 1
    leans = bool(_LEANS_BACK.match(candidate.reading))
    if leans and position and spans[position].kind is spans[position - 1].kind is Kind.PROSE:
        return position - 1, position
    return (position,)
