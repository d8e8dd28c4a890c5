"""Hostile strings through everything that the bot renders: nothing in them becomes a link, a mention or an image."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bot.services import turns
from bot.services.documents import DocumentPage, DocumentView
from bot.slack import blocks, document_blocks, receipt_blocks
from bot.text import mrkdwn
from bot.values import Answer, Citation, DocumentStatus, FileProgress, Passage, Usage, new_id
from tests.attacks import sabotage as controls
from tests.attacks.mrkdwn_fuzz import string
from tests.attacks.slack_reader import live_in, seen_in, squashed
from tests.faults.report import Figure, Result, Scale

NUMBER, TITLE = 13, "markup in everything that is shown"
SABOTAGES = {
    "escape": "tokens",
    "markdown": "markdown",
    "addresses": "addresses",
    "held": "cut_tokens",
    "visible": "unseen",
    "plain": "tokens",
}

STRINGS = {Scale.QUICK: 1_000, Scale.FULL: 5_000, Scale.SELFTEST: 300}
PERMALINK = "https://workspace.slack.test/archives/C1/p1700000000000100"
_EVIDENCE = 10

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message, and the texts that it must show."""

    where: str
    message: Message
    shows: tuple[str, ...]


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    controls.switch_off(sabotage)
    dice = random.Random(seed)
    tally = Tally()
    for _ in range(STRINGS[scale]):
        text = string(dice)
        for rendered in everything_shown(text):
            tally.count(rendered)
        tally.count_stream(_streamed(text, dice), text)
    return Result(NUMBER, TITLE, scale.value, seed, tally.figures(STRINGS[scale]), tally.evidence[:_EVIDENCE])


class Tally:
    """What became live, by kind, and what was lost."""

    def __init__(self) -> None:
        self.evidence: list[str] = []
        self._live = dict.fromkeys(("token", "markdown", "address", "link", "unseen"), 0)
        self._cut = self._messages = self._lost = 0

    def count(self, rendered: Rendered) -> None:
        """Count what is live in one message, and whether its texts can be read there."""
        self._messages += 1
        for found in live_in(rendered.message, is_ours=PERMALINK.__eq__):
            self._live[found.partition(":")[0]] += 1
            self.evidence.append(f"{rendered.where}: {found}")
        seen = seen_in(rendered.message)
        for text in rendered.shows:
            if squashed(text) not in seen:
                self._lost += 1
                self.evidence.append(f"{rendered.where}: lost {text!r} in {rendered.message!r}")

    def count_stream(self, pieces: list[str], text: str) -> None:
        """Count what is live in the text that these pieces come to, on any of the way."""
        self._messages += 1
        whole = ""
        for piece in pieces:
            whole += piece
            if live := live_in({"markdown_text": whole}, is_ours=PERMALINK.__eq__):
                self._cut += 1
                self.evidence.append(f"stream: {live[0]}")
        if squashed(text) != seen_in({"markdown_text": whole}):
            self._lost += 1
            self.evidence.append(f"stream: {text!r} became {whole!r}")

    def figures(self, strings: int) -> list[Figure]:
        """Return the figures of so many strings."""

        def none(name: str, title: str, value: int) -> Figure:
            return Figure(name, title, value, at_most=0, of=self._messages)

        return [
            Figure("strings", "hostile strings", strings),
            none("tokens", "messages with tokens of Slack's that we didn't build", self._live["token"]),
            none("markdown", "with live Markdown links, images or HTML", self._live["markdown"]),
            none("addresses", "with addresses that Slack may make links of", self._live["address"]),
            none("links", "with links other than ours", self._live["link"]),
            none("unseen", "with characters that nobody can see", self._live["unseen"]),
            none("cut_tokens", "streams that are live at some piece", self._cut),
            none("lost", "whose visible text isn't what came in", self._lost),
        ]


def everything_shown(text: str) -> Iterator[Rendered]:
    """Yield each kind of message of the bot's with this text in all its places."""
    for where, render in _RENDERERS.items():
        message, *shows = render(text)
        yield Rendered(where, message, tuple(shows))


