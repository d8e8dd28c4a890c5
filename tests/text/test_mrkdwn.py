"""Slack's markup, read and written."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text.mrkdwn import InertStream, escape, inert_markdown, mentioned_ids, plain_from, without_mention

LINK = re.compile(r"\]\(|\]\[|\]:|!\[|<[!@#]|<https?|<mailto|(?<!\u2060)://")
HOSTILE = st.text(st.sampled_from(list("[]()<>!@#|:/&; \n\tahtps*_~`>.\u200b\u202e\u2060é")), max_size=60)


@given(HOSTILE | st.text(max_size=60))
def test_nothing_that_could_be_a_link_a_mention_or_an_image_survives(text: str) -> None:
    assert not LINK.search(inert_markdown(text))
    assert "://" not in escape(text)
    assert "<" not in escape(text)


@given(st.lists(HOSTILE | st.text(max_size=20), max_size=12))
def test_a_stream_comes_to_the_same_as_the_whole(pieces: list[str]) -> None:
    stream = InertStream()

    shown = "".join([*(stream.feed(piece) for piece in pieces), stream.close()])

    assert not LINK.search(shown)
    assert shown == inert_markdown("".join(pieces))


def test_a_stream_quotes_only_where_a_line_begins() -> None:
    stream = InertStream()

    shown = [stream.feed(piece) for piece in ("a ", "> b ", "\n", "> c ", "> d ")]

    assert "".join(shown) == "a &gt; b \n> c &gt; d "


def test_a_word_without_end_takes_no_longer_the_longer_it_is() -> None:
    stream = InertStream()
    began = time.monotonic()

    for _ in range(200_000):
        stream.feed("[a](")
    stream.close()

    assert time.monotonic() - began < 5  # a quadratic stream takes minutes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** and\n- a list\n> quoted", "**bold** and\n- a list\n> quoted"),
        ("[a](https://b.example)", "[a] (https:\u2060//b.\u2060example)"),
        (r"HTTP:/\/EVIL.example", "HTTP:\u2060/\\/EVIL.\u2060example"),
        ("![x](http://e/x.png)", "! [x] (http:\u2060//e/x.\u2060png)"),
        (
            "see evil.example or www.3m.test, 3.5 % e.g. v1.2.",
            "see evil.\u2060example or www.\u20603m.\u2060test, 3.5 % e.g. v1.2.",
        ),
        ("mail a@b.test or mailto:a, tel:+1", "mail a@\u2060b.\u2060test or mailto:\u2060a, tel:\u2060+1"),
        ("a > b\n > c", "a &gt; b\n > c"),
        ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
        ("a < b > c", "a &lt; b &gt; c"),
        ("hidden\u200b\u202ejoke", "hiddenjoke"),
    ],
)
def test_emphasis_lists_and_quotes_live(text: str, shown: str) -> None:
    assert inert_markdown(text) == shown


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<@U1> and <@U2|bo> and <@U3>", "@Ada and @bo and @U3"),
        ("<#C1|general> <#C2>", "#general #C2"),
        ("<!here> <!subteam^S1|@team> <!channel|channel>", "@here @team @channel"),
        ("<https://a.example/x?a=1&amp;b=2>", "https://a.example/x?a=1&b=2"),
        ("<https://a.example|the page>", "the page (https://a.example)"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example (mailto:a@b.example)"),
        ("  spaces  ", "spaces"),
        ("1 < 2 > <", "1 < 2 > <"),
    ],
)
def test_markup_is_read_as_a_person_reads_it(markup: str, plain: str) -> None:
    assert plain_from(markup, {"U1": "Ada"}) == plain


@given(st.text(max_size=80))
def test_what_slack_escaped_is_read_back(text: str) -> None:
    stored = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert plain_from(stored, {}) == text.strip()


@pytest.mark.parametrize(
    ("markup", "rest"),
    [
        ("<@UBOT> hello", "hello"),
        ("<@UBOT>: hello", "hello"),
        ("<@UBOT|bot>, hello <@UBOT>", "hello"),
        ("hello <@UBOT> there", "hello there"),
        ("<@UBOT> :wave: <@U1>", ":wave: <@U1>"),
        ("<@UBOT>:", ""),
        ("<@UBOT>", ""),
        ("<@UBOTHER> hello", "<@UBOTHER> hello"),
    ],
)
def test_the_bot_is_left_out_of_what_it_is_told(markup: str, rest: str) -> None:
    assert without_mention(markup, "UBOT") == rest


def test_mentions_are_found_in_order() -> None:
    assert mentioned_ids("<@U2> <@W1|x> <#C1> @U9 <@u1>") == ["U2", "W1"]
