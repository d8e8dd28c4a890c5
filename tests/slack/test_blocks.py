"""Blocks keep to Slack's limits whatever stands in them, and foreign text stays text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.playground.block_rules import block_problems, markdown_length
from bot.slack.blocks import (
    MARKDOWN_LIMIT,
    OFFER,
    SUMMARY_LIMIT,
    answer_blocks,
    apology_blocks,
    context,
    inert_within,
    message_blocks,
    pager,
    passage_blocks,
    summary,
)
from bot.slack.commands import FIND_LIMIT
from bot.values import Answer, Citation, Passage, Usage, new_id

FOREIGN = "<!channel> <@U1> [a](https://evil.example) ![x](http://evil.example)"


def citation(number: int, *, quote: str = "words", filename: str = "a.pdf", permalink: str | None = None) -> Citation:
    return Citation(number, new_id(), new_id(), filename, 3, quote, 0, len(quote), permalink)


def answer(text: str = "At eight. [1]", *citations: Citation, unread: tuple[str, ...] = ()) -> Answer:
    return Answer(text, citations, bool(citations), Usage("m", 1, 1), unread)


def passage(text: str, *, heading: str | None = None) -> Passage:
    return Passage(new_id(), new_id(), "a.pdf", text, 0, len(text), None, heading, 0.5, 0.5, 0.5)


def leaves(blocks: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return every element of this type, however deep."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        found += [block] if block.get("type") == kind else []
        found += leaves([element for element in block.get("elements") or [] if isinstance(element, dict)], kind)
    return found


def test_an_apology_quotes_its_passages_with_their_places_and_takes_nothing_for_markup() -> None:
    blocks = apology_blocks("No model. Nearest:", [citation(1, quote=FOREIGN, permalink="https://a.test/p1")])

    assert block_problems(blocks) == []
    assert FOREIGN in [leaf["text"] for leaf in leaves(blocks, "text")]
    assert [(leaf["url"], leaf["text"]) for leaf in leaves(blocks, "link")] == [("https://a.test/p1", "a.pdf, page 3")]
    assert leaves(blocks, "text")[0]["text"] == "No model. Nearest:"


def test_an_apology_without_passages_needs_no_blocks() -> None:
    assert apology_blocks("No model.", []) == []


@given(st.text(max_size=300), st.integers(1, 60), st.integers(0, 40))
def test_an_answer_of_any_size_is_taken(words: str, times: int, sources: int) -> None:
    whole = answer(
        words * times, *(citation(n, quote=words * times + "x", filename=words + "f") for n in range(sources))
    )

    blocks = message_blocks(whole.text or "x", answer_blocks(whole, question_ref="C1:1.2"))

    assert block_problems(blocks) == []
    assert markdown_length(blocks) <= 12_000
    assert len(blocks) <= 50


@pytest.mark.parametrize("text", ["a & b < c " * 3000, "&" * 30_000, "x" * 30_000])
def test_a_long_text_is_cut_after_it_was_made_inert(text: str) -> None:
    cut = inert_within(text)

    assert len(cut) <= MARKDOWN_LIMIT
    assert cut.endswith("…")
    assert not cut.rstrip("…").endswith(("&", "&am", "&l"))


def test_a_summary_is_escaped_and_short() -> None:
    assert summary("<!channel> see http://evil.example") == "&lt;!channel&gt; see http:\u2060//evil.example"
    assert len(summary("&" * 10_000)) <= SUMMARY_LIMIT


def test_quotes_stand_as_they_are_and_link_only_where_we_say() -> None:
    blocks = answer_blocks(
        answer("At eight. [1]", citation(1, quote=FOREIGN, permalink="https://w.example/p1")), question_ref="C1:1"
    )

    assert [link["url"] for link in leaves(blocks, "link")] == ["https://w.example/p1"]
    assert FOREIGN in [text["text"] for text in leaves(blocks, "text")]
    assert leaves(blocks, "button") == []


def test_nothing_found_offers_a_way_on_and_names_what_was_not_read() -> None:
    blocks = answer_blocks(answer("Nothing.", unread=("a.pdf", "b.pdf")), question_ref="C1:1.5")

    assert leaves(blocks, "button")[0]["value"] == "C1:1.5"
    assert "a.pdf, b.pdf" in leaves(blocks, "plain_text")[0]["text"]


def test_an_offer_is_one_sentence_whatever_it_is_about_and_a_button() -> None:
    found = replace(answer("At eight. [1]", citation(1)), offers_more=True)
    missed = replace(answer("Nothing."), offers_more=True)

    blocks = answer_blocks(found, question_ref="C1:1.5")

    assert [text["text"] for text in leaves(blocks, "plain_text") if text["text"] != "Answer me privately"] == [OFFER]
    assert [(b["action_id"], b["value"]) for b in leaves(blocks, "button")] == [("answer_privately", "C1:1.5")]
    assert [b["action_id"] for b in leaves(answer_blocks(missed, question_ref="C1:1.5"), "button")] == [
        "answer_privately",
        "nearest_passages",
    ]
    assert leaves(answer_blocks(answer("At eight. [1]", citation(1)), question_ref="C1:1.5"), "button") == []


@pytest.mark.parametrize("words", ["日本語" * 100, '"\\' * 150, "\x01" * 300, "\ud83d" * 300])
def test_a_button_holds_any_search(words: str) -> None:
    [row] = pager("find_more", forward={"words": words[:FIND_LIMIT], "offset": 995}, label="More")

    assert len(row["elements"][0]["value"]) <= 2000
    assert json.loads(row["elements"][0]["value"])["words"] == words
    assert block_problems([row]) == []


def test_no_further_page_has_no_button() -> None:
    assert pager("find_more", forward=None) == []


def test_passages_are_numbered_and_cut() -> None:
    blocks = passage_blocks([passage("long " * 500, heading="h" * 500), passage("short")], first=6)

    words = [text["text"] for text in leaves(blocks, "text")]
    assert "6. " in words
    assert "7. " in words
    assert max(map(len, words)) <= 600
    assert passage_blocks([]) == []


def test_small_print_is_cut() -> None:
    assert block_problems([context("x" * 9000)]) == []
