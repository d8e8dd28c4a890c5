"""What comes over Socket Mode, read without trusting it: each envelope with its payload as Slack wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bot.slack.payloads import Body, is_name

_WHITE = " \t\n\r"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Envelope:
    """One envelope. `raw` is the payload byte for byte, `payload` what it says; both are empty where there is none."""

    kind: str
    envelope_id: str
    payload: Body
    raw: bytes
    reason: str
    attempt: int


def envelope_from(text: str) -> Envelope | None:
    """Return what Slack wrote; None for what isn't an object, nests beyond all reason, or says nothing of its kind."""
    try:
        fields = _fields(text)
    except (ValueError, TypeError, IndexError, RecursionError):
        return None
    values = {name: value for name, (value, _) in fields.items()}
    payload = values.get("payload")
    if not is_name(values.get("type")):
        return None
    attempt = values.get("retry_attempt")
    return Envelope(
        kind=values["type"],
        envelope_id=values["envelope_id"] if is_name(values.get("envelope_id")) else "",
        payload=payload if isinstance(payload, dict) else {},
        raw=fields["payload"][1].encode("utf-8", "surrogatepass") if isinstance(payload, dict) else b"",
        reason=str(values.get("reason") or values.get("retry_reason") or ""),
        attempt=attempt if isinstance(attempt, int) else 0,
    )


def _fields(text: str) -> dict[str, tuple[Any, str]]:
    """Return an object's fields, each with its value and the text of that. Raises ValueError or IndexError."""
    fields: dict[str, tuple[Any, str]] = {}
    at = _expect(text, 0, "{")
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        if not isinstance(name, str):
            raise TypeError("a name that is no text")
        begin = _expect(text, at, ":")
        value, end = _DECODER.raw_decode(text, begin)
        fields[name] = value, text[begin:end]
        at = _skip(text, end)
        if text[at] != "}":
            at = _expect(text, at, ",")
    if _skip(text, at + 1) < len(text):
        raise ValueError("text after the object")
    return fields


def _expect(text: str, at: int, mark: str) -> int:
    """Return where the text goes on after a mark and white space. Raises ValueError when something else stands there."""
    at = _skip(text, at)
    if text[at] != mark:
        raise ValueError(f"no {mark} at {at}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _WHITE:
        at += 1
    return at
