from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.parsing.clean import clean_text, demote_false_headings, reflow, strip_markup


@given(st.text(alphabet=st.characters(codec=None)))
def test_clean_text_can_be_stored_whatever_it_was(text: str) -> None:
    cleaned = clean_text(text + "\x00\ud800")

    cleaned.encode("utf-8")
    assert "\x00" not in cleaned
    assert "\r" not in cleaned


def test_line_ends_become_one_newline_each() -> None:
    assert clean_text("\ufeffa\r\nb\rc\nd") == "a\nb\nc\nd"


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("**Bold** and *slanted* and ***both***.", "Bold and slanted and both."),
        ("See [the form](https://x.y/a_(b)) now", "See the form now"),
        ("![A chart](chart.png) shows", "A chart shows"),
        ("![SVG](data:image/svg+xml;base64,AAAA=) text", " text"),
        (r"1\. costs 5 \* 3 \> 2 \[sic\]", "1. costs 5 * 3 > 2 [sic]"),
        ("* bullet\n- other", "* bullet\n- other"),
        ("5*3*2 and `a*b*c` and snake_case", "5*3*2 and `a*b*c` and snake_case"),
        ("# Heading\n\n| a | b |\n| --- | --- |", "# Heading\n\n| a | b |\n| --- | --- |"),
        ("before\n```\n**kept** \\* [x](y)\n```\n**not**", "before\n```\n**kept** \\* [x](y)\n```\nnot"),
        ("###### \n\ntext", "text"),
    ],
)
def test_words_stay_and_marks_go(markdown: str, words: str) -> None:
    assert strip_markup(markdown, escaped=True) == words


def test_backslashes_of_the_document_stay_where_the_parser_escapes_nothing() -> None:
    assert strip_markup(r"C:\.git and **bold**", escaped=False) == r"C:\.git and bold"


def test_markup_of_a_hostile_text_costs_linear_time() -> None:
    for unit in ("[", "![", "![](", "`", "*", "\\", "[a](", "**a"):
        strip_markup(unit * 50_000, escaped=True)


def test_a_level_most_paragraphs_stand_on_is_no_heading() -> None:
    text = "# Title\n\n" + "\n\n".join(f"###### Paragraph {n}." for n in range(10))

    assert demote_false_headings(text) == text.replace("###### ", "")


def test_true_headings_stay() -> None:
    text = "\n\n".join(f"## Part {n}\n\nText.\n\nMore." for n in range(10))

    assert demote_false_headings(text) == text


def test_a_hyphenated_break_is_closed_and_a_bullet_begins_a_line() -> None:
    page = "owned by shareholders of less than five per cent, so-called five-\npercent holders\n• first\n• second"

    assert reflow(page).split("\n") == [
        "owned by shareholders of less than five per cent, so-called five-percent holders",
        "• first",
        "• second",
    ]


def test_an_empty_page_flows_to_nothing() -> None:
    assert reflow(" \n\n") == ""
