"""From the marks in an answer to the words they rest on: quotes are cut from the passages, never from the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bot.text import lexical
from bot.text.languages import language_of
from bot.text.sentences import Span, reading, sentences
from bot.values import Citation, Passage, TermWeights

MIN_SHARE = 0.3
"""Least share of a claim's weight that must stand in the sentence quoted for it."""

MIN_VERBATIM_CHARS = 12
MAX_QUOTE_CHARS = 700

_MARK = re.compile(r"(?<![ \t])[ \t]*+\[(\d{1,3})\]")
_QUOTED = re.compile(r"“([^“”]+)”|\"([^\"]+)\"")
_EDGES = " \t\n.,;:!?*_-–•>\"'"
_ALIKE = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " ", "\u00ad": "", "\u200b": "", "*": ""}
)


@dataclass(frozen=True, slots=True)
class _Mark:
    """`answer[start:end]` is a mark; `claim` is what was said since the mark or the paragraph's beginning before it."""

    start: int
    end: int
    number: int
    claim: str


def cite(
    answer: str,
    passages: Sequence[Passage],
    *,
    term_weights: TermWeights,
    permalink: Callable[[Passage], str | None] = lambda _: None,
) -> list[Citation]:
    """Return a citation for every mark of `answer` whose passage bears out its claim, numbered as in the text.

    `[n]` means `passages[n − 1]`. Each `quote` is `passage.text[a:b]`, whole sentences, with offsets of the document's
    text. The same words are cited once; a mark out of range, or whose passage doesn't hold the claim, gives nothing.
    """
    return list(dict.fromkeys(found for _, found in _cited(answer, passages, term_weights, permalink) if found))


def renumber(
    answer: str,
    passages: Sequence[Passage],
    *,
    term_weights: TermWeights,
    permalink: Callable[[Passage], str | None] = lambda _: None,
) -> tuple[str, list[Citation]]:
    """Return the answer with its marks numbered 1, 2 … in order of appearance, and the citation behind each.

    Marks without a verified quote are gone from the text. One number stands for one quote.
    """
    text: list[str] = []
    numbers: dict[Citation, int] = {}
    done = 0
    for mark, found in _cited(answer, passages, term_weights, permalink):
        text.append(answer[done : mark.start])
        done = mark.end
        if found:
            number = numbers.setdefault(replace(found, number=0), len(numbers) + 1)
            shown = f"[{number}]"
            if not "".join(text).endswith(shown):
                space = answer[mark.start : mark.end].partition("[")[0]
                text.append(space + shown)
    text.append(answer[done:])
    return "".join(text), [replace(citation, number=number) for citation, number in numbers.items()]


def _cited(
    answer: str,
    passages: Sequence[Passage],
    term_weights: TermWeights,
    permalink: Callable[[Passage], str | None],
) -> Iterator[tuple[_Mark, Citation | None]]:
    sources = [_Source(passage.text, term_weights) for passage in passages]
    for mark in _marks(answer):
        index = mark.number - 1
        span = sources[index].bearing_out(mark.claim) if 0 <= index < len(passages) else None
        passage = passages[index] if span else None
        yield mark, _citation(mark.number, passage, span, permalink(passage)) if passage and span else None


def _citation(number: int, passage: Passage, span: tuple[int, int], permalink: str | None) -> Citation:
    start, end = span
    return Citation(
        number=number,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        filename=passage.filename,
        page=passage.page,
        quote=passage.text[start:end],
        char_start=passage.char_start + start,
        char_end=passage.char_start + end,
        permalink=permalink,
    )


def _marks(answer: str) -> Iterator[_Mark]:
    """Yield the marks in order. Marks side by side share a claim."""
    begin = 0
    for paragraph in re.split(r"(\n\s*\n)", answer):
        claim, done = "", begin
        for mark in _MARK.finditer(answer, begin, begin + len(paragraph)):
            said = answer[done : mark.start()]
            claim = said if said.strip(_EDGES) else claim
            done = mark.end()
            yield _Mark(mark.start(), mark.end(), int(mark[1]), claim)
        begin += len(paragraph)


class _Source:
    """A passage's text, taken apart once for all that is claimed of it: a model may repeat itself without end."""

    def __init__(self, text: str, term_weights: TermWeights) -> None:
        self._text = text
        self._term_weights = term_weights
        self._known: dict[str, tuple[int, int] | None] = {}

    def bearing_out(self, claim: str) -> tuple[int, int] | None:
        """Return where the text says what is claimed: word for word if it does, else the sentence that shares most."""
        if claim not in self._known:
            self._known[claim] = self._look_for(claim)
        return self._known[claim]

    def _look_for(self, claim: str) -> tuple[int, int] | None:
        said = sentences(claim)
        last = claim[said[-1].start : said[-1].end] if said else ""
        quoted = [one or other for one, other in reversed(_QUOTED.findall(claim))]
        for words in dict.fromkeys((*quoted, claim, last)):
            if found := self._verbatim(words):
                return _whole_sentences(found, self._spans)
        return self._likest(last)

    def _verbatim(self, words: str) -> tuple[int, int] | None:
        """Find `words` in the text, whatever the white space, case and style of quotes; whole words only."""
        wanted = _comparable(words)[0].strip(_EDGES)
        if len(wanted) < MIN_VERBATIM_CHARS:
            return None
        plain, origin = self._plain
        found = re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", plain)
        return (origin[found.start()], origin[found.end() - 1] + 1) if found else None

    def _likest(self, claim: str) -> tuple[int, int] | None:
        """Return the sentence that shares most of a claim's weight; None when none shares enough."""
        known = self._term_weights
        heaviest = max(known.values(), default=1.0)
        weights = {term: known.get(lexical.hash_term(term), heaviest) for term in lexical.terms(claim, self._language)}
        total = sum(weights.values())
        best, share = None, 0.0
        for span, terms in zip(self._spans, self._terms, strict=True):
            part = sum(weights[term] for term in terms & weights.keys()) / total if total else 0.0
            if part > share:
                best, share = span, part
        return (best.start, best.end) if best and share >= MIN_SHARE else None

    @cached_property
    def _spans(self) -> list[Span]:
        return sentences(self._text)

    @cached_property
    def _terms(self) -> list[set[str]]:
        return [set(lexical.terms(reading(self._text, span), self._language)) for span in self._spans]

    @cached_property
    def _language(self) -> str:
        return language_of(self._text)

    @cached_property
    def _plain(self) -> tuple[str, list[int]]:
        return _comparable(self._text)


def _comparable(text: str) -> tuple[str, list[int]]:
    """Return `text` made comparable, and for each of its characters the position it came from."""
    plain: list[str] = []
    origin: list[int] = []
    for position, character in enumerate(text):
        like = character.translate(_ALIKE).lower()[:1]
        if like.isspace():
            like = " " if plain and plain[-1] != " " else ""
        if like:
            plain.append(like)
            origin.append(position)
    return "".join(plain), origin


def _whole_sentences(found: tuple[int, int], spans: Sequence[Span]) -> tuple[int, int]:
    """Widen a place in a text to the sentences it touches, unless that would make too long a quote."""
    touched = [span for span in spans if span.start < found[1] and found[0] < span.end]
    start = min([span.start for span in touched] + [found[0]])
    end = max([span.end for span in touched] + [found[1]])
    return (start, end) if end - start <= MAX_QUOTE_CHARS else found
