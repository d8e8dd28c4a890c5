"""PDF, Office, OpenDocument, EPUB, RTF and tables, read by kreuzberg. OCR is off."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from kreuzberg import (
    ConcurrencyConfig,
    ExtractionConfig,
    ExtractionResult,
    KreuzbergError,
    PageConfig,
    ValidationError,
    extract_bytes_sync,
)

from bot.parsing.clean import clean_text, demote_false_headings, reflow, strip_markup
from bot.parsing.container import check_container, holds
from bot.parsing.reasons import Limits, Reason, Unparsable
from bot.parsing.sniff import Kind

_MARKER = re.compile("\ue000slide ([0-9]{1,6})\ue001\\s*")
_MARKER_FORMAT = "\n\n\ue000slide {page_num}\ue001\n\n"
_SLIDE_RULE = re.compile(r"^-----$", re.MULTILINE)
_WORDS_RENDERED_BREAK = b"lastRenderedPageBreak"
_THREADS = 2
_COMPLETE = 0.95


class Pages(NamedTuple):
    """A document's text by page. A page may be empty; `numbered` is False for kinds without pages, which have one."""

    texts: list[str]
    numbered: bool
    is_markdown: bool
    title: str | None
    language: str | None


def read_office(data: bytes, kind: Kind, limits: Limits) -> Pages:
    """Return what kreuzberg reads in `data`; raises Unparsable."""
    if data.startswith(b"PK\x03\x04"):
        check_container(data, limits)
    is_markdown = kind.file_type not in {"pdf", "msg"}
    result = _extract(data, kind.mimetype, output_format="markdown" if is_markdown else "plain")
    texts = [text.strip() for text in _SPLITTERS.get(kind.file_type, _whole)(result, data)]
    title = result.metadata.get("title") or result.metadata.get("subject")
    language = result.metadata.get("language")
    return Pages(
        texts=texts,
        numbered=len(texts) > 1 or kind.file_type in {"pdf", "pptx", "xlsx", "xls", "xlsb", "ods"},
        is_markdown=is_markdown,
        title=title if isinstance(title, str) else None,
        language=language[:2].lower() if isinstance(language, str) else None,
    )


def _extract(data: bytes, mimetype: str, *, output_format: str) -> ExtractionResult:
    config = ExtractionConfig(
        use_cache=False,
        disable_ocr=True,  # type: ignore[call-arg]  # the stub of 4.10.4 lacks it, the class has it
        output_format=output_format,
        pages=PageConfig(
            extract_pages=True, insert_page_markers="presentation" in mimetype, marker_format=_MARKER_FORMAT
        ),
        concurrency=ConcurrencyConfig(max_threads=_THREADS),
    )
    try:
        return extract_bytes_sync(data, mimetype, config)
    except ValidationError as error:
        raise Unparsable(Reason.UNSUPPORTED, str(error)) from error
    except KreuzbergError as error:
        raise Unparsable(_reason_of(str(error)), str(error)) from error


def _reason_of(message: str) -> Reason:
    """Return the reason behind kreuzberg's error; its classes don't tell a password from a broken file."""
    lowered = message.lower()
    if "password" in lowered or "encrypted" in lowered:
        return Reason.ENCRYPTED
    return Reason.EXPANDS if "security limit" in lowered or "zip bomb" in lowered else Reason.DAMAGED


def _whole(result: ExtractionResult, _data: bytes) -> list[str]:
    return [_tidied(result.content)]


def _tidied(markdown: str) -> str:
    return strip_markup(demote_false_headings(clean_text(markdown)), escaped=True)


def _pdf_pages(result: ExtractionResult, _data: bytes) -> list[str]:
    return [reflow(clean_text(page["content"])) for page in result.pages or []]


def _mail(result: ExtractionResult, _data: bytes) -> list[str]:
    return [clean_text(result.content)]


def _word_pages(result: ExtractionResult, data: bytes) -> list[str]:
    """Return Word's own pages where Word left marks of them, else the whole.

    A hard page break is marked twice (by itself, and as rendered), which kreuzberg counts as an empty page: those go.
    Without rendered marks nobody knows where pages end, and a wrong page number is worse than none.
    """
    pages = [page["content"] for page in result.pages or [] if page["content"].strip()]
    complete = sum(map(_visible, pages)) >= _COMPLETE * _visible(result.content)
    if len(pages) < 2 or not complete or not holds(data, "word/document.xml", _WORDS_RENDERED_BREAK):  # noqa: PLR2004
        return _whole(result, data)
    joined = demote_false_headings(clean_text("\f".join(page.replace("\f", " ") for page in pages)))
    return [strip_markup(page, escaped=False) for page in joined.split("\f")]


def _visible(text: str) -> int:
    return sum(character.isalnum() for character in text)


def _slides(result: ExtractionResult, data: bytes) -> list[str]:
    pieces = _MARKER.split(result.content)
    slides = {int(number): text for number, text in zip(pieces[1::2], pieces[2::2], strict=True)}
    if not slides or pieces[0].strip():
        return _whole(result, data)
    return [_tidied(slides.get(number, "")) for number in range(1, max(slides) + 1)]


def _old_slides(result: ExtractionResult, data: bytes) -> list[str]:
    """Return the slides of a PPT where as many are marked as the file says it has, else the whole."""
    slides = _SLIDE_RULE.split(result.content.removeprefix("-----\n"))
    if len(slides) != (result.metadata.get("pages") or {}).get("total_count"):
        return _whole(result, data)
    return [_tidied(slide) for slide in slides]


def _sheets(result: ExtractionResult, _data: bytes) -> list[str]:
    """Return the sheets, cut where each one's own heading stands; empty sheets have none, and keep their number."""
    text, names = clean_text(result.content), result.metadata.get("sheet_names") or []
    starts = []
    reached = 0
    for name in names:
        found = text.find(f"## {name}\n", reached)
        starts.append(found)
        reached = max(reached, found)
    ends = [next((later for later in starts[index + 1 :] if later >= 0), len(text)) for index in range(len(starts))]
    sheets = [text[start:end].strip() if start >= 0 else "" for start, end in zip(starts, ends, strict=True)]
    return sheets if any(sheets) else [text]


_SPLITTERS: dict[str, Callable[[ExtractionResult, bytes], list[str]]] = {
    "pdf": _pdf_pages,
    "docx": _word_pages,
    "pptx": _slides,
    "odp": _slides,
    "ppt": _old_slides,
    "xlsx": _sheets,
    "xlsb": _sheets,
    "xls": _sheets,
    "ods": _sheets,
    "msg": _mail,
}
