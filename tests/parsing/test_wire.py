from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.parsing.reasons import Limits, Reason, Unparsable, sentence_for
from bot.parsing.wire import (
    Parsed,
    decode_reply,
    decode_request,
    encode_failure,
    encode_reply,
    encode_request,
)

GOOD = {"file_type": "txt", "pages": [], "is_markdown": False, "title": None, "language": None}


@given(st.text(alphabet=st.characters(codec=None)))
def test_a_request_arrives_as_it_was_sent_on_one_line(filename: str) -> None:
    line = encode_request(filename, Limits(pages=7))

    assert line.count(b"\n") == 1
    assert decode_request(line) == (filename, Limits(pages=7))


@given(st.text(alphabet=st.characters(codec="utf-8")), st.text(alphabet=st.characters(codec="utf-8")))
def test_a_reply_arrives_as_it_was_sent(text: str, title: str) -> None:
    parsed = Parsed(text, "pdf", pages=((1, 0, len(text)),), is_markdown=True, title=title, language="en")

    assert decode_reply(b"".join(encode_reply(parsed))) == parsed


def test_a_failure_arrives_with_its_reason() -> None:
    with pytest.raises(Unparsable) as caught:
        decode_reply(encode_failure(Unparsable(Reason.ENCRYPTED, "standard handler")))

    assert (caught.value.reason, caught.value.detail) == (Reason.ENCRYPTED, "standard handler")


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\n",
        b"[]\n",
        b'{"file_type": "txt"}\n',
        b'{"reason": "empty"}\n',
        b'{"reason": "<!channel>", "detail": ""}\n',
        json.dumps(GOOD).encode() + b"\n\xff\xff",
        json.dumps(GOOD | {"pages": [[1, 0, 4]]}).encode() + b"\nabc",
        json.dumps(GOOD | {"pages": [[1, 2, 1]]}).encode() + b"\nabc",
        json.dumps(GOOD | {"pages": [[1, 0, 2], [2, 1, 3]]}).encode() + b"\nabc",
        json.dumps(GOOD | {"pages": [[1, -1, 2]]}).encode() + b"\nabc",
        json.dumps(GOOD | {"pages": 5}).encode() + b"\nabc",
    ],
)
def test_a_reply_that_makes_no_sense_is_not_believed(reply: bytes) -> None:
    with pytest.raises(Unparsable) as caught:
        decode_reply(reply)

    assert caught.value.reason is Reason.CRASHED


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence_without_jargon(reason: Reason) -> None:
    sentence = sentence_for(reason, Limits())

    assert sentence.endswith(".")
    assert "$" not in sentence
    assert sentence[0].isupper()
