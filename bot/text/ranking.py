"""Which sentences of the passages answer a question: scores from facts measured in docs/decisions/0003."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.text import lexical
from bot.text.sentences import Kind, Span, reading, sentences
from bot.values import Passage, TermWeights

OVERLAP, COSINE, PASSAGE, PREVIOUS, CUE, BIGRAM = 0.5, 0.5, 1.0, 0.3, 0.1, 0.2
"""Weights of the parts of a sentence's score (docs/decisions/0003)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer, with the parts of its score; each but `passage_score` runs from 0 to 1.

    `number` is the passage's, from 1. `reading` is the sentence as a model should read it: a table's row with its
    header. `overlap` is the share of the question's idf that stands in the sentence, `previous` what stands only just
    before or above it, `bigram` the share of its word pairs, `cue` whether it holds the kind of thing asked for.
    """

    number: int
    position: int
    span: Span
    reading: str
    overlap: float
    previous: float
    bigram: float
    cue: float
    passage_score: float

    def score(self, cosine: float) -> float:
        """Return how well the sentence answers, for comparing sentences of one question."""
        return COSINE * cosine + self.prior

    @property
    def prior(self) -> float:
        """The score without the cosine, which costs a model's time."""
        return (
            OVERLAP * self.overlap
            + PASSAGE * self.passage_score
            + PREVIOUS * self.previous
            + CUE * self.cue
            + BIGRAM * self.bigram
        )

    def confidence(self, cosine: float) -> float:
        """Return how sure it is that the passages answer at all; comparable across questions."""
        return 0.25 * self.overlap + 0.25 * cosine + 0.5 * self.passage_score


def candidates(question: str, passages: Sequence[Passage], *, term_weights: TermWeights) -> list[Candidate]:
    """Return every sentence that could answer, in the order of passages and text.

    Left out: headings, questions, and what only repeats the question's words.
    """
    asked = _Asked(question, term_weights)
    return [
        candidate
        for number, passage in enumerate(passages, start=1)
        for candidate in _of_passage(asked, passage, number)
    ]


def _of_passage(asked: _Asked, passage: Passage, number: int) -> list[Candidate]:
    spans = sentences(passage.text)
    readings = [reading(passage.text, span) for span in spans]
    stems = [lexical.terms(reading) for reading in readings]
    found = []
    for position, (span, sentence) in enumerate(zip(spans, readings, strict=True)):
        own = set(stems[position])
        if span.kind is Kind.HEADING or sentence.endswith("?") or own <= asked.terms:
            continue
        before = set(stems[position - 1]) if position else set()
        above = set(lexical.terms(f"{span.context} {passage.heading or ''}"))
        found.append(
            Candidate(
                number=number,
                position=position,
                span=span,
                reading=sentence,
                overlap=asked.share(own),
                previous=asked.share((before | above) - own),
                bigram=asked.bigram_share(stems[position]),
                cue=asked.cue(sentence),
                passage_score=passage.score,
            )
        )
    return found


_NUMBER_CUE = re.compile(
    r"\b(how (many|much|long|old|far|often|large|big|high|tall|late|early)|percent\w*|what (year|number|time|date|day)|when|which (year|date|day))\b",
    re.IGNORECASE,
)
_NAME_CUE = re.compile(r"\b(who|whom|whose|where|which (country|city|person|team|company|state))\b", re.IGNORECASE)
_REASON_CUE = re.compile(r"\bwhy\b", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"(?<=[\w,;:)] )[A-Z]\w+")
_REASON = re.compile(r"\b(because|since|due to|so that|in order to|as a result|therefore|reason)\b", re.IGNORECASE)


class _Asked:
    """A question, taken apart once."""

    def __init__(self, question: str, term_weights: TermWeights) -> None:
        ordered = lexical.terms(question)
        unknown = max(term_weights.values(), default=1.0)
        self.terms = set(ordered)
        self._text = question
        self._idf = {term: term_weights.get(lexical.hash_term(term), unknown) for term in ordered}
        self._total = sum(self._idf.values()) or 1.0
        self._bigrams = set(pairwise(ordered))

    def share(self, found: set[str]) -> float:
        return sum(self._idf[term] for term in self.terms & found) / self._total

    def bigram_share(self, stems: list[str]) -> float:
        return len(self._bigrams & set(pairwise(stems))) / len(self._bigrams) if self._bigrams else 0.0

    def cue(self, sentence: str) -> float:
        if _NUMBER_CUE.search(self._text):
            return float(bool(_DIGIT.search(sentence)))
        if _NAME_CUE.search(self._text):
            return float(bool(_NAME.search(sentence)))
        if _REASON_CUE.search(self._text):
            return float(bool(_REASON.search(sentence)))
        return 0.0
