"""Receipts: one message in the thread that says what became of the files of one message."""

from __future__ import annotations

from collections.abc import Sequence

from bot.repositories.deliveries import DeliveryRepository
from bot.slack.blocks import receipt_blocks, receipt_text
from bot.slack.client import ask
from bot.slack.delivery import Delivery
from bot.slack.lost import find_lost, label
from bot.values import IngestOutcome


class SlackReceipts:
    """Posts receipts, once per message."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    async def post_receipt(
        self, team_id: str, *, channel_id: str, message_ts: str, thread_ts: str, outcomes: Sequence[IngestOutcome]
    ) -> None:
        key = f"{channel_id}:{message_ts}"
        async with self._delivery.sessions.tenant(team_id) as session:
            claimed = await DeliveryRepository(session).claim(
                team_id, "receipt", key, channel_id=channel_id, thread_ts=thread_ts
            )
        if claimed.ts is not None:
            return
        ts = None
        if not claimed.created:
            ts = await find_lost(
                self._delivery.clients.reading,
                label("receipt", key),
                channel_id=channel_id,
                thread_ts=thread_ts,
                after=message_ts,
                bot_user_id=self._delivery.bot_user_id,
            )
        ts = ts or await self._post(key, channel_id, thread_ts, outcomes)
        async with self._delivery.sessions.tenant(team_id) as session:
            await DeliveryRepository(session).set_posted(team_id, "receipt", key, ts=ts, state="final")

    async def _post(self, key: str, channel_id: str, thread_ts: str, outcomes: Sequence[IngestOutcome]) -> str:
        response = await ask(
            self._delivery.poster.call(
                "chat.postMessage",
                channel=channel_id,
                thread_ts=thread_ts,
                text=receipt_text(outcomes),
                blocks=receipt_blocks(outcomes),
                metadata=label("receipt", key),
                unfurl_links=False,
                unfurl_media=False,
            )
        )
        return str(response["ts"])
