"""What must have been shown, and wasn't: nothing is missed that wasn't looked for to the end."""

from __future__ import annotations

from bot.repositories.remembered import RememberedMessage
from bot.slack.vanished import Shown


def stored(*messages: tuple[str, str]) -> list[RememberedMessage]:
    return [RememberedMessage("C1", thread_ts, ts) for thread_ts, ts in messages]


def test_in_the_channel_only_what_stands_there_is_missed_and_only_since_then() -> None:
    shown = Shown("5", threads_since="2", is_whole=True)
    shown.add([{"ts": "6"}, {"ts": "7", "subtype": "tombstone"}])

    found = shown.vanished(stored(("6", "6"), ("7", "7"), ("8", "8"), ("4", "4"), ("3", "9")))

    assert list(found) == ["7", "8"]


def test_what_was_not_read_to_its_end_is_not_missed() -> None:
    shown = Shown("5", threads_since="2")
    shown.add([{"ts": "6"}])

    assert list(shown.vanished(stored(("8", "8"), ("3", "9")))) == []


def test_in_a_thread_all_is_missed_as_far_back_as_it_was_read() -> None:
    shown = Shown("5", threads_since="2")
    shown.add_thread("1", [{"ts": "1"}, {"ts": "3"}])
    shown.add_thread("4", [])

    found = shown.vanished(stored(("1", "1"), ("1", "3"), ("1", "4"), ("4", "4"), ("4", "6")))

    assert list(found) == ["4", "4", "6"]
