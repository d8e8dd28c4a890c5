"""What Slack does with an event besides sending it once: again, late, in another order, as another message."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from bot.playground.delivery import Delivery
from bot.playground.state import Message
from bot.playground.waiting import Waiting


class Copies(Waiting):
    """Sends events of the people's doing the way a bad day would."""

    async def phantom(self, message: Message) -> Message:
        """Post somebody's message once more, as a client does that resends: a new ts, the same client_msg_id."""
        author, channel = self.store.users[message.user_id], self.store.channels[message.channel_id]
        return self.workspace.post(
            author,
            channel,
            message.text,
            thread_ts=message.thread_ts if message.is_reply else None,
            client_msg_id=message.client_msg_id,
        )

    def holding(self) -> AbstractAsyncContextManager[list[Delivery]]:
        """Keep the events of the block back, in the list that `async with` gives; `deliver` sends them."""
        return self.workspace.deliveries.holding()

    async def deliver(self, *deliveries: Delivery) -> None:
        """Send these events in this order, each once the one before has arrived or been given up.

        One that went out before, or stands here twice, is marked as Slack marks a retry.
        """
        for delivery in deliveries:
            reason = "timeout" if delivery.attempts else ""
            await self.workspace.deliveries.resend(delivery, attempt=delivery.attempts, reason=reason)
