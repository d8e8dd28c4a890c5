"""Receipts: one message in the thread that says what became of the files of one message."""

from __future__ import annotations

from collections.abc import Sequence

from bot.db.engine import Sessions
from bot.repositories.deliveries import DeliveryRepository
from bot.slack.blocks import receipt_text
from bot.slack.client import Poster, ask
from bot.values import IngestOutcome


class SlackReceipts:
    """Posts receipts, once per message."""

    def __init__(self, sessions: Sessions, poster: Poster) -> None:
        self._sessions = sessions
        self._poster = poster

    async def post_receipt(
        self, team_id: str, *, channel_id: str, message_ts: str, thread_ts: str, outcomes: Sequence[IngestOutcome]
    ) -> None:
        key = f"{channel_id}:{message_ts}"
        async with self._sessions.tenant(team_id) as session:
            claimed = await DeliveryRepository(session).claim(
                team_id, "receipt", key, channel_id=channel_id, thread_ts=thread_ts
            )
        if claimed.ts is not None:
            return
        response = await ask(
            self._poster.call(
                "chat.postMessage",
                channel=channel_id,
                thread_ts=thread_ts,
                text=receipt_text(outcomes),
                unfurl_links=False,
                unfurl_media=False,
            )
        )
        async with self._sessions.tenant(team_id) as session:
            await DeliveryRepository(session).set_posted(team_id, "receipt", key, ts=str(response["ts"]), state="final")
