"""Which sentences of the passages answer a question: scores from facts measured in docs/decisions/0003."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from bot.text import lexical
from bot.text.languages import language_of
from bot.text.sentences import Kind, Span, reading, sentences
from bot.values import Passage, Prompt, Role

OVERLAP, COSINE, PASSAGE, PREVIOUS, CUE, BIGRAM = 0.5, 0.5, 1.0, 0.3, 0.1, 0.2
"""Weights of the parts of a sentence's score (docs/decisions/0003)."""

ASKED_NOW = 3.0
"""How much more a follow-up's own words weigh than those of the question that it follows."""

ALREADY_SAID = 0.5
"""What a sentence loses that was the answer before and holds nothing of what is asked now, if another does."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer, with the parts of its score; each but `passage_score` runs from 0 to 1.

    `number` is the passage's, from 1. `reading` is the sentence as a model should read it: a table's row with its
    header. `overlap` is the share of the question's idf that stands in the sentence, `previous` what stands only just
    before or above it, `bigram` the share of its word pairs, `cue` whether it holds the kind of thing asked for;
    `asked_now` tells of a word of the follow-up itself.
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
    already_said: bool
    asked_now: bool

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
            - ALREADY_SAID * self.already_said
        )

    def confidence(self, cosine: float) -> float:
        """Return how sure it is that the passages answer at all; comparable across questions."""
        return 0.25 * self.overlap + 0.25 * cosine + 0.5 * self.passage_score


def candidates(prompt: Prompt) -> list[Candidate]:
    """Return every sentence that could answer, in the order of passages and text.

    Left out: headings, questions, and lines that only repeat the question's words.
    """
    languages = [language_of(passage.text) for passage in prompt.passages]
    asked = {language: _Asked(prompt, language) for language in languages}
    found = [
        candidate
        for number, (passage, language) in enumerate(zip(prompt.passages, languages, strict=True), start=1)
        for candidate in _of_passage(asked[language], passage, number)
    ]
    if any(candidate.asked_now for candidate in found):
        return [
            replace(candidate, already_said=candidate.already_said and not candidate.asked_now) for candidate in found
        ]
    return [replace(candidate, already_said=False) for candidate in found]


def _of_passage(asked: _Asked, passage: Passage, number: int) -> list[Candidate]:
    spans = sentences(passage.text)
    readings = [reading(passage.text, span) for span in spans]
    stems = [lexical.terms(reading, asked.language) for reading in readings]
    headed: dict[str, set[str]] = {}
    found = []
    for position, (span, sentence) in enumerate(zip(spans, readings, strict=True)):
        own = set(stems[position])
        echoes = span.kind is Kind.LINE and own <= asked.terms
        if span.kind is Kind.HEADING or sentence.endswith("?") or echoes or not own:
            continue
        before = set(stems[position - 1]) if position else set()
        if span.context not in headed:
            headed[span.context] = set(lexical.terms(f"{span.context} {passage.heading or ''}", asked.language))
        above = headed[span.context]
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
                already_said=sentence in asked.answered,
                asked_now=bool(own & asked.now),
            )
        )
    return found


_HOW = re.compile(r"\bhow (much|many|long|often|far|old|large|soon|quickly)\b", re.IGNORECASE)
_NUMBER_CUE = re.compile(
    r"\b(how (many|much|long|old|far|often|large|big|high|tall|late|early)|percent\w*|what (year|number|time|date|day)|when|which (year|date|day))\b",
    re.IGNORECASE,
)
_NAME_CUE = re.compile(r"\b(who|whom|whose|where|which (country|city|person|team|company|state))\b", re.IGNORECASE)
_REASON_CUE = re.compile(r"\bwhy\b", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"(?<=[\w,;:)] )[A-Z]\w+")
_REASON = re.compile(r"\b(because|since|due to|so that|in order to|as a result|therefore|reason)\b", re.IGNORECASE)


def _answered(prompt: Prompt) -> str:
    """Return what was answered before, if the question follows from it; asked the same again, we say the same again."""
    if prompt.search_text == prompt.question:
        return ""
    return " ".join(" ".join(turn.text.split()) for turn in prompt.history if turn.role is Role.ASSISTANT)


class _Asked:
    """A question, taken apart once for the passages of a language."""

    def __init__(self, prompt: Prompt, language: str) -> None:
        self.language = language
        ordered = lexical.terms(prompt.search_text, language)
        self.now = set(lexical.terms(_HOW.sub("", prompt.question), language))
        unknown = max(prompt.term_weights.values(), default=1.0)
        self.terms = set(ordered)
        self.answered = _answered(prompt)
        self._text = prompt.question
        self._weights = {
            term: prompt.term_weights.get(lexical.hash_term(term), unknown) * (ASKED_NOW if term in self.now else 1)
            for term in ordered
        }
        self._total = sum(self._weights.values()) or 1.0
        self._bigrams = set(pairwise(ordered))

    def share(self, found: set[str]) -> float:
        return sum(self._weights[term] for term in self.terms & found) / self._total

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
