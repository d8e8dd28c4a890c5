from __future__ import annotations

import time

import pytest

from bot.parsing.webpage import markdown_from_html


def text_of(html: str) -> str:
    return markdown_from_html(html)[0]


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h2>Title</h2><p>One  two\nthree.</p><p>Four.</p>", "## Title\n\nOne two three.\n\nFour."),
        ("line<br>next<br/>last", "line\nnext\nlast"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "- a\n- b\n\n  - c"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
        ("a <b>bold</b> <a href='http://x'>link</a>.<img src=x alt=y>", "a bold link."),
        ("<pre>def f():\n    return 1</pre>", "```\ndef f():\n    return 1\n```"),
        ("5 &lt; 6 &amp; &eacute; &#x1F600;", "5 < 6 & é 😀"),
        ("a<!-- hidden --><script>var hidden</script><style>.hidden{}</style>b", "ab"),
        ("<p>a</p><svg><title>hidden</title><text>hidden</text></svg><p>b", "a\n\nb"),
        ("<p>a</p></div></table></td></ul>b", "a\n\nb"),
        ("<h1> </h1><ul><li></li></ul>words", "words"),
    ],
)
def test_html_becomes_markdown(html: str, markdown: str) -> None:
    assert text_of(html) == markdown


def test_a_table_of_data_becomes_a_table() -> None:
    html = "<table><tr><th>Day<th>From</tr><tr><td>Mon<td>8|9</tr></table>"

    assert text_of(html) == "| Day | From |\n| --- | --- |\n| Mon | 8\\|9 |"


def test_a_table_for_the_layout_becomes_paragraphs() -> None:
    html = "<table><tr><td><img></td><td>June<br><br>First.<br><br>Second.</td></tr></table>after"

    assert text_of(html) == "June\n\nFirst.\n\nSecond.\n\nafter"


def test_a_table_inside_a_cell_and_unclosed_tables_lose_nothing() -> None:
    text = text_of("<table><tr><td>a<table><tr><td>b<td>c</tr><tr><td>d")

    assert [word for word in "abcd" if word not in text] == []


def test_title_and_language_come_from_the_head() -> None:
    html = "<html lang='DE-at'><head><title> A\n title </title></head><body>x</body>"

    assert markdown_from_html(html) == ("x", "A title", "de")


@pytest.mark.parametrize("html", ["<html><head><title>t<p>kept</p>", "<head><meta x><p>kept", "<title/><p>kept"])
def test_an_unclosed_head_swallows_nothing(html: str) -> None:
    assert "kept" in text_of(html)


def test_a_deep_page_costs_no_more_than_a_flat_one() -> None:
    started = time.monotonic()

    text = text_of("<div>" * 100_000 + "bottom")

    assert text == "bottom"
    assert time.monotonic() - started < 10
