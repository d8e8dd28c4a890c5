"""What crosses the wall between the bot and the child that opens a file: a line of JSON, then raw bytes.

The child must start fast, so nothing here (or in what the child imports) loads `bot.values` with its numpy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from bot.parsing.reasons import Limits, Reason, Unparsable

MAX_HEADER_BYTES = 256 * 1024
"""Room for the title and the spans of 2,000 pages (about 25 bytes each), several times over."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file as text. `pages` are (number, start, end) in characters of `text`, in order, without overlap."""

    text: str
    file_type: str
    pages: tuple[tuple[int, int, int], ...] = ()
    is_markdown: bool = False
    title: str | None = None
    language: str | None = None


def encode_request(filename: str, limits: Limits) -> bytes:
    """Return the header line that precedes the file's bytes."""
    return json.dumps({"filename": filename, "limits": asdict(limits)}).encode() + b"\n"


def decode_request(line: bytes) -> tuple[str, Limits]:
    """Return the file's name and the limits it is read under."""
    header = json.loads(line)
    return header["filename"], Limits(**header["limits"])


def encode_reply(parsed: Parsed) -> tuple[bytes, bytes]:
    """Return the header line and the text in UTF-8."""
    text = parsed.text.encode()
    header = {
        "file_type": parsed.file_type,
        "pages": parsed.pages,
        "is_markdown": parsed.is_markdown,
        "title": parsed.title,
        "language": parsed.language,
    }
    return json.dumps(header).encode() + b"\n", text


def encode_failure(failure: Unparsable) -> bytes:
    """Return the header line of a file that could not be read; no text follows."""
    return json.dumps({"reason": failure.reason, "detail": failure.detail[:2_000]}).encode() + b"\n"


def decode_reply(reply: bytes | bytearray) -> Parsed:
    """Return what the child read; raises Unparsable with the child's reason, or CRASHED for a reply that makes no sense.

    The child has opened foreign bytes and is not trusted: each field is checked before it is used.
    """
    end = reply.find(b"\n", 0, MAX_HEADER_BYTES)
    try:
        header = json.loads(reply[:end])
        if "reason" in header:
            raise Unparsable(Reason(header["reason"]), str(header["detail"]))
        text = str(memoryview(reply)[end + 1 :], "utf-8")
        return _checked(header, text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unparsable(Reason.CRASHED, f"the child's reply makes no sense: {error!r}") from error


def _checked(header: dict[str, Any], text: str) -> Parsed:
    pages = tuple((int(number), int(start), int(end)) for number, start, end in header["pages"])
    reached = 0
    for _, start, end in pages:
        if not reached <= start <= end <= len(text):
            raise ValueError(f"page span {start}:{end} lies outside the text or over another")
        reached = end
    return Parsed(
        text=text,
        file_type=str(header["file_type"])[:16],
        pages=pages,
        is_markdown=bool(header["is_markdown"]),
        title=None if header["title"] is None else str(header["title"]),
        language=None if header["language"] is None else str(header["language"])[:16],
    )
