from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import InvalidRequest
from bot.slack.payloads import (
    Click,
    asked_message,
    change_place,
    changed_person,
    channel_of,
    click_from,
    converted_channel,
    deletion_from,
    edit_from,
    forward_of,
    is_click,
    is_command,
    message_from,
    value_of,
)
from bot.values import Person, UserKind
from tests.conftest import TEAM

BOT = "U0BOT"

SAID: dict[str, Any] = {
    "type": "message",
    "channel": "C1",
    "channel_type": "channel",
    "user": "U1",
    "ts": "1700000000.000100",
    "text": f"<@{BOT}> When do we open?",
    "client_msg_id": "9f3b",
}


COMMAND = {"command": "/docs", "team_id": "T1", "user_id": "U1", "channel_id": "C1", "response_url": "https://a.test/r"}
CLICK = {
    "type": "block_actions",
    "actions": [{"action_id": "a", "value": "v"}],
    "user": {"id": "U1"},
    "team": {"id": "T1"},
    "channel": {"id": "C1"},
    "response_url": "https://a.test/r",
}
ODD: tuple[object, ...] = (None, "", "x y", 3, [], {}, [[]], {"id": []}, ["x"], "\x00", "ftp://a.test/")


def edited(text: str, *, before: object, **changes: Any) -> dict[str, Any]:
    """Return the event of an edit, as Slack sends it: the place stands outside of the two messages."""
    inner = {"type": "message", "user": "U1", "ts": SAID["ts"]}
    return {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C1",
        "channel_type": "channel",
        "ts": "1700000009.000100",
        "message": {**inner, "text": text},
        "previous_message": {**inner, "text": before} if isinstance(before, str) else before,
        **changes,
    }


def test_what_a_person_wrote_is_read_with_its_place() -> None:
    message = message_from(SAID)

    assert message is not None
    assert (message.channel_id, message.user_id, message.ts, message.thread_ts) == ("C1", "U1", SAID["ts"], SAID["ts"])
    assert message.mentions(BOT)
    assert not message.mentions("U1")
    assert message.gesture == "9f3b"
    assert not message.is_direct


def test_a_reply_names_its_thread_and_a_direct_message_says_so() -> None:
    message = message_from({**SAID, "thread_ts": "1600000000.000200", "channel_type": "im"})

    assert message is not None
    assert message.thread_ts == "1600000000.000200"
    assert message.is_direct


def test_files_are_read_once_each_and_without_those_deleted() -> None:
    files = [{"id": "F1"}, {"id": "F2", "mode": "tombstone"}, {"id": "F1"}, {}, None, {"id": 3}]

    message = message_from({**SAID, "subtype": "file_share", "files": files, "text": None})

    assert message is not None
    assert message.file_ids == ("F1",)
    assert message.text == ""


@pytest.mark.parametrize(
    "change",
    [
        {"bot_id": "B1"},
        {"subtype": "channel_join"},
        {"subtype": "message_changed"},
        {"subtype": []},
        {"user": None},
        {"user": 3},
        {"user": "U\x00"},
        {"channel": None},
        {"channel": "C 1"},
        {"ts": "now"},
        {"ts": 1700000000.0001},
        {"ts": "1." + "0" * 400},
        {"thread_ts": ["1.2"]},
        {"text": ["x"]},
    ],
)
def test_what_apps_write_and_what_is_no_message_means_nothing(change: dict[str, Any]) -> None:
    assert message_from({**SAID, **change}) is None


def test_an_edit_asks_when_it_is_the_first_to_name_the_bot() -> None:
    asks = edit_from(edited(f"<@{BOT}> When?", before="When?"))
    asked_before = edit_from(edited(f"<@{BOT}> When exactly?", before=f"<@{BOT}> When?"))
    names_nobody = edit_from(edited("When exactly?", before="When?"))
    in_private = edit_from(edited(f"<@{BOT}> When?", before="When?", channel_type="im"))

    assert asks is not None
    assert asks.asks(BOT)
    assert (asks.message.channel_id, asks.message.ts) == ("C1", SAID["ts"])
    assert [edit.asks(BOT) for edit in (asked_before, names_nobody, in_private) if edit] == [False, False, False]


@pytest.mark.parametrize("before", [None, 3, [], {}, {"user": "U1"}])
def test_an_edit_of_nobody_knows_what_asks_nothing(before: object) -> None:
    edit = edit_from(edited(f"<@{BOT}> When?", before=before))

    assert edit is not None
    assert not edit.asks(BOT)


def test_a_deleted_message_is_named_by_its_place() -> None:
    event = {"subtype": "message_deleted", "channel": "C1", "deleted_ts": "1.2", "ts": "9.9"}

    deletion = deletion_from(event)

    assert deletion is not None
    assert (deletion.channel_id, deletion.ts) == ("C1", "1.2")
    assert deletion_from({**event, "previous_message": {"user": "U1", "text": "x"}}) == deletion
    assert deletion_from({**event, "previous_message": {"bot_id": "B1"}}) == deletion
    assert deletion_from({**event, "deleted_ts": None}) is None
    assert deletion_from(SAID) is None


def test_a_message_with_replies_is_deleted_by_becoming_a_tombstone() -> None:
    event = edited("This message was deleted.", before=f"<@{BOT}> When?")
    event["message"]["subtype"] = "tombstone"

    deletion = deletion_from(event)

    assert deletion is not None
    assert (deletion.channel_id, deletion.ts) == ("C1", SAID["ts"])
    assert edit_from(event) is None


