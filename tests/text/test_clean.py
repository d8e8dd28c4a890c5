from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text.clean import clean, clean_or_none, clean_tree, to_json

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def test_nul_and_lone_surrogates_become_the_replacement_character() -> None:
    assert clean("a\x00b\ud800c\udfff") == "a\ufffdb\ufffdc\ufffd"


def test_everything_else_stays_as_it_was() -> None:
    assert clean("Grüße 👋🏽 \u202e\t\n\x01") == "Grüße 👋🏽 \u202e\t\n\x01"


@given(ANY_TEXT)
def test_offsets_stay_and_the_result_can_be_encoded(text: str) -> None:
    cleaned = clean(text)

    assert len(cleaned) == len(text)
    assert b"\x00" not in cleaned.encode()


def test_no_text_stays_no_text() -> None:
    assert clean_or_none(None) is None
    assert clean_or_none("\x00") == "\ufffd"


def test_trees_are_cleaned_to_the_leaves_and_the_keys() -> None:
    assert clean_tree({"a\x00": ["\ud800", {"b": ("\x00", 1, None, True)}]}) == {
        "a\ufffd": ["\ufffd", {"b": ["\ufffd", 1, None, True]}]
    }


def test_json_holds_no_escape_that_jsonb_refuses() -> None:
    encoded = to_json({"quote": "a\x00\ud83d"})

    assert json.loads(encoded) == {"quote": "a\ufffd\ufffd"}
    assert "\\u0000" not in encoded


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"score": float("nan")})
