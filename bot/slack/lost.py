"""Finds the messages that a former attempt posted and didn't live to note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client import ask

_PAGE = 200
_NO_MESSAGES = frozenset({"tombstone", "channel_join", "group_join"})
"""What stands in a thread under our name without having been posted by us."""


@dataclass(frozen=True, slots=True)
class Found:
    """Messages of ours in a thread, by ts, oldest first: those with the label, and those without any.

    A stream gets its label when it ends (`chat.startStream` takes no metadata), so a bare one may be ours too.
    """

    labelled: tuple[str, ...]
    bare: tuple[str, ...]


def label(kind: str, key: str) -> dict[str, Any]:
    """Return the metadata by which one of our messages is known again: `kind` is answer or receipt."""
    return {"event_type": f"recollect_{kind}", "event_payload": {"key": key, f"{kind}_id": key}}


async def find_ours(
    client: AsyncWebClient, kind: str, key: str, *, channel_id: str, thread_ts: str, after: str, bot_user_id: str
) -> Found:
    """Look through all of a thread after a ts. Raises ServiceUnavailable, NotFound."""
    labelled: list[str] = []
    bare: list[str] = []
    cursor = None
    while True:
        page = await ask(
            client.conversations_replies(
                channel=channel_id, ts=thread_ts, oldest=after, include_all_metadata=True, cursor=cursor, limit=_PAGE
            )
        )
        for message in page["messages"]:
            if message.get("user") != bot_user_id or message["ts"] <= after or message.get("subtype") in _NO_MESSAGES:
                continue
            metadata = message.get("metadata") or {}
            if not metadata:
                bare.append(message["ts"])
            elif _is(metadata, kind, key):
                labelled.append(message["ts"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return Found(tuple(labelled), tuple(bare))


def _is(metadata: Mapping[str, Any], kind: str, key: str) -> bool:
    payload = metadata.get("event_payload") or {}
    return metadata.get("event_type") == f"recollect_{kind}" and payload.get("key") == key
