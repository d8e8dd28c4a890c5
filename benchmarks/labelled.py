"""The labelled sets of the folder beside the repository, written in BEIR's layout: the one place that knows their forms.

They are for measurement only, and no part of this repository. Beyond BEIR, `metadata` holds the `answers` of a query as
strings, and the `group` of a document: those of one group are on one subject.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.eval.beir import BeirDocument, BeirQuery

CHATS = 3
_UNANSWERABLE = 5
"""LoCoMo's category of questions that nothing in the chat answers."""

Content = tuple[list[BeirDocument], list[BeirQuery]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A set of the folder: where it lies, and how it is read; more than one part where each is searched by itself."""

    name: str
    title: str
    path: str
    read: Callable[[Path], list[Content]]

    def write(self, data: Path, folder: Path) -> list[Path]:
        """Write the set's parts below `folder`; return where each is."""
        written = []
        for number, content in enumerate(self.read(data / self.path)):
            written.append(folder / f"{self.name}-{number}")
            write_beir(written[-1], *content)
        return written


def write_beir(folder: Path, documents: Iterable[BeirDocument], queries: Iterable[BeirQuery]) -> None:
    """Write a set in BEIR's layout."""
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": d.id, "title": d.title, "text": d.text, "metadata": d.metadata} for d in documents]
    asked = list(queries)
    lines = [f"{q.id}\t{document}\t{gain}" for q in asked for document, gain in q.gains.items()]
    _write_lines(folder / "corpus.jsonl", map(json.dumps, corpus))
    _write_lines(
        folder / "queries.jsonl", (json.dumps({"_id": q.id, "text": q.text, "metadata": q.metadata}) for q in asked)
    )
    _write_lines(folder / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *lines])


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _xquad(path: Path) -> list[Content]:
    documents: list[BeirDocument] = []
    queries = []
    for article in json.loads(path.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            document = BeirDocument(f"p{len(documents)}", "", paragraph["context"], {"group": article["title"]})
            documents.append(document)
            for asked in paragraph["qas"]:
                answers = [answer["text"] for answer in asked["answers"]]
                queries.append(BeirQuery(asked["id"], asked["question"], {document.id: 1}, {"answers": answers}))
    return [(documents, queries)]


def _med(folder: Path) -> list[Content]:
    documents = [BeirDocument(number, "", text) for number, text in _smart(folder / "MED.ALL")]
    gains: dict[str, dict[str, int]] = {}
    for line in (folder / "MED.REL").read_text().splitlines():
        query, _, document, *_ = line.split()
        gains.setdefault(query, {})[document] = 1
    return [(documents, [BeirQuery(number, text, gains[number]) for number, text in _smart(folder / "MED.QRY")])]


def _smart(path: Path) -> list[tuple[str, str]]:
    """Return number and text of each record of a file in the SMART format."""
    records = re.split(r"^\.I\s+(\d+)\s*\n\.W\s*\n", path.read_text(), flags=re.MULTILINE)[1:]
    return [(number, " ".join(text.split())) for number, text in zip(records[::2], records[1::2], strict=True)]


def _locomo(path: Path) -> list[Content]:
    return [_chat(sample) for sample in json.loads(path.read_text())[:CHATS]]


def _chat(sample: dict[str, Any]) -> Content:
    conversation = sample["conversation"]
    documents = [
        BeirDocument(turn["dia_id"], "", _said(turn, conversation[f"{session}_date_time"]))
        for session, turns in conversation.items()
        if isinstance(turns, list)
        for turn in turns
    ]
    known = {document.id for document in documents}
    queries = []
    for number, asked in enumerate(sample["qa"]):
        gains = {place: 1 for place in asked["evidence"] if place in known}  # some are malformed
        if asked["category"] == _UNANSWERABLE:
            queries.append(BeirQuery(f"q{number}", asked["question"], {}, {"refuse": True}))
        elif gains:
            queries.append(BeirQuery(f"q{number}", asked["question"], gains))
    return documents, queries


def _said(turn: dict[str, Any], date: str) -> str:
    picture = f" [image: {turn['blip_caption']}]" if "blip_caption" in turn else ""
    return f"{turn['speaker']} ({date}): {turn['text']}{picture}"


SETS = (
    Labelled("xquad", "XQuAD, English: paragraphs of Wikipedia", "xquad/xquad.en.json", _xquad),
    Labelled("med", "MED: abstracts of medicine", "med", _med),
    Labelled("locomo", "LoCoMo: turns of three long chats, each searched by itself", "locomo/locomo5.json", _locomo),
)
