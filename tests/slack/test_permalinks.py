"""Links lead to the message that shared a document, and exist where one did."""

from __future__ import annotations

import pytest

from bot.slack.permalinks import permalinks
from bot.values import Passage, new_id


def passage(channel_id: str | None, message_ts: str | None, thread_ts: str | None) -> Passage:
    place = {"channel_id": channel_id, "message_ts": message_ts, "thread_ts": thread_ts}
    return Passage(new_id(), new_id(), "a.pdf", "words", 0, 5, None, None, 0.5, 0.5, 0.5, **place)


@pytest.mark.parametrize(
    ("place", "address"),
    [
        (("C1", "17.25", "17.25"), "https://w.example/archives/C1/p1725"),
        (("C1", "17.25", None), "https://w.example/archives/C1/p1725"),
        (("C1", "17.25", "16.5"), "https://w.example/archives/C1/p1725?thread_ts=16.5&cid=C1"),
        (("personal:1", None, None), None),
        ((None, None, None), None),
    ],
)
def test_a_link_names_channel_message_and_thread(place: tuple[str | None, ...], address: str | None) -> None:
    assert permalinks("https://w.example/")(passage(*place)) == address
