"""A retrieval set in BEIR's layout: corpus.jsonl {_id, title, text}, queries.jsonl {_id, text}, qrels/*.tsv.

Thakur et al., BEIR (arXiv 2104.08663). A query says that nothing answers it by `"refuse": true`, itself or in its
`metadata`; and so it does when no document of the corpus is relevant to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bot.errors import InvalidRequest
from bot.eval.lines import BadLine, Row, objects_of, records_of, text_in

QRELS_HEADER = {"query-id", "corpus-id", "score"}
SPLITS = ("test", "dev", "train")
"""Which of several judgements is taken when nobody says: the first of these."""

Judgements = dict[str, dict[str, int]]
"""By query, by document: how relevant, 0 for not at all."""


@dataclass(frozen=True, slots=True)
class BeirDocument:
    """One text of the corpus, and what else its line holds in `metadata`."""

    id: str
    title: str
    text: str
    metadata: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BeirQuery:
    """One question with the gain of each document that is relevant to it; none: it should be refused."""

    id: str
    text: str
    gains: dict[str, int]
    metadata: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BeirSet:
    """A whole set, in its own order. `unjudged` counts queries that only other splits' judgements speak of."""

    name: str
    documents: list[BeirDocument]
    queries: list[BeirQuery]
    unjudged: int = 0


def read_beir(folder: Path, *, split: str | None = None) -> BeirSet:
    """Read a set. Raises InvalidRequest, for a line that is wrong with its number."""
    if not folder.is_dir():
        raise InvalidRequest(str(folder), user_message=f"There is no folder {folder}.")
    documents = {document.id: document for document in _once(folder / "corpus.jsonl", _document_from)}
    judged = _judgements(folder / "qrels")
    gains = judged[_choose(folder, judged, split)]
    elsewhere = {query_id for other in judged.values() for query_id in other} - gains.keys()
    queries, unjudged = [], 0
    for query in _once(folder / "queries.jsonl", _query_from):
        if query.id in elsewhere:
            unjudged += 1
            continue
        relevant = {} if query.metadata["refuse"] else gains.get(query.id, {})
        kept = {name: gain for name, gain in relevant.items() if gain > 0 and name in documents}
        queries.append(BeirQuery(query.id, query.text, kept, query.metadata))
    if not documents or not queries:
        raise InvalidRequest(str(folder), user_message=f"{folder} holds no documents, or no queries that are judged.")
    return BeirSet(folder.resolve().name, list(documents.values()), queries, unjudged)


T = TypeVar("T", BeirDocument, BeirQuery)


def _once(path: Path, make: Callable[[Row], T]) -> Iterator[T]:
    """Yield what a file's lines make, each id once. Raises BadLine."""
    known: set[str] = set()
    for number, row in objects_of(path):
        try:
            made = make(row)
        except ValueError as error:
            raise BadLine(path, number, str(error)) from None
        if made.id in known:
            raise BadLine(path, number, f"the _id {made.id} is there twice.")
        known.add(made.id)
        yield made


def _document_from(row: Row) -> BeirDocument:
    return BeirDocument(_id_in(row), text_in(row, "title"), text_in(row, "text"), _metadata_in(row))


def _query_from(row: Row) -> BeirQuery:
    text = text_in(row, "text")
    if not text:
        raise ValueError("it has no text.")
    metadata = _metadata_in(row)
    return BeirQuery(_id_in(row), text, {}, {**metadata, "refuse": bool(row.get("refuse", metadata.get("refuse")))})


def _id_in(row: Row) -> str:
    found = row.get("_id")
    if not isinstance(found, str | int) or not str(found):
        raise ValueError("it has no _id.")
    return str(found)


def _metadata_in(row: Row) -> Row:
    found = row.get("metadata")
    return found if isinstance(found, dict) else {}


def _judgements(folder: Path) -> dict[str, Judgements]:
    paths = sorted(folder.glob("*.tsv"))
    if not paths:
        raise InvalidRequest(str(folder), user_message=f"There is no file *.tsv in {folder}.")
    return {path.stem: _judgements_in(path) for path in paths}


def _judgements_in(path: Path) -> Judgements:
    judged: Judgements = {}
    for number, row in records_of(path, tabs=True):
        if not row.keys() >= QRELS_HEADER:
            raise BadLine(path, 1, "the header must be query-id, corpus-id and score, with tabs between them.")
        judged.setdefault(row["query-id"], {})[row["corpus-id"]] = _score_from(path, number, row["score"])
    return judged


def _score_from(path: Path, line: int, word: str | None) -> int:
    """Return a whole number, written as 1 or 1.0. Raises BadLine."""
    try:
        score = float(word or "")
    except ValueError:
        score = math.nan
    if not score.is_integer():
        raise BadLine(path, line, f"the score {word} is no whole number.")
    return int(score)


def _choose(folder: Path, judged: dict[str, Judgements], split: str | None) -> str:
    """Return the name of the judgements to take."""
    if split is None:
        return next((name for name in SPLITS if name in judged), min(judged))
    if split not in judged:
        message = f"{folder / 'qrels'} has no {split}.tsv; there is {', '.join(sorted(judged))}."
        raise InvalidRequest(split, user_message=message)
    return split
