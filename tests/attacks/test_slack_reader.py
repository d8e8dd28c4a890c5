"""The reader that judges what the bot shows: it sees what is live, and what is lost."""

from __future__ import annotations

import pytest

from tests.attacks.slack_reader import live_in, seen_in, squashed

OURS = "https://workspace.slack.test/archives/C1/p1"


def rich(*elements: dict[str, object]) -> dict[str, object]:
    section = {"type": "rich_text_section", "elements": list(elements)}
    return {"blocks": [{"type": "rich_text", "elements": [section]}]}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"text": "<!channel>"}, "token"),
        ({"text": "see https://evil.example"}, "address"),
        ({"markdown_text": "[a](b)"}, "markdown"),
        ({"markdown_text": "![a](b)"}, "markdown"),
        ({"markdown_text": "[a]\n\n[a]: b"}, "markdown"),
        ({"markdown_text": "<b>a</b>"}, "token"),
        ({"markdown_text": "notes.md"}, "address"),
        ({"markdown_text": "a@b.c"}, "address"),
        ({"markdown_text": "e**vil.exam**ple"}, "address"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "a"}}]}, "token"),
        ({"blocks": [{"type": "context", "elements": [{"type": "plain_text", "text": ":x:"}]}]}, "token"),
        (rich({"type": "link", "url": "https://evil.example"}), "link"),
        (rich({"type": "user", "user_id": "U1"}), "token"),
        (rich({"type": "broadcast", "range": "channel"}), "token"),
        (rich({"type": "text", "text": "a\u202eb"}), "unseen"),
        ({"blocks": [{"type": "image", "image_url": "https://evil.example/x.png"}]}, "token"),
    ],
)
def test_what_is_live_is_seen(message: dict[str, object], kind: str) -> None:
    assert kind in {found.partition(":")[0] for found in live_in(message, is_ours=OURS.__eq__)}


@pytest.mark.parametrize(
    "message",
    [
        {"text": "a &lt;!channel&gt; of https:\u2060//evil.example"},
        {"markdown_text": "**a** [b] (c) &lt;d&gt; evil.\u2060example, 3.5 % e.g. \n> so\n- [1]"},
        rich({"type": "text", "text": "<!channel> https://evil.example"}),
        rich({"type": "link", "url": OURS, "text": "handbook.md"}),
    ],
)
def test_what_is_not_live_is_let_be(message: dict[str, object]) -> None:
    assert live_in(message, is_ours=OURS.__eq__) == []


def test_a_person_reads_texts_alike_that_differ_in_what_is_not_seen() -> None:
    assert squashed("a\u200b <b>\n") in seen_in({"text": "a &lt;b&gt;"})
    assert squashed("a") not in seen_in({"text": "b"})
