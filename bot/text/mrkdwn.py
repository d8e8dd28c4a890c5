"""Slack's own markup: read into plain text, and written so that foreign text stays text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.text.visible import visible

_TOKEN = re.compile(r"<((?:[@#!]|[a-zA-Z][\w+.-]*:)[^<>]*)>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_WORD_JOINER = "\u2060"
_BROKEN = rf"\g<0>{_WORD_JOINER}"
_SCHEME = re.compile(
    r"\b(?:mailto|tel|sms|sips?|skype|slack|file|data|javascript|facetime|callto|xmpp):(?=\S)", re.IGNORECASE
)
_MARKS = r"[*_~`\\]*"
_SLASHES = re.compile(rf":(?={_MARKS}/{_MARKS}/)")
"""What makes an address of a scheme, also where Markdown takes a mark out from between."""
_ADDRESS = re.compile(
    rf"(?<=\S)\.(?={_MARKS}[^\W\d_]{_MARKS}[^\W\d_])|(?<=\bwww)\.|(?<=[\w.+-])@(?=\w)"
    rf"|[。．｡](?={_MARKS}[a-z]{_MARKS}[a-z])",
    re.IGNORECASE,
)
"""What holds a host's name or a mail address together: Slack makes links of bare ones too, `notes.md` among them."""
_QUOTES = re.compile(r"(?m)^([ \t]*)&gt; ")
_LATER_QUOTES = re.compile(r"(\n[ \t]*)&gt; ")


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
    text = _SLASHES.sub(_BROKEN, visible(text))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def inert_markdown(text: str, *, begins_line: bool = True) -> str:
    """Return model or document text for a Markdown field: emphasis and lists live, links and images don't.

    What makes addresses links is broken by word joiners, which nobody sees; what makes brackets links, by spaces.
    Works on any text cut at white space: none of the broken forms spans any. `begins_line` tells whether the text
    stands at the beginning of a line, where `>` quotes.
    """
    text = _ADDRESS.sub(_BROKEN, _SCHEME.sub(_BROKEN, escape(text)))
    text = (_QUOTES if begins_line else _LATER_QUOTES).sub(r"\1> ", text)
    return text.replace("](", "] (").replace("][", "] [").replace("]:", "] :").replace("![", "! [")


class InertStream:
    """Makes a stream of Markdown inert piece by piece: what might be half of a link waits for its other half."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._begins_line = True

    def feed(self, piece: str) -> str:
        """Return what is safe to show now: everything up to the last white space."""
        cut = max(piece.rfind(" "), piece.rfind("\n")) + 1
        if not cut:
            self._held.append(piece)
            return ""
        text, self._held = "".join([*self._held, piece[:cut]]), [piece[cut:]]
        return self._inert(text)

    def close(self) -> str:
        """Return the rest."""
        text, self._held = "".join(self._held), []
        return self._inert(text)

    def _inert(self, text: str) -> str:
        shown = inert_markdown(text, begins_line=self._begins_line)
        *before, last = shown.rsplit("\n", 1)
        self._begins_line = not last.strip(" \t") and (bool(before) or self._begins_line)
        return shown
