"""HTML to Markdown in one pass, without a tree: pages nested a thousand deep cost no more than flat ones.

Not kreuzberg's reader: that one gives nothing at all for pages nested deeper than 61 elements, misreads declared
encodings, and writes links and pictures into the words we quote.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SILENT = {"script", "style", "noscript", "template", "svg", "iframe"}
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "main", "nav", "ol", "p", "section", "summary",
    "ul",
}  # fmt: skip
_SPACE = re.compile(r"\s+")
_BLANK_LINES = re.compile(r"\n{3,}")


class _Table:
    """A table being read: rows of cells, each a list of pieces of text."""

    def __init__(self) -> None:
        self.rows: list[list[list[str]]] = []

    def open_cell(self) -> None:
        if not self.rows:
            self.rows.append([])
        self.rows[-1].append([])

    def markdown(self) -> str:
        rows = [[_tidy("".join(pieces)) for pieces in row] for row in self.rows]
        rows = [row for row in rows if any(row)]
        if any("\n" in cell for row in rows for cell in row) or all(len(row) == 1 for row in rows):
            return "\n\n".join(cell for row in rows for cell in row if cell)  # a table for the layout's sake
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        lines[1:1] = ["|" + " --- |" * len(rows[0])]
        return "\n".join(lines)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.title: list[str] = []
        self.language: str | None = None
        self._tables: list[_Table] = []
        self._lists: list[int | None] = []
        self._silent = 0
        self._pre = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html" and self.language is None:
            self.language = (dict(attrs).get("lang") or "")[:2].lower() or None
        self._in_title = tag == "title" and not self.title and not self._silent
        if tag in _SILENT:
            self._silent += 1
        elif not self._silent:
            self._open(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SILENT:
            super().handle_startendtag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif not self._silent:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self._write(data if self._pre else _SPACE.sub(" ", data))

    def _open(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._write("\n\n" + "#" * _HEADINGS[tag] + " ")
        elif tag == "br":
            self._write("\n")
        elif tag == "pre":
            self._pre += 1
            self._write("\n\n```\n")
        elif tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else None)
            self._write("\n")
        elif tag == "li":
            self._write("\n" + "  " * max(0, len(self._lists) - 1) + self._bullet())
        elif tag == "table":
            self._tables.append(_Table())
        elif tag == "tr" and self._tables:
            self._tables[-1].rows.append([])
        elif tag in {"td", "th"} and self._tables:
            self._tables[-1].open_cell()
        elif tag in _BLOCKS:
            self._write("\n\n")

    def _close(self, tag: str) -> None:
        if tag == "pre" and self._pre:
            self._pre -= 1
            self._write("\n```\n\n")
        elif tag in {"ul", "ol"}:
            if self._lists:
                self._lists.pop()
            self._write("\n")
        elif tag == "table" and self._tables:
            self._end_table()
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._write("\n\n")

    def _bullet(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return "- "
        self._lists[-1] += 1
        return f"{self._lists[-1]}. "

    def _end_table(self) -> None:
        table = self._tables.pop()
        self._write("\n\n" + table.markdown() + "\n\n")

    def _write(self, piece: str) -> None:
        table = self._tables[-1] if self._tables else None
        if table and table.rows and table.rows[-1]:
            table.rows[-1][-1].append(piece)
        else:
            self.out.append(piece)

    def finish(self) -> str:
        self.close()
        while self._tables:
            self._end_table()
        return _tidy("".join(self.out))


def markdown_from_html(html: str) -> tuple[str, str | None, str | None]:
    """Return the page's text as Markdown, its title and its language (two letters); links and pictures leave their words.

    Comments, scripts, styles and everything else that isn't shown is left out.
    """
    reader = _Reader()
    reader.feed(html)
    text = reader.finish()
    return text, _SPACE.sub(" ", "".join(reader.title)).strip() or None, reader.language


def _tidy(text: str) -> str:
    """Return `text` without spaces at the ends of lines, empty headings or bullets, and runs of blank lines."""
    fenced = False
    lines = []
    for line in text.split("\n"):
        fence = line.strip() == "```"
        fenced ^= fence
        kept = line.rstrip() if fenced or fence or _is_indented_bullet(line) else line.strip()
        if fenced or kept.strip("#- ") or not kept:
            lines.append(kept)
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def _is_indented_bullet(line: str) -> bool:
    return line.startswith("  ") and line.lstrip().startswith("- ")
