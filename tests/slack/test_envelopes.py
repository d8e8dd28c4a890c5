from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.envelopes import envelope_from


def test_an_envelope_keeps_its_payload_as_slack_wrote_it() -> None:
    payload = '{ "event" : {"text": "\\ud83d\\ude00 \\u0000 é"},\n"n": 1.50 }'
    text = '{"type": "events_api", "payload": ' + payload + ', "envelope_id": "e1", "retry_attempt": 2}'

    envelope = envelope_from(text)

    assert envelope is not None
    assert envelope.raw == payload.encode()
    assert envelope.payload == json.loads(payload)
    assert (envelope.kind, envelope.envelope_id, envelope.attempt) == ("events_api", "e1", 2)


def test_a_greeting_and_a_farewell_have_no_payload() -> None:
    hello = envelope_from('{"type": "hello", "num_connections": 1}')
    farewell = envelope_from('{"type":"disconnect","reason":"refresh_requested"}')

    assert hello is not None
    assert (hello.kind, hello.raw) == ("hello", b"")
    assert farewell is not None
    assert farewell.reason == "refresh_requested"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "{}",
        '{"type": 3}',
        '{"type": ""}',
        '{"type"}',
        '{"type" "x"}',
        '{1: "x"}',
        '{"type": "x"} x',
        '{"type": "x", "payload": ' + "[" * 100_000,
        '{"type": "x", "payload": ' + '{"a":' * 50_000,
        '{"type": "x", "retry_attempt": ' + "9" * 10_000 + "}",
    ],
)
def test_nonsense_is_no_envelope(text: str) -> None:
    assert envelope_from(text) is None


@pytest.mark.parametrize("payload", ["null", "[1]", '"x"', "3"])
def test_a_payload_that_is_no_object_is_as_good_as_none(payload: str) -> None:
    envelope = envelope_from('{"type":"events_api","envelope_id":"e1","payload":' + payload + "}")

    assert envelope is not None
    assert (envelope.payload, envelope.raw) == ({}, b"")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(st.dictionaries(st.text(max_size=8), JSON), st.sampled_from([{}, {"indent": 2}, {"ensure_ascii": False}]))
def test_whatever_a_payload_holds_is_found_and_cut_out(payload: dict[str, object], style: dict[str, Any]) -> None:
    text = json.dumps({"a": payload, "type": "x", "payload": payload}, **style)

    envelope = envelope_from(text)

    assert envelope is not None
    assert envelope.payload == payload
    assert json.loads(envelope.raw.decode("utf-8", "surrogatepass")) == payload


@given(st.text(max_size=60))
def test_any_text_is_an_envelope_or_none(text: str) -> None:
    envelope_from(text)
    envelope_from("{" + text)
    envelope_from('{"type":"x","payload":' + text)
