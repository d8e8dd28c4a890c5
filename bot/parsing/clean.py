"""What a parser hands over, made fit to be quoted: one character at a time or one line at a time, no parsing."""

from __future__ import annotations

import re
from itertools import pairwise

_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_LINE_ENDS = re.compile(r"\r\n?")
_FENCE = re.compile(r"^(?:```|~~~)", re.MULTILINE)
_TARGET = r"\((?:<[^>\n]{0,2000}>|[^()\s]{0,2000}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?)\)"
_MARKUP = re.compile(
    r"(?P<code>`[^`\n]+`)"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|!\[[^\]\n]{0,500}\]\(<?data:[^)\n]*\)"
    r"|!\[(?P<picture>[^\]\n]{0,500})\]"
    + _TARGET
    + r"|\[(?P<link>[^\[\]\n]{0,500})\]"
    + _TARGET
    + r"|(?<!\*)\*{2,3}(?!\*)|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])"
)
_HEADING = re.compile(r"^(#{1,6}) +(?=\S)", re.MULTILINE)
_EMPTY_HEADING = re.compile(r"^#{1,6} *$\n*", re.MULTILINE)
_WIDE_LINE = 0.7
_ENDS_SENTENCE = tuple(".!?:;")
_BULLETS = "•‣▪–●○◦-*"


def clean_text(text: str) -> str:
    """Return `text` as PostgreSQL and UTF-8 take it: NUL and lone surrogates become U+FFFD, line ends one newline each."""
    return _LINE_ENDS.sub("\n", _FORBIDDEN.sub("\ufffd", text.removeprefix("\ufeff")))


def strip_markup(markdown: str, *, escaped: bool) -> str:
    r"""Return Markdown that a parser wrote with the inline marks taken out: emphasis, links, pictures, escapes.

    Words stay as the document has them, so that a quote reads as it does there; headings, lists, tables and fenced
    code stay marked. `escaped` tells that the parser wrote `\*` for a star of the document's own.
    """
    pieces = _FENCE.split(markdown)
    marks = _FENCE.findall(markdown)
    for index in range(0, len(pieces), 2):  # every second piece stands between fences
        pieces[index] = _MARKUP.sub(lambda found: _words_of(found, escaped=escaped), pieces[index])
    text = pieces[0] + "".join(mark + piece for mark, piece in zip(marks, pieces[1:], strict=True))
    return _EMPTY_HEADING.sub("", text)


def _words_of(found: re.Match[str], *, escaped: bool) -> str:
    if found["code"]:
        return found["code"]
    if found["escaped"]:
        return found["escaped"] if escaped else found[0]
    return found["picture"] or found["link"] or ""


def demote_false_headings(markdown: str) -> str:
    """Return `markdown` with a heading level made plain text when most paragraphs stand on it.

    Some writers give body text an outline level; kreuzberg takes that for a heading.
    """
    paragraphs = max(1, sum(1 for paragraph in markdown.split("\n\n") if paragraph.strip()))
    levels = [len(found[1]) for found in _HEADING.finditer(markdown)]
    false = {level for level in set(levels) if levels.count(level) > max(5, paragraphs / 2)}
    return _HEADING.sub(lambda found: "" if len(found[1]) in false else found[0], markdown)


def reflow(page: str) -> str:
    """Return a page of a PDF with the line breaks inside its paragraphs turned to spaces.

    A break stays where a line ends early, where the next one is a bullet, and around table rows, which are short.
    """
    lines = [line.strip() for line in page.split("\n")]
    widths = sorted(len(line) for line in lines if line)
    if not widths:
        return ""
    wide = _WIDE_LINE * widths[len(widths) * 9 // 10]
    out = [lines[0]]
    for line, following in pairwise(lines):
        out.append(_joint(line, following, wide) + following)
    return "".join(out).strip()


def _joint(line: str, following: str, wide: float) -> str:
    if not line or not following or following[0] in _BULLETS:
        return "\n"
    if line.endswith("-") and line[-2:-1].isalnum() and following[0].isalnum():
        return ""
    runs_on = len(line) >= wide and not line.endswith(_ENDS_SENTENCE)
    return " " if runs_on or following[0].islower() else "\n"