def _streamed(text: str, dice: random.Random) -> list[str]:
    """Return what is appended when a model says this in pieces of one to nine characters."""
    stream, pieces, at = mrkdwn.InertStream(), [], 0
    while at < len(text):
        size = dice.randint(1, 9)
        pieces.append(stream.feed(text[at : at + size]))
        at += size
    return [*pieces, stream.close()]


Shown = tuple[Any, ...]
"""The message, then what it must show."""


def _answer(text: str) -> Shown:
    answer = Answer(text, (_citation(text),), found=True, usage=Usage("m", 0, 0), unread=(text,))
    under = blocks.answer_blocks(answer, question_ref="C1:1")
    message = {"text": blocks.summary(text), "blocks": blocks.message_blocks(text, under)}
    return message, text, _name(text)


def _nothing_found(text: str) -> Shown:
    answer = Answer(text, (), found=False, usage=Usage("m", 0, 0))
    return {"text": blocks.summary(text), "blocks": blocks.answer_blocks(answer, question_ref=text)}, text


def _passages(text: str) -> Shown:
    passage = Passage(new_id(), new_id(), text, text, 0, len(text), 3, text, 0.5, 0.5, 0.5)
    pager = blocks.pager("find_more", forward={"words": text, "offset": 5}, label="More")
    return {"text": "1 passage", "blocks": blocks.passage_blocks([passage]) + pager}, text, _name(text)


def _document(text: str) -> DocumentView:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return DocumentView(new_id(), new_id(), text, DocumentStatus.ERROR, text, None, 1, 1, now, text, ())


def _document_card(text: str) -> Shown:
    return {"text": "Document", "blocks": document_blocks.document_blocks(_document(text))}, text, _name(text)


def _document_list(text: str) -> Shown:
    page = DocumentPage((_document(text),), new_id())
    return {"text": "Documents", "blocks": document_blocks.list_blocks(page)}, text, _name(text)


def _deletion(text: str) -> Shown:
    return {"text": "Delete?", "blocks": document_blocks.confirm_blocks(_document(text))}, _name(text)


def _receipt(text: str, *, status: DocumentStatus, error: str | None = None, **more: Any) -> Shown:
    files = [FileProgress("F1", text, status, error, **more)]
    message = {"text": receipt_blocks.receipt_text(files), "blocks": receipt_blocks.receipt_blocks(files)}
    return message, _name(text), error or ""


def _failed_receipt(text: str) -> Shown:
    return _receipt(text, status=DocumentStatus.ERROR, error=text, is_done=True)


def _apology(text: str) -> Shown:
    message = {"text": blocks.summary(text), "blocks": blocks.apology_blocks(text, [_citation(text)])}
    return message, text, _name(text)


def _sentence(text: str) -> Shown:
    return {"text": blocks.summary(f"{text} is forgotten."), "blocks": blocks.said(f"{text} is forgotten.")}, text


def _status(text: str) -> Shown:
    return {"text": blocks.summary(f"Reading {turns._listed((text,))} …")}, _name(text, limit=100)


def _citation(text: str) -> Citation:
    return Citation(1, new_id(), new_id(), text, 3, text, 0, len(text), PERMALINK)


def _name(text: str, *, limit: int = 200) -> str:
    """Return as much of a name as is surely shown."""
    return squashed(text)[: limit // 2]


_RENDERERS: dict[str, Callable[[str], Shown]] = {
    "answer": _answer,
    "nothing found": _nothing_found,
    "search result": _passages,
    "document": _document_card,
    "list of documents": _document_list,
    "question before deletion": _deletion,
    "receipt": partial(_receipt, status=DocumentStatus.READY),
    "receipt of one being read": partial(_receipt, status=DocumentStatus.PROCESSING, is_waiting=True),
    "receipt of a failure": _failed_receipt,
    "apology": _apology,
    "sentence": _sentence,
    "status": _status,
}
