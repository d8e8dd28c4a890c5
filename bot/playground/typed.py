"""What a person types, turned into what Slack stores: escaped text with its mentions and links marked."""

from __future__ import annotations

import re

from bot.playground.state import Json, Store

MARKED = re.compile(r"<(?:@[UW][A-Z0-9]+|#[CG][A-Z0-9]+(?:\|[^<>|]*)?|!(?:here|channel|everyone)|https?://[^<>\s]+)>")
LINK = re.compile(r"https?://[^\s<>]+[^\s<>.,;:!?)\]'\"]")


def stored_text(store: Store, typed: str) -> str:
    """Return `typed` as Slack keeps it. Marks that are there already (`<@U…>`, `<https://…>`) stay as they are."""
    parts: list[str] = []
    end = 0
    for mark in MARKED.finditer(typed):
        parts += [_plain(store, typed[end : mark.start()]), mark[0]]
        end = mark.end()
    return "".join([*parts, _plain(store, typed[end:])])


def rich_text(text: str) -> Json:
    """Return the rich text block Slack adds to a stored text, its marks as elements of their own."""
    elements: list[Json] = []
    end = 0
    for mark in MARKED.finditer(text):
        elements += _text_element(text[end : mark.start()])
        elements.append(_mark_element(mark[0][1:-1]))
        end = mark.end()
    elements += _text_element(text[end:])
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def _plain(store: Store, typed: str) -> str:
    escaped = typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    linked = LINK.sub(lambda link: f"<{link[0]}>", escaped)
    people = {user.name.lower(): user.id for user in store.users.values()}
    if not people or "@" not in linked:
        return linked
    names = "|".join(re.escape(name) for name in sorted(people, key=len, reverse=True))
    return re.sub(rf"(?<!\w)@({names})\b", lambda name: f"<@{people[name[1].lower()]}>", linked, flags=re.IGNORECASE)


def _text_element(text: str) -> list[Json]:
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return [{"type": "text", "text": plain}] if plain else []


def _mark_element(mark: str) -> Json:
    if mark.startswith("@"):
        return {"type": "user", "user_id": mark[1:]}
    if mark.startswith("#"):
        return {"type": "channel", "channel_id": mark[1:].partition("|")[0]}
    if mark.startswith("!"):
        return {"type": "broadcast", "range": mark[1:]}
    return {"type": "link", "url": mark}
