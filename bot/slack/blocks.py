"""Blocks, built by us alone. Foreign text stands in `rich_text` elements, which Slack never parses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bot.text.mrkdwn import escape, inert_markdown
from bot.text.visible import line_of, visible
from bot.values import Answer, Citation, Passage

Block = dict[str, Any]

QUOTE_LIMIT = 600
MARKDOWN_LIMIT = 11_500
"""Slack refuses about 13,200 characters of Markdown in one message, and documents 12,000."""
SUMMARY_LIMIT = 3_000
"""Of a message's `text`, which notifications show; chat.update refuses 4,000."""
VALUE_LIMIT = 2_000
"""Characters of a button's value."""
NAME_LIMIT = 200
"""Characters shown of a file's or a person's name."""
UNREAD_SHOWN = 10
_UNSEEN = "\N{REPLACEMENT CHARACTER}"


OFFER = "I may be able to say more to you alone, from what you may read yourself."


def literal(text: str, **style: bool) -> Block:
    """Return text that Slack shows as it is, without what nobody could see of it."""
    element: Block = {"type": "text", "text": visible(text) or _UNSEEN}
    return {**element, "style": style} if style else element


def section(*elements: Block) -> Block:
    """Return a line of rich text."""
    return {"type": "rich_text_section", "elements": list(elements)}


def quote(*elements: Block) -> Block:
    """Return a quotation in rich text."""
    return {"type": "rich_text_quote", "elements": list(elements)}


def rich_text(*parts: Block) -> Block:
    """Return a rich text block."""
    return {"type": "rich_text", "elements": list(parts)}


def context(text: str) -> Block:
    """Return a small grey line."""
    return {"type": "context", "elements": [plain(text, limit=2000)]}


def plain(text: str, *, limit: int) -> Block:
    """Return a text object in which Slack finds no markup, no link and no emoji."""
    return {"type": "plain_text", "text": _cut(visible(text), limit) or _UNSEEN, "emoji": False}


def button(label: str, action_id: str, value: str, *, style: str | None = None) -> Block:
    """Return a button; `value` comes back with the click."""
    block: Block = {
        "type": "button",
        "text": plain(label, limit=75),
        "action_id": action_id,
        "value": value,
    }
    return {**block, "style": style} if style else block


def actions(*buttons: Block) -> Block:
    """Return a row of buttons."""
    return {"type": "actions", "elements": list(buttons)}


def answer_blocks(answer: Answer, *, question_ref: str) -> list[Block]:
    """Return what stands under an answer's text: numbered sources, unread files, and ways on.

    An offer to say more in private is always the same sentence: everybody here reads it.
    """
    blocks, ways = source_blocks(answer.citations), []
    if answer.unread:
        unread = ", ".join(line_of(name, limit=NAME_LIMIT) for name in answer.unread[:UNREAD_SHOWN])
        blocks.append(context(f"Not read yet, so not used here: {unread}"))
    if answer.offers_more:
        blocks.append(context(OFFER))
        ways.append(button("Answer me privately", "answer_privately", question_ref))
    if not answer.found:
        ways.append(button("Show me the nearest passages", "nearest_passages", question_ref))
    return [*blocks, actions(*ways)] if ways else blocks


def source_blocks(citations: Sequence[Citation]) -> list[Block]:
    """Return the numbered sources: file, page, the quoted words, and a link to the message that shared it."""
    parts: list[Block] = []
    for citation in citations[:20]:
        parts.append(section(*_source_line(f"[{citation.number}] ", citation)))
        parts.append(quote(literal(_cut(citation.quote, QUOTE_LIMIT))))
    return [rich_text(*parts)] if parts else []


def apology_blocks(message: str, sources: Sequence[Citation]) -> list[Block]:
    """Return an apology with the passages quoted under it; nothing without any, since its text is enough then."""
    return [rich_text(section(literal(message))), *source_blocks(sources)] if sources else []


def _source_line(prefix: str, citation: Citation) -> list[Block]:
    place = _place(citation.filename, citation.page)
    if citation.permalink is None:
        return [literal(prefix), literal(place, bold=True)]
    return [literal(prefix), {"type": "link", "url": citation.permalink, "text": place, "style": {"bold": True}}]


def markdown(text: str) -> list[Block]:
    """Return text that is inert already as a block."""
    return [{"type": "markdown", "text": text}]


def inert_within(text: str) -> str:
    """Return an answer's text for a Markdown field, made inert, and cut at white space when it is too long for one."""
    inert = inert_markdown(text) or _UNSEEN
    if len(inert) <= MARKDOWN_LIMIT:
        return inert
    end = MARKDOWN_LIMIT - 1
    while end and not inert[end - 1].isspace():
        end -= 1
    return inert[: end or MARKDOWN_LIMIT - 1] + "…"


def said(text: str) -> list[Block]:
    """Return a sentence of ours, whatever names of others stand in it, as blocks."""
    return [rich_text(section(literal(text)))]


def summary(text: str) -> str:
    """Return text for a message's `text` field: escaped, and no longer than notifications need."""
    return escape(_cut(text, SUMMARY_LIMIT))[:SUMMARY_LIMIT]


def message_blocks(text: str, blocks: Sequence[Block]) -> list[Block]:
    """Return a whole answer as blocks: its text, then what stands under it."""
    return [*markdown(inert_within(text)), *blocks]


def passage_blocks(passages: Sequence[Passage], *, first: int = 1) -> list[Block]:
    """Return passages with their places, numbered from `first`."""
    parts: list[Block] = []
    for number, passage in enumerate(passages, first):
        heading = [literal(f" · {line_of(passage.heading, limit=NAME_LIMIT)}")] if passage.heading else []
        place = literal(_place(passage.filename, passage.page), bold=True)
        parts.append(section(literal(f"{number}. "), place, *heading))
        parts.append(quote(literal(_cut(passage.text.strip(), QUOTE_LIMIT))))
    return [rich_text(*parts)] if parts else []


def pager(action_id: str, *, forward: dict[str, Any] | None, label: str = "Next") -> list[Block]:
    """Return a button to the next page, or nothing at the end; `forward` is what the handler needs to go on."""
    if forward is None:
        return []
    return [actions(button(label, action_id, json.dumps(forward)))]


def _place(filename: str, page: int | None) -> str:
    name = line_of(filename, limit=NAME_LIMIT)
    return name if page is None else f"{name}, page {page}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
