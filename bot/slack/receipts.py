"""Receipts: one message in the thread that says what becomes of the files of one message."""

from __future__ import annotations

from collections.abc import Sequence

from bot.repositories.progress import RECEIPT
from bot.services.errands import message_key
from bot.services.ports import Claim
from bot.slack.claimed import ClaimedMessage
from bot.slack.posts import Address, Posts
from bot.slack.receipt_blocks import receipt_blocks, receipt_text
from bot.values import FileProgress


class SlackReceipts:
    """Posts receipts, one a message, and changes them."""

    def __init__(self, posts: Posts) -> None:
        self._posts = posts

    async def show_receipt(
        self,
        team_id: str,
        *,
        channel_id: str,
        message_ts: str,
        thread_ts: str,
        files: Sequence[FileProgress],
        claim: Claim,
    ) -> None:
        key = message_key(channel_id, message_ts)
        address = Address(team_id, RECEIPT, key, channel_id, thread_ts, message_ts)
        state = "final" if all(file.is_done for file in files) else "posted"
        message = ClaimedMessage(self._posts, address, claim)
        await message.show(receipt_text(files), receipt_blocks(files), state=state)
