from __future__ import annotations

import pytest

from bot.playground.state import Store, User
from bot.playground.typed import rich_text, stored_text


@pytest.fixture
def store() -> Store:
    store = Store()
    store.users["U1"] = User("U1", "Ada", store.team_id)
    store.users["U2"] = User("U2", "Ada Lovelace", store.team_id)
    return store


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("5 < 6 & 7 > 6", "5 &lt; 6 &amp; 7 &gt; 6"),
        ("@recollect when?", "<@U0RECOLLECT> when?"),
        ("ask @Ada, please", "ask <@U1>, please"),
        ("ask @Ada Lovelace", "ask <@U2>"),
        ("mail ada@recollect.example", "mail ada@recollect.example"),
        ("@Adamant isn't anybody", "@Adamant isn't anybody"),
        ("<@U1> <#C1|general> <!here>", "<@U1> <#C1|general> <!here>"),
        ("see https://example.com/a?b=1.", "see <https://example.com/a?b=1>."),
        ("<https://example.com|here>", "<https://example.com|here>"),
        ("<b>bold</b>", "&lt;b&gt;bold&lt;/b&gt;"),
        ("", ""),
    ],
)
def test_what_is_typed_is_stored_as_slack_stores_it(store: Store, typed: str, stored: str) -> None:
    assert stored_text(store, typed) == stored


def test_stored_text_has_its_marks_as_rich_text_elements() -> None:
    block = rich_text("<@U1> in <#C1|general> &lt;see&gt; <https://example.com> <!here>")

    [section] = block["elements"]
    assert section["elements"] == [
        {"type": "user", "user_id": "U1"},
        {"type": "text", "text": " in "},
        {"type": "channel", "channel_id": "C1"},
        {"type": "text", "text": " <see> "},
        {"type": "link", "url": "https://example.com"},
        {"type": "text", "text": " "},
        {"type": "broadcast", "range": "here"},
    ]
