"""Slack's own markup: read into plain text, and written so that foreign text stays text."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"<((?:[@#!]|[a-zA-Z][\w+.-]*:)[^<>]*)>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_WORD_JOINER = "\u2060"
_HOSTILE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def plain_from(markup: str, names: Mapping[str, str]) -> str:
    """Return a message as a person reads it: entities, links, channels and mentions resolved.

    `names` maps Slack ids (users, channels) to names; an unknown id stays as it is.
    """
    text = _TOKEN.sub(lambda match: _readable(match[1], names), markup)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text.strip()


def _readable(token: str, names: Mapping[str, str]) -> str:
    target, _, label = token.partition("|")
    match target[:1]:
        case "@":
            return "@" + (names.get(target[1:]) or label or target[1:])
        case "#":
            return "#" + (label or names.get(target[1:]) or target[1:])
        case "!":
            return "@" + (label.lstrip("@") or target[1:].partition("^")[0])
        case _:
            return f"{label} ({target})" if label and label != target else target


def mentioned_ids(markup: str) -> list[str]:
    """Return the ids of the people a message mentions, in order."""
    return re.findall(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>", markup)


def without_mention(markup: str, user_id: str) -> str:
    """Return the message without its mentions of `user_id`, a bot being spoken to, and the comma or colon after them.

    A colon that opens an emoji's name stays.
    """
    return re.sub(rf"<@{re.escape(user_id)}(?:\|[^>]*)?>\s*(?:,|:(?=\s|\Z))?\s*", "", markup).strip()


def escape(text: str) -> str:
    """Return foreign text for a `mrkdwn` or `text` field: no token of Slack's can come of it, and no link."""
    text = _HOSTILE.sub("", text).replace("://", f":{_WORD_JOINER}//")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def inert_markdown(text: str) -> str:
    """Return model or document text for a Markdown field: emphasis and lists live, links and images don't.

    Works on any text cut at white space: none of the broken forms spans any.
    """
    text = re.sub(r"(?m)^(\s*)&gt; ", r"\1> ", escape(text))
    return text.replace("](", "] (").replace("][", "] [").replace("]:", "] :").replace("![", "! [")


class InertStream:
    """Makes a stream of Markdown inert piece by piece: what might be half of a link waits for its other half."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what is safe to show now: everything up to the last white space."""
        text = self._held + piece
        cut = max(text.rfind(" "), text.rfind("\n")) + 1
        self._held = text[cut:]
        return inert_markdown(text[:cut])

    def close(self) -> str:
        """Return the rest."""
        text, self._held = self._held, ""
        return inert_markdown(text)
