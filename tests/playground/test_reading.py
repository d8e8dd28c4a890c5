from __future__ import annotations

from bot.playground.reading import quotes_of, words_of
from bot.playground.state import Json, Message


def message(text: str = "", *blocks: Json) -> Message:
    return Message("C1", "1.000001", "U1", text, blocks=list(blocks))


def quote(*texts: str) -> Json:
    elements = [{"type": "text", "text": text} for text in texts]
    return {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": elements}]}


def test_quotes_are_quote_blocks_and_quoted_lines() -> None:
    said = message(
        "Two sources:\n> We open at\n> eight.\nand\n&gt; close at six",
        quote("Reception is ", "open."),
        {"type": "section", "text": {"type": "mrkdwn", "text": "no quote\n>one &amp; only"}},
        {"type": "markdown", "text": "> marked down"},
    )

    assert quotes_of(said) == [
        "Reception is open.",
        "We open at\neight.",
        "close at six",
        "one & only",
        "marked down",
    ]


def test_quotes_are_found_inside_containers() -> None:
    container = {"type": "container", "child_blocks": [quote("inside")]}

    assert quotes_of(message("", container)) == ["inside"]


def test_words_are_everything_a_person_can_read() -> None:
    button = {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Press me"}}
    items = [{"type": "rich_text_section", "elements": [{"type": "text", "text": "listed"}]}]
    said = message(
        "text",
        {"type": "header", "text": {"type": "plain_text", "text": "header"}},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "field"}]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "context"}]},
        {"type": "actions", "elements": [button]},
        {"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": items}]},
    )
    said.tasks["1"] = {"title": "Reading", "output": "12 pages"}

    words = words_of(said)

    for part in ("text", "header", "field", "context", "Press me", "listed", "Reading 12 pages"):
        assert part in words
