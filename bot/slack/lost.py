"""Finds the message that a former attempt posted and didn't live to note."""

from __future__ import annotations

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client import ask

_PAGE = 200


def label(kind: str, key: str) -> dict[str, Any]:
    """Return the metadata by which one of our messages is known again: `kind` is answer or receipt."""
    return {"event_type": f"recollect_{kind}", "event_payload": {"key": key}}


async def find_lost(
    client: AsyncWebClient,
    metadata: dict[str, Any],
    *,
    channel_id: str,
    thread_ts: str,
    after: str,
    bot_user_id: str,
    bare: bool = False,
) -> str | None:
    """Return the ts of our message with this label, posted in a thread after a ts; None when there is none.

    `bare` takes one without any label for it too: a stream gets its metadata when it ends, and one question of a
    thread is answered at a time. Raises ServiceUnavailable, NotFound.
    """
    wanted = [metadata, {}] if bare else [metadata]
    cursor = None
    while True:
        page = await ask(
            client.conversations_replies(
                channel=channel_id, ts=thread_ts, oldest=after, include_all_metadata=True, cursor=cursor, limit=_PAGE
            )
        )
        for message in page["messages"]:
            is_ours = message.get("user") == bot_user_id and message["ts"] > after
            if is_ours and (message.get("metadata") or {}) in wanted:
                return str(message["ts"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return None