def test_a_stored_event_asks_in_its_message_or_in_what_an_edit_made_of_it() -> None:
    asked, edit = asked_message(SAID), asked_message(edited(f"<@{BOT}> When?", before="When?"))

    assert asked is not None
    assert asked.text == SAID["text"]
    assert edit is not None
    assert edit.text == f"<@{BOT}> When?"
    assert asked_message(None) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*SAID, "subtype", "bot_id", "files", "message", "previous_message", "deleted_ts", "thread_ts"])
SUBTYPES = st.sampled_from(["message_changed", "message_deleted", "file_share", "tombstone", None])


@given(st.dictionaries(NAMES, JSON), SUBTYPES)
def test_no_event_of_whatever_shape_does_harm(junk: dict[str, Any], subtype: str | None) -> None:
    event = {**SAID, "subtype": subtype, **junk}

    message_from(event)
    edit_from(event)
    deletion_from({**event, "message": event})
    asked_message(event)


# What changed

CLICKED: dict[str, Any] = {
    "type": "block_actions",
    "team": {"id": TEAM},
    "user": {"id": "U2"},
    "channel": {"id": "C1"},
    "container": {"thread_ts": "1700000000.000100"},
    "trigger_id": "13345224609.738474920.8088930838d88f008e0",
    "actions": [{"action_id": "answer_privately", "value": f"C1:{SAID['ts']}"}],
}


@pytest.mark.parametrize(
    ("event", "channel_id"),
    [
        ({"channel": "C1"}, "C1"),
        ({"channel": {"id": "C1", "name": "general"}}, "C1"),
        ({"old_channel_id": "C1", "new_channel_id": "C2"}, "C1"),
        ({"channel": ["C1"]}, None),
        ({"channel": {"id": 3}}, None),
        ({}, None),
    ],
)
def test_a_change_names_its_channel_in_one_of_three_ways(event: dict[str, Any], channel_id: str | None) -> None:
    assert change_place(event) == channel_id


def test_only_a_notice_of_a_conversion_is_one() -> None:
    notice = {**SAID, "subtype": "channel_convert_to_private"}

    assert converted_channel(notice) == "C1"
    assert converted_channel({**notice, "subtype": "channel_convert_to_public"}) == "C1"
    assert message_from(notice) is None
    assert converted_channel(SAID) is None
    assert converted_channel({**SAID, "subtype": "channel_topic"}) is None
    assert converted_channel(None) is None


def test_a_change_of_a_person_tells_what_they_are_now() -> None:
    told = {"user": {"id": "U1", "name": "ada", "deleted": True, "is_restricted": True}}

    assert changed_person(told, team_id=TEAM) == Person("U1", "ada", kind=UserKind.GUEST, is_deactivated=True)
    assert changed_person({"user": "U1"}, team_id=TEAM) is None
    assert changed_person({"user": {"id": "?"}}, team_id=TEAM) is None
    assert changed_person({"user": {"id": "U1", "profile": ["odd"]}}, team_id=TEAM) == Person("U1", "U1")


def test_a_click_asks_the_question_of_its_own_channel_for_who_clicked() -> None:
    assert click_from(CLICKED) == Click(TEAM, "U2", "C1", SAID["ts"], CLICKED["trigger_id"], "1700000000.000100")
    assert click_from({**CLICKED, "container": {}}) == Click(TEAM, "U2", "C1", SAID["ts"], CLICKED["trigger_id"], None)


@pytest.mark.parametrize(
    "change",
    [
        {"channel": {"id": "C2"}},
        {"channel": None},
        {"team": {"id": "t"}},
        {"user": {}},
        {"trigger_id": ""},
        {"actions": []},
        {"actions": ["answer_privately"]},
        {"actions": [{"value": None}]},
        {"actions": [{"value": "C1:yesterday"}]},
    ],
)
def test_a_click_on_another_place_or_on_nothing_asks_nothing(change: dict[str, Any]) -> None:
    assert click_from({**CLICKED, **change}) is None


def test_whole_commands_and_clicks_are_taken() -> None:
    assert is_command(COMMAND)
    assert is_click(CLICK)
    assert is_click({name: value for name, value in CLICK.items() if name not in {"channel", "response_url"}})


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["team_id", "user_id", "channel_id", "response_url"])
def test_a_command_that_lacks_something_is_none(name: str, odd: object) -> None:
    assert not is_command({**COMMAND, name: odd})


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["actions", "user", "team", "response_url"])
def test_a_click_that_lacks_something_is_none(name: str, odd: object) -> None:
    assert not is_click({**CLICK, name: odd})


@pytest.mark.parametrize("odd", [None, 3, [], {}])
def test_a_button_that_is_not_ours_carries_nothing(odd: object) -> None:
    with pytest.raises(InvalidRequest):
        value_of({"value": odd})


@pytest.mark.parametrize("odd", ["", "{", "[]", "3", "[" * 100_000])
def test_a_button_to_a_page_that_is_not_ours_leads_nowhere(odd: str) -> None:
    with pytest.raises(InvalidRequest):
        forward_of({"value": odd})


def test_a_click_outside_channels_is_in_none() -> None:
    assert channel_of(CLICK) == "C1"
    with pytest.raises(InvalidRequest):
        channel_of({})
