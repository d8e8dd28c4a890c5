"""Bytes to text with pages. Runs in the child process alone: nothing else may open what strangers send."""

from __future__ import annotations

import re

from bot.parsing.clean import clean_text
from bot.parsing.decode import text_from
from bot.parsing.reasons import Limits, Reason, Unparsable
from bot.parsing.sniff import Kind, Reader, kind_of_binary, kind_of_text
from bot.parsing.wire import Parsed

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_FIRST_HEADING = re.compile(r"^# +(.{1,300}?)[ #]*$", re.MULTILINE)
_ORG_HEADING = re.compile(r"^(\*{1,6}) (?=\S)", re.MULTILINE)
_PAGE_BREAK = "\n\n"
_MAX_TITLE_CHARACTERS = 300


def parse(data: bytes, filename: str, limits: Limits) -> Parsed:
    """Return the text of a file, whatever its name says it is.

    Pages are joined by a blank line that belongs to none of them, so that spans are exact. Raises Unparsable.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise Unparsable(Reason.EMPTY)
    if len(data) > limits.file_bytes:
        raise Unparsable(Reason.FILE_TOO_LARGE, f"{len(data)} bytes")
    kind = kind_of_binary(data)
    parsed = _parse_office(data, kind, limits) if kind else _parse_text(data, filename, limits)
    if len(parsed.text) > limits.characters:
        raise Unparsable(Reason.TOO_MUCH_TEXT, f"{len(parsed.text)} characters")
    if not _LETTER_OR_DIGIT.search(parsed.text):
        raise Unparsable(Reason.NO_TEXT, f"{len(parsed.text)} characters, none a letter or digit")
    return parsed


def _parse_office(data: bytes, kind: Kind, limits: Limits) -> Parsed:
    from bot.parsing.office import read_office  # noqa: PLC0415 - kreuzberg costs 0.1 s that text files needn't pay

    pages = read_office(data, kind, limits)
    if pages.numbered and len(pages.texts) > limits.pages:
        raise Unparsable(Reason.TOO_MANY_PAGES, f"{len(pages.texts)} pages")
    text = _PAGE_BREAK.join(pages.texts)
    return Parsed(
        text=text,
        file_type=kind.file_type,
        pages=_spans_of(pages.texts) if pages.numbered else (),
        is_markdown=pages.is_markdown,
        title=_title_from(pages.title, text if pages.is_markdown else ""),
        language=pages.language,
    )


def _parse_text(data: bytes, filename: str, limits: Limits) -> Parsed:
    text = clean_text(text_from(data))
    kind = kind_of_text(text, filename)
    if kind.reader is Reader.OFFICE:
        return _parse_office(text.encode(), kind, limits)
    if kind.reader is Reader.WEB:
        return _parse_web(text, limits)
    if kind.reader is Reader.MAIL:
        return _parse_mail(data)
    if kind.file_type == "org":
        text = _ORG_HEADING.sub(lambda found: "#" * len(found[1]) + " ", text)
    is_markdown = kind.file_type in {"md", "org"}
    return Parsed(text, kind.file_type, is_markdown=is_markdown, title=_title_from(None, text if is_markdown else ""))


def _parse_web(html: str, limits: Limits) -> Parsed:
    from bot.parsing.webpage import markdown_from_html  # noqa: PLC0415 - only pages and mails need it

    if len(html) > limits.html_bytes:
        raise Unparsable(Reason.TOO_MUCH_HTML, f"{len(html)} characters")
    text, title, language = markdown_from_html(html)
    return Parsed(clean_text(text), "html", is_markdown=True, title=_title_from(title, text), language=language)


def _parse_mail(data: bytes) -> Parsed:
    from bot.parsing.mail import text_from_mail  # noqa: PLC0415 - the email package is slow to load

    text, subject = text_from_mail(data)
    return Parsed(clean_text(text), "eml", title=_title_from(subject, ""))


def _spans_of(texts: list[str]) -> tuple[tuple[int, int, int], ...]:
    spans = []
    start = 0
    for number, text in enumerate(texts, 1):
        spans.append((number, start, start + len(text)))
        start += len(text) + len(_PAGE_BREAK)
    return tuple(spans)


def _title_from(declared: str | None, markdown: str) -> str | None:
    """Return the title a file declares, else its first top heading."""
    title = " ".join(clean_text(declared or "").split())
    if not title and (heading := _FIRST_HEADING.search(markdown)):
        title = heading[1].strip()
    return title[:_MAX_TITLE_CHARACTERS] or None
