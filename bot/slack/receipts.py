"""Receipts: one message in the thread that says what became of the files of one message."""

from __future__ import annotations

from collections.abc import Sequence

from bot.services.ports import Unclaimed
from bot.slack.blocks import receipt_blocks, receipt_text
from bot.slack.claimed import ClaimedMessage
from bot.slack.posts import Address, Posts
from bot.values import IngestOutcome


class SlackReceipts:
    """Posts receipts, one a message, and changes them."""

    def __init__(self, posts: Posts) -> None:
        self._posts = posts

    async def post_receipt(
        self, team_id: str, *, channel_id: str, message_ts: str, thread_ts: str, outcomes: Sequence[IngestOutcome]
    ) -> None:
        address = Address(team_id, "receipt", f"{channel_id}:{message_ts}", channel_id, thread_ts, message_ts)
        message = ClaimedMessage(self._posts, address, Unclaimed())
        await message.show(receipt_text(outcomes), receipt_blocks(outcomes))
