"""What a person can see of a text. What they can't, a model can read all the same, and a screen may be fooled by."""

from __future__ import annotations

import re

_HOSTILE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """Return `text` without what a person can't see and a model can: tags, controls, bidi marks, zero widths."""
    return text if text.isascii() and text.isprintable() else _HOSTILE.sub("", text)


def line_of(text: str, *, limit: int) -> str:
    """Return somebody's name for something on one line of at most `limit` characters; a dash when nothing is seen."""
    line = " ".join(visible(text[: 4 * limit]).split()) or "–"
    return line if len(line) <= limit else line[: limit - 1] + "…"
