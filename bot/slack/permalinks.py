"""Links to the message that shared a document: the only links an answer carries."""

from __future__ import annotations

from collections.abc import Callable

from bot.values import Passage


def permalinks(workspace_url: str) -> Callable[[Passage], str | None]:
    """Return a function from a passage to the address of the message that shared it; None where no message did."""
    base = workspace_url.rstrip("/")

    def permalink(passage: Passage) -> str | None:
        if passage.channel_id is None or passage.message_ts is None:
            return None
        address = f"{base}/archives/{passage.channel_id}/p{passage.message_ts.replace('.', '')}"
        if passage.thread_ts and passage.thread_ts != passage.message_ts:
            address += f"?thread_ts={passage.thread_ts}&cid={passage.channel_id}"
        return address

    return permalink
