from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextActionsBlock,
    ContextBlock,
    DividerBlock,
    FeedbackButtonObject,
    FeedbackButtonsElement,
    HeaderBlock,
    MarkdownBlock,
    MarkdownTextObject,
    RichTextBlock,
    RichTextElementParts,
    RichTextQuoteElement,
    RichTextSectionElement,
    SectionBlock,
    TaskCardBlock,
)

from bot.playground.block_rules import block_problems, markdown_length

PLAIN = {"type": "plain_text", "text": "Go"}


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def button(**changes: object) -> dict[str, Any]:
    return {"type": "button", "action_id": "go", "text": PLAIN, "value": "1", **changes}


SDK_BLOCKS: list[Block] = [
    SectionBlock(text="*words*", accessory=ButtonElement(text="Go", action_id="a", value="1")),
    SectionBlock(fields=["one", "two"]),
    HeaderBlock(text="Title"),
    DividerBlock(),
    MarkdownBlock(text="**words**"),
    ContextBlock(elements=[MarkdownTextObject(text="small")]),
    ActionsBlock(elements=[ButtonElement(text="Go", action_id="go", value="1", style="danger")]),
    ContextActionsBlock(
        elements=[
            FeedbackButtonsElement(
                action_id="feedback",
                positive_button=FeedbackButtonObject(text="Good", value="good"),
                negative_button=FeedbackButtonObject(text="Bad", value="bad"),
            )
        ]
    ),
    RichTextBlock(
        elements=[
            RichTextSectionElement(elements=[RichTextElementParts.Text(text="[1] ")]),
            RichTextQuoteElement(elements=[RichTextElementParts.Text(text="eight")]),
        ]
    ),
    TaskCardBlock(task_id="1", title="Reading", status="in_progress"),
]


@pytest.mark.parametrize("block", SDK_BLOCKS, ids=lambda block: str(block.type))
def test_blocks_built_by_the_sdk_are_in_order(block: Block) -> None:
    assert block_problems([block.to_dict()]) == []


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("words", "must be an object"),
        ({"type": "nope"}, "unsupported type"),
        ({"type": "section"}, "text or fields"),
        ({"type": "section", "text": {"type": "mrkdwn", "text": ""}}, "more than 0"),
        ({"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}, "less than 3001"),
        ({"type": "section", "fields": [PLAIN] * 11}, "no more than 10"),
        ({"type": "section", "text": PLAIN, "accessory": button(value="x" * 2001)}, "less than 2001"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "text object"),
        ({"type": "header", "text": plain("x" * 151)}, "less than 151"),
        ({"type": "markdown", "text": "x" * 12_001}, "less than 12001"),
        ({"type": "context", "elements": [PLAIN] * 11}, "no more than 10"),
        ({"type": "context", "elements": []}, "at least 1"),
        ({"type": "actions", "elements": [button(action_id=str(n)) for n in range(26)]}, "no more than 25"),
        ({"type": "actions", "elements": [button(), button()]}, "used twice"),
        ({"type": "actions", "elements": [button(text=plain("x" * 76))]}, "less than 76"),
        ({"type": "actions", "elements": [button(action_id="x" * 256)]}, "less than 256"),
        ({"type": "actions", "elements": [button(style="loud")]}, "primary or danger"),
        ({"type": "actions", "elements": [button(url="x" * 3001)]}, "less than 3001"),
        ({"type": "context_actions", "elements": [button()]}, "unsupported element"),
        ({"type": "rich_text", "elements": [{"type": "paragraph"}]}, "unsupported rich text"),
        (
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_quote", "elements": [{"type": "text", "text": ""}]}],
            },
            "more than 0",
        ),
        (
            {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "img"}]}]},
            "unsupported rich text element",
        ),
        ({"type": "task_card", "task_id": "1", "title": "t", "status": "lost"}, "unknown status"),
        ({"type": "plan", "title": "p", "tasks": [{"title": "t"}]}, "more than 0"),
        ({"type": "table", "rows": [[{}] * 21]}, "no more than 20"),
        ({"type": "alert"}, "text object"),
        ({"type": "input"}, "text object"),
        ({"type": "divider", "block_id": "x" * 256}, "longer than 255"),
    ],
)
def test_each_thing_slack_refuses_is_named(block: Any, problem: str) -> None:
    found = block_problems([block])

    assert len(found) == 1
    assert problem in found[0]
    assert "/blocks/0" in found[0]


def test_a_block_id_may_stand_once() -> None:
    block = {"type": "divider", "block_id": "same"}

    assert block_problems([block]) == []
    assert "used twice" in block_problems([block, block])[0]


def test_only_markdown_counts_towards_the_sum() -> None:
    blocks = [{"type": "markdown", "text": "four"}, {"type": "divider"}, {"type": "markdown", "text": "five!"}]

    assert markdown_length(blocks) == 9
