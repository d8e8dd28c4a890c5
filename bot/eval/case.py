"""A question with what should come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from bot.values import Passage


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was found, as gains in order, and the gains of all that is relevant, in any order."""

    gains: tuple[int, ...]
    ideal: tuple[int, ...]


class Judge(Protocol):
    """What should be found for one question."""

    def rank(self, passages: Sequence[Passage]) -> Ranking:
        """Judge what was found, best first."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question. Without a judge nothing answers it, and it should be refused."""

    text: str
    judge: Judge | None

    @property
    def should_refuse(self) -> bool:
        """True when nothing answers it."""
        return self.judge is None


@dataclass(frozen=True, slots=True)
class ByDocument:
    """Judges documents, each by its best passage. `gains`: of what is relevant, by the corpus's own ids.

    `names`: the corpus's ids of each document of ours, more than one where it holds the same text twice.
    """

    gains: Mapping[str, int]
    names: Mapping[UUID, Sequence[str]]

    def rank(self, passages: Sequence[Passage]) -> Ranking:
        """Judge the documents in the order of their best passages."""
        documents = dict.fromkeys(passage.document_id for passage in passages)
        found = [name for document in documents for name in self.names.get(document, ())]
        return Ranking(tuple(self.gains.get(name, 0) for name in found), tuple(self.gains.values()))


@dataclass(frozen=True, slots=True)
class ByFirst:
    """Judges by the first that is right: one thing was asked for. `unit` tells passages of one thing."""

    is_right: Callable[[Passage], bool]
    unit: Callable[[Passage], UUID]

    def rank(self, passages: Sequence[Passage]) -> Ranking:
        """Judge what was found; whatever is right after the first counts for nothing more."""
        units = {self.unit(passage): False for passage in passages}
        for passage in passages:
            units[self.unit(passage)] |= self.is_right(passage)
        first = next((place for place, right in enumerate(units.values()) if right), None)
        return Ranking(tuple(int(place == first) for place in range(len(units))), (1,))
