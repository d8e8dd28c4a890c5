"""Cuts a document into the pieces that are embedded, searched and quoted."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from bot.text.headings import PATH_SEPARATOR
from bot.values import Chunk, PageSpan, ParsedDocument

_SECTION_CHARACTERS = 20_000
"""The splitter's time grows with the square of a text without line breaks: 15 s for a million letters, measured."""

_STRETCH = 1.25
_SHRINK = 0.95
_SLACK = 1.2
_MAX_HEADING_CHARACTERS = 120

_FENCE = re.compile(r" {0,3}(```|~~~)")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_SETEXT_TEXT = re.compile(r"\s*(?:$|[-*+>|#]|\d+[.)] )")
_BREAKS = ("\n\n", "\n", ". ", " ")

_Splitter = MarkdownSplitter | TextSplitter


class _Piece(NamedTuple):
    start: int
    end: int
    tokens: int


def chunk(
    document: ParsedDocument, *, count_tokens: Callable[[str], int], max_tokens: int, target_chars: int = 900
) -> list[Chunk]:
    """Return the chunks of `document` in order: about `target_chars` characters each, none of white space alone.

    `document.text[c.char_start:c.char_end] == c.text` for every one, exactly, and none passes `max_tokens` by
    `count_tokens` (a single character that does is kept: it can't be cut). None reaches over a page's end.
    `heading` is the path of Markdown headings in force where the chunk begins.
    """
    outline = _Outline(document.text) if document.is_markdown else None
    cutter = _Cutter(document, count_tokens=count_tokens, max_tokens=max_tokens, target_chars=target_chars)
    return [
        Chunk(
            index=index,
            text=document.text[piece.start : piece.end],
            char_start=piece.start,
            char_end=piece.end,
            token_count=piece.tokens,
            page=page,
            heading=outline.path_at(piece.start) if outline else None,
        )
        for index, (piece, page) in enumerate(cutter.pieces())
    ]


class _Cutter:
    def __init__(
        self, document: ParsedDocument, *, count_tokens: Callable[[str], int], max_tokens: int, target_chars: int
    ) -> None:
        self._document = document
        self._text = document.text
        self._count_tokens = count_tokens
        self._max_tokens = max_tokens
        self._target_chars = target_chars

    def pieces(self) -> Iterator[tuple[_Piece, int | None]]:
        for span in self._document.pages or (PageSpan(0, 0, len(self._text)),):
            for piece in self._with_their_headings(self._cut(span.start, span.end)):
                yield piece, span.number or None

    def _cut(self, start: int, end: int) -> Iterator[_Piece]:
        splitter = self._splitter(self._target_chars)
        for section_start, section_end in _sections(self._text, start, end):
            yield from self._split(splitter, section_start, section_end)

    def _split(self, splitter: _Splitter, start: int, end: int) -> Iterator[_Piece]:
        """Cut by characters, which is fast, and again by less where the tokens turn out to be too many."""
        for offset, text in splitter.chunk_indices(self._text[start:end]):
            if not text.strip():
                continue
            tokens = self._count_tokens(text)
            piece = _Piece(start + offset, start + offset + len(text), tokens)
            if tokens <= self._max_tokens or len(text) == 1:
                yield piece
            else:
                yield from self._split(self._splitter(self._smaller(len(text), tokens)), piece.start, piece.end)

    def _smaller(self, characters: int, tokens: int) -> int:
        """Return a capacity that cuts an over-long piece into even parts, rather than a full one and a scrap."""
        fitting = characters * self._max_tokens / tokens * _SHRINK
        parts = max(2, ceil(characters / fitting))
        return max(1, min(int(fitting), int(characters / parts * _SLACK), characters - 1))

    def _splitter(self, capacity: int) -> _Splitter:
        return MarkdownSplitter(capacity) if self._document.is_markdown else TextSplitter(capacity)

    def _with_their_headings(self, pieces: Iterator[_Piece]) -> Iterator[_Piece]:
        """Join a piece that holds nothing but a heading with what it heads, where both fit into one."""
        waiting: _Piece | None = None
        for piece in pieces:
            joined = self._joined(waiting, piece) if waiting else piece
            if waiting and joined is None:
                yield waiting
            current = joined or piece
            waiting = current if self._is_heading(current) else None
            if not waiting:
                yield current
        if waiting:
            yield waiting

    def _joined(self, first: _Piece, second: _Piece) -> _Piece | None:
        if second.end - first.start > self._target_chars * _STRETCH:
            return None
        tokens = self._count_tokens(self._text[first.start : second.end])
        return _Piece(first.start, second.end, tokens) if tokens <= self._max_tokens else None

    def _is_heading(self, piece: _Piece) -> bool:
        if not self._document.is_markdown:
            return False
        lines = self._text[piece.start : piece.end].split("\n")
        return all(not line.strip() or _ATX.match(line) for line in lines)


def _sections(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield spans of at most 20,000 characters that cover the whole, cut at the widest gap within reach."""
    while end - start > _SECTION_CHARACTERS:
        limit = start + _SECTION_CHARACTERS
        found = (text.rfind(gap, start + _SECTION_CHARACTERS // 2, limit) + len(gap) for gap in _BREAKS)
        cut = next((position for position in found if position > start + _SECTION_CHARACTERS // 2), limit)
        yield start, cut
        start = cut
    yield start, end


class _Outline:
    """The headings of a Markdown text, and the path of those in force at a place."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []
        self._paths: list[str] = []
        path: list[tuple[int, str]] = []
        for start, level, title in _headings(text):
            path = [(upper, name) for upper, name in path if upper < level]
            path.append((level, title))
            self._starts.append(start)
            self._paths.append(PATH_SEPARATOR.join(name for _, name in path))

    def path_at(self, position: int) -> str | None:
        """Return the path at `position`, a heading that begins there included; None before the first."""
        index = bisect_right(self._starts, position)
        return self._paths[index - 1] if index else None


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, level, title) of each heading outside code fences."""
    fence = ""
    start = previous_start = 0
    previous = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
        elif not fence and (found := _ATX.match(line)):
            yield from _titled(start, len(found[1]), found[2])
        elif not fence and _SETEXT.match(line) and not _NOT_SETEXT_TEXT.match(previous):
            yield from _titled(previous_start, 1 if "=" in line else 2, previous)
        previous, previous_start = line if not fence else "", start
        start += len(line) + 1


def _titled(start: int, level: int, title: str) -> Iterator[tuple[int, int, str]]:
    plain = title.strip().strip("*_`").strip()
    if plain:
        yield start, level, plain[:_MAX_HEADING_CHARACTERS]
