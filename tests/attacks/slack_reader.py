"""What Slack, and a person, would make of a message of the bot's: written without a look at how the bot writes them.

Markdown is read by markdown-it, a full CommonMark parser. What Slack makes of addresses without a scheme isn't
documented, so whatever looks like a host's name counts as a link here.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

Json = Mapping[str, Any]

_SLACK_TOKEN = re.compile(r"<(?:[!@#]|[a-z][\w+.-]*:)", re.IGNORECASE)
_SCHEME = re.compile(r"\b(?:mailto|tel|slack|data|javascript):[\w+/]", re.IGNORECASE)
_ADDRESS = re.compile(r"\w://|\bwww\.\w|[\w.+-]@[\w-]+\.\w|[\w-]\.[^\W\d_]{2,}|[\w-][。．｡][a-z]{2,}", re.IGNORECASE)
_HIDING = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\u061c\ufeff\U000e0000-\U000e007f\x00\x1b]")
_JOINER = "\u2060"
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
_LIVE = frozenset({"link_open", "image", "html_block", "html_inline", "definition"})
_EMOJI = frozenset({"white_check_mark", "warning", "hourglass_flowing_sand"})


def live_in(message: Json, *, is_ours: Callable[[str], bool]) -> list[str]:
    """Return what is live in a message: `kind: text` each; kinds are token, markdown, address, link and unseen.

    `message` may hold `text`, `blocks` and `markdown_text`. Links of which `is_ours` says so
    were built by us.
    """
    found = []
    if text := message.get("text"):
        found += [f"token: {text!r}"] if "<" in text else []
        found += [f"address: {text!r}"] if re.search(r"\w://", text) else []  # parse=none makes none of bare hosts
    if markdown := message.get("markdown_text"):
        found += list(_live_markdown(markdown))
    for block in message.get("blocks") or ():
        found += list(_live_block(block, is_ours))
    return found + [f"unseen: {text!r}" for text in texts_of(message) if _HIDING.search(text)]


def squashed(text: str) -> str:
    """Return what is seen of a text, white space left out: equal for two texts that a person reads alike."""
    return "".join(c for c in text if not c.isspace() and c not in _UNSEEN and not _is_unseen(c))


def seen_in(message: Json) -> str:
    """Return all that a person can read in a message, squashed; Markdown with its marks."""
    return squashed("\n".join(texts_of(message)))


def texts_of(message: Json) -> Iterator[str]:
    """Yield every text of a message; entities decoded where Slack decodes them."""
    for name in ("text", "markdown_text"):
        if message.get(name):
            yield _decoded(message[name])
    for block in message.get("blocks") or ():
        yield from _texts_in(block)


def _is_unseen(character: str) -> bool:
    code = ord(character)
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs"}
    return hidden or 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF


def _live_markdown(text: str) -> Iterator[str]:
    if _SLACK_TOKEN.search(text) or "<" in text:
        yield f"token: {text!r}"
    for token in _walk(_MARKDOWN.parse(text)):
        if token.type in _LIVE:
            yield f"markdown: {token.type} {text!r}"
    source = html.unescape(text)
    if _SCHEME.search(source) or _ADDRESS.search(source) or _ADDRESS.search(_rendered(text)):
        yield f"address: {text!r}"


def _walk(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or ())


def _rendered(text: str) -> str:
    """Return the words of a Markdown text as they stand on the screen, a line for each paragraph."""
    inlines = (token for token in _MARKDOWN.parse(text) if token.type == "inline")
    return "\n".join(
        "".join(" " if child.type.endswith("break") else child.content for child in inline.children or ())
        for inline in inlines
    )


def _live_block(block: Json, is_ours: Callable[[str], bool]) -> Iterator[str]:
    if block.get("type") == "markdown":
        yield from _live_markdown(block["text"])
        return
    kind = block.get("type")
    if kind == "mrkdwn" and (block.get("verbatim") is not True or "<" in block["text"]):
        yield f"token: {block['text']!r}"
    if kind == "plain_text" and block.get("emoji") is not False:
        yield f"token: {block['text']!r}"
    if kind == "link" and not is_ours(block["url"]):
        yield f"link: {block['url']}"
    if kind == "emoji" and block["name"] not in _EMOJI:
        yield f"token: :{block['name']}:"
    if kind in {"user", "usergroup", "broadcast", "channel", "team", "date", "image", "video"} or "image_url" in block:
        yield f"token: {block}"
    for inner in _inside(block):
        yield from _live_block(inner, is_ours)


def _texts_in(block: Json) -> Iterator[str]:
    text = block.get("text")
    if isinstance(text, str):
        yield _decoded(text) if block.get("type") in {"markdown", "mrkdwn"} else text
    for inner in _inside(block):
        yield from _texts_in(inner)


def _inside(block: Json) -> Iterator[Json]:
    for value in block.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield inner


def _decoded(text: str) -> str:
    return text.replace(_JOINER, "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
