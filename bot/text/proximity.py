"""How near to each other the words of a question stand in a passage: what BM25, which only counts them, can't tell.

Measured choices: docs/decisions/0025-languages-and-nearness.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bot.text import lexical
from bot.text.languages import language_of
from bot.values import TermWeights

PHRASES, WINDOW = 0.1, 0.1
"""What the two parts of nearness may add to a passage's score."""

PAIR_REACH = 3
"""Terms within which two that are neighbours in the question count as a pair, in either order."""

WINDOW_TERMS = 10
"""The length of a stretch of text, in terms."""


class Nearness:
    """A question taken apart once, to be laid beside passages. `term_weights` is the idf of its hashed terms."""

    def __init__(self, question: str, term_weights: TermWeights) -> None:
        self._language = language_of(question)
        asked = lexical.terms(question, self._language)
        heaviest = max(term_weights.values(), default=1.0)
        self._weights = {term: term_weights.get(lexical.hash_term(term), heaviest) for term in asked}
        self._total = sum(self._weights.values())
        self._pairs = {
            frozenset(pair): min(self._weights[pair[0]], self._weights[pair[1]])
            for pair in pairwise(asked)
            if pair[0] != pair[1]
        }
        self._pairs_total = sum(self._pairs.values())

    def bonus(self, text: str) -> float:
        """Return what is added to the score of a passage for the nearness of the question's words in it; 0 to .2."""
        places = [
            (place, term) for place, term in enumerate(lexical.terms(text, self._language)) if term in self._weights
        ]
        return PHRASES * self._phrases(places) + WINDOW * self._window(places)

    def _phrases(self, places: Sequence[tuple[int, str]]) -> float:
        """Return the share of the question's pairs, by weight, that stand together in the text."""
        if not self._pairs_total:
            return 0.0
        found: set[frozenset[str]] = set()
        for index, (place, term) in enumerate(places):
            for other_place, other in places[index + 1 : index + 1 + PAIR_REACH]:
                if other_place - place <= PAIR_REACH:
                    found.add(frozenset((term, other)))
        return sum(weight for pair, weight in self._pairs.items() if pair in found) / self._pairs_total

    def _window(self, places: Sequence[tuple[int, str]]) -> float:
        """Return the largest share of the question's weight that stands in one stretch of the text."""
        best = 0.0
        for index, (place, _) in enumerate(places):
            inside = {term for there, term in places[index : index + WINDOW_TERMS] if there - place < WINDOW_TERMS}
            best = max(best, sum(self._weights[term] for term in inside))
        return best / self._total if self._total else 0.0
