"""Where sentences begin and end, in prose and in what documents hold besides: headings, lists, tables, records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple


class Kind(StrEnum):
    """What sort of text a span is."""

    PROSE = "prose"
    LINE = "line"
    HEADING = "heading"
    ITEM = "item"
    ROW = "row"


class Span(NamedTuple):
    """`text[start:end]` is one sentence, without white space at either end.

    A list item, a table row and a record of several indented lines count as one. A LINE stands alone and has no full
    stop: a heading perhaps. `context` is what stands over it: the heading, or a table's header row.
    """

    start: int
    end: int
    kind: Kind = Kind.PROSE
    context: str = ""


class _Line(NamedTuple):
    start: int
    end: int
    text: str


_HEADING = re.compile(r"#{1,6}\s+\S")
_ITEM = re.compile(r"\s*(?:[-*+•‣▪–]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_BULLET = re.compile(r"^[-*+•‣▪–]\s+")
_ROW = re.compile(r"\s*\|.*\|\s*$")
_RULE = re.compile(r"\s*+(?:(?:\|\s*+)?:?-{3,}:?\s*+(?:\|\s*+:?-{3,}:?\s*+)*\|?|[-*_=]{3,})\s*$")
_RECORD = re.compile(r"\S.*:\s*$")
_INDENTED = re.compile(r"\s+\S")
_CLOSED = re.compile(r"[.!?…:;。！？][\"'”’)\]*_]*(?:\s?\[\d{1,2}\])*\s*$")  # full-width stops are meant

# A stop, what closes with it, reference marks such as [1], then a space and no lower-case letter; or a full-width stop.
_STOP = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’)\]*_]*+(?:\s?\[\d{1,2}\])*+(?=\s++[^\sa-z])|(?<![。！？])[。！？]++[”’」』）]*"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]|Mrs?|Ms|Dr|Prof|St|Jr|Sr|Gen|Col|Lt|Capt|Sen|Rep|Rev|Hon|"
    r"Nos?|Fig|Figs|Eq|Sec|Ch|Vol|pp?|ed|eds|al|vs?|cf|etc|approx|ca|c|est|dept|ext|tel|Inc|Ltd|Co|Corp|Mt|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)
_ABBREVIATION_LENGTH = 24
_HEADING_LENGTH = 80
_ITEM_LENGTH = 300


def sentences(text: str) -> list[Span]:
    """Return the sentences of `text`, in order; [] for white space alone. They never overlap.

    Line breaks inside a paragraph (PDFs break each line) don't end a sentence, unless the line is clearly short.
    """
    return list(_split(text))


def reading(text: str, span: Span) -> str:
    """Return a span as one reads it aloud: on one line, a table's row as `name: cell` pairs, no bullet."""
    piece = " ".join(text[span.start : span.end].split())
    if span.kind is Kind.ITEM:
        return _BULLET.sub("", piece)
    if span.kind is not Kind.ROW:
        return piece
    cells, names = _cells(piece), _cells(span.context)
    if len(names) != len(cells):
        names = [""] * len(cells)
    return ", ".join(f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=True) if cell)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _split(text: str) -> Iterator[Span]:
    heading = header = ""
    for block in _blocks(text):
        first = block[0].text
        start, end = block[0].start, block[-1].end
        if _ROW.match(first):
            if header:
                yield _span(text, start, end, Kind.ROW, header)
            elif block[0].end < len(text) and _next_line_is_rule(text, block[0].end):
                header = first.strip()
            else:
                yield _span(text, start, end, Kind.ROW, heading)
            continue
        header = ""
        if _HEADING.match(first):
            heading = first.lstrip("# ").strip()
            yield _span(text, start, end, Kind.HEADING)
        elif _is_record(block) or (_ITEM.match(first) and end - start <= _ITEM_LENGTH):
            yield _span(text, start, end, Kind.ITEM, heading)
        elif len(block) == 1 and _looks_like_heading(first):
            yield _span(text, start, end, Kind.LINE, heading)
            heading = first.strip()
        else:
            for piece in _prose(text, block):
                yield _span(text, *piece, Kind.PROSE, heading)


def _blocks(text: str) -> Iterator[list[_Line]]:
    """Yield lines that belong together: a paragraph, a list item with its continuation, a row, a heading, a record."""
    block: list[_Line] = []
    for line in _lines(text):
        if block and not _continues(block, line.text):
            yield block
            block = []
        if line.text.strip() and not _RULE.match(line.text):
            block.append(line)
    if block:
        yield block


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
        yield _Line(start, start + len(body), body)
        start += len(line)


def _continues(block: list[_Line], line: str) -> bool:
    first = block[0].text
    if not line.strip() or _RULE.match(line) or _HEADING.match(first) or _ROW.match(first):
        return False
    if _RECORD.match(first) and _INDENTED.match(line) and not _ITEM.match(line):
        return True
    return not (_HEADING.match(line) or _ROW.match(line) or _ITEM.match(line))


def _is_record(block: list[_Line]) -> bool:
    return (
        len(block) > 1 and bool(_RECORD.match(block[0].text)) and all(_INDENTED.match(line.text) for line in block[1:])
    )


def _looks_like_heading(line: str) -> bool:
    if len(line) > _HEADING_LENGTH or _CLOSED.search(line) or not any(character.isalpha() for character in line):
        return False
    return len(list(_cut_at_stops(line, 0, len(line)))) == 1


def _next_line_is_rule(text: str, end: int) -> bool:
    return bool(_RULE.match(text[end:].lstrip("\r\n").split("\n", 1)[0]))


def _prose(text: str, block: list[_Line]) -> Iterator[tuple[int, int]]:
    longest = max(len(line.text) for line in block)
    start = block[0].start
    for line, following in pairwise(block):
        if _ends_at_break(line.text, following.text, longest):
            yield from _cut_at_stops(text, start, line.end)
            start = following.start
    yield from _cut_at_stops(text, start, block[-1].end)


def _ends_at_break(line: str, following: str, longest: int) -> bool:
    """Tell a line that ends by itself from one that was broken to fit the page."""
    return len(line) < longest / 2 and not following.lstrip()[:1].islower() and not line.rstrip().endswith(",")


def _cut_at_stops(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for stop in _STOP.finditer(text, start, end):
        if not _ABBREVIATION.search(text, max(start, stop.start() - _ABBREVIATION_LENGTH), stop.start() + 1):
            yield start, stop.end()
            start = stop.end()
    if text[start:end].strip():
        yield start, end


def _span(text: str, start: int, end: int, kind: Kind, context: str = "") -> Span:
    piece = text[start:end]
    return Span(start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()), kind, context)
