"""Bytes to characters, for the kinds of text that don't say how they are encoded."""

from __future__ import annotations

import codecs
import re

from bot.parsing.reasons import Reason, Unparsable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins the same
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE_BYTES = 64 * 1024
_UTF16_NUL_SHARE = 0.3
_BINARY_CONTROL_SHARE = 0.01
_UTF8_CONTROL_SHARE = 0.1
"""Bytes that are valid UTF-8 are text more surely: machine code of small numbers still isn't."""
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\v\b\x1b")) + b"\x7f"
_LEGACY = (
    "cp",
    "iso8859-",
    "iso2022",
    "mac-",
    "koi8",
    "shift_jis",
    "euc",
    "gb",
    "big5",
    "johab",
    "hz",
    "ptcp154",
    "tis",
)
_DECLARED = re.compile(
    rb"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{2,40})|encoding=[\"']([A-Za-z0-9_.:-]{2,40})[\"']", re.IGNORECASE
)


def text_from(data: bytes) -> str:
    """Return the characters of a text file: by its byte order mark, else UTF-8, UTF-16, what it declares, Windows-1252.

    Raises Unparsable (UNSUPPORTED) for bytes that are no text in any of these. Never fails on a single bad byte.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _text_from_legacy(data)
    wide = _wide_encoding(data)
    if wide:
        return data.decode(wide, "replace")
    _require_text(data, control_share=_UTF8_CONTROL_SHARE)
    return text


def _text_from_legacy(data: bytes) -> str:
    wide = _wide_encoding(data)
    if wide:
        return data.decode(wide, "replace")
    _require_text(data, control_share=_BINARY_CONTROL_SHARE)
    return data.decode(_declared_encoding(data), "replace")


def _require_text(data: bytes, *, control_share: float) -> None:
    """Raise Unparsable when more of the first bytes than this are control characters."""
    sample = data[:_SAMPLE_BYTES]
    if len(sample) - len(sample.translate(None, _CONTROLS)) > control_share * len(sample):
        raise Unparsable(Reason.UNSUPPORTED, f"bytes that are no text, starting with {data[:12].hex()}")


def _declared_encoding(data: bytes) -> str:
    """Return the encoding that HTML or XML names in its first kilobytes, else Windows-1252, the commonest by far."""
    found = _DECLARED.search(data, 0, 4_096)
    if found is None:
        return "cp1252"
    try:
        encoding = codecs.lookup((found[1] or found[2]).decode("ascii")).name
    except LookupError:
        return "cp1252"
    return encoding if encoding.startswith(_LEGACY) and encoding != "iso8859-1" else "cp1252"


def _wide_encoding(data: bytes) -> str | None:
    """Return the UTF-16 flavour when every other byte is mostly NUL, as in Western text without a mark."""
    sample = data[:_SAMPLE_BYTES]
    half = len(sample) / 2
    if half and sample[1::2].count(0) > _UTF16_NUL_SHARE * half > sample[::2].count(0):
        return "utf-16-le"
    if half and sample[::2].count(0) > _UTF16_NUL_SHARE * half > sample[1::2].count(0):
        return "utf-16-be"
    return None
