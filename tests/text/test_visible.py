"""What is seen of a text, and names on one line."""

from __future__ import annotations

from bot.text.visible import line_of, visible


def test_a_name_is_one_line_of_what_can_be_seen() -> None:
    assert line_of("invoice\u202efdp.exe\n\n✓ read", limit=40) == "invoicefdp.exe ✓ read"
    assert line_of("\u200b\U000e0041 \n", limit=40) == "–"
    assert line_of("x" * 50, limit=40) == "x" * 39 + "…"


def test_plain_words_and_lines_stay() -> None:
    assert visible("a b") == "a b"
    assert visible("a\n\tb\u00adc") == "a\n\tbc"
