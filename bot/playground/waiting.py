"""What a test or the smoke run asks of the workspace: has it answered, how fast, what was sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.errors import NotFound
from bot.playground.delivery import Delivery
from bot.playground.reading import words_of
from bot.playground.state import Channel, Json, Message, Store, User
from bot.playground.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an answer took: milliseconds from sending the question's event; None for what hasn't happened."""

    first_text_ms: float | None
    answer_ms: float | None


class Waiting:
    """Looks at threads and waits for what the app does in them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    @property
    def store(self) -> Store:
        """Everything there is."""
        return self.workspace.store

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """Every event that was sent, oldest first."""
        return self.workspace.deliveries.sent

    @property
    def events(self) -> list[Json]:
        """Every inner event that was sent, oldest first."""
        return [delivery.event for delivery in self.deliveries]

    def replies(self, where: Channel | str, thread_ts: str, *, by_bot: bool = True) -> list[Message]:
        """Return a thread's replies, oldest first: the bot's, or everyone's."""
        thread = self.store.thread(self.store.channel(where).id, thread_ts)
        return [m for m in thread if m.ts != thread_ts and (not by_bot or m.user_id == self.store.bot.id)]

    def ephemerals(self, who: User | str, where: Channel | str) -> list[Message]:
        """Return what only this person sees in a channel, oldest first."""
        user, channel = self.store.user(who), self.store.channel(where)
        return [m for m in self.store.ephemerals.values() if (m.seen_by, m.channel_id) == (user.id, channel.id)]

    async def wait_for_reply(
        self,
        where: Channel | str,
        thread_ts: str,
        *,
        after: str | None = None,
        until: Callable[[Message], bool] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - part of what a caller waits for, not a wrapper's
    ) -> Message:
        """Return the bot's first whole message in a thread after this ts (the root's unless given).

        A message still streaming isn't whole; with `until`, nor is one it says False to. Raises TimeoutError.
        """
        channel, start = self.store.channel(where), after or thread_ts

        def look() -> Message | None:
            found = (m for m in self.replies(channel, thread_ts) if m.ts > start and m.finished_at is not None)
            return next((m for m in found if until is None or until(m)), None)

        return await self._wait(look, timeout, lambda: [words_of(m) for m in self.replies(channel, thread_ts)])

    async def wait_for_ephemeral(
        self,
        who: User | str,
        where: Channel | str,
        *,
        after: str = "0",
        until: Callable[[Message], bool] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - as above
    ) -> Message:
        """Return the first message only this person sees, newer than `after`. Raises TimeoutError."""

        def look() -> Message | None:
            found = (m for m in self.ephemerals(who, where) if m.ts > after)
            return next((m for m in found if until is None or until(m)), None)

        return await self._wait(look, timeout, lambda: [words_of(m) for m in self.ephemerals(who, where)])

    async def settle(self) -> None:
        """Return when every event on its way was acknowledged or given up."""
        await self.workspace.deliveries.settle()

    def delivered(self, message: Message) -> list[Delivery]:
        """Return the deliveries of the events that tell of this message's posting."""
        return [
            delivery
            for delivery in self.deliveries
            if delivery.event.get("ts") == message.ts and delivery.event.get("channel") == message.channel_id
        ]

    async def redeliver(self, delivery: Delivery | None = None, *, reason: str = "timeout") -> None:
        """Send an event again (the last one unless given), marked as Slack marks a retry, and wait for its end."""
        if delivery is None and not self.deliveries:
            raise NotFound("no event was sent yet")
        self.workspace.deliveries.resend(delivery or self.deliveries[-1], attempt=1, reason=reason)
        await self.settle()

    async def deliver_twice(self, message: Message) -> None:
        """Send every event of this message's posting once more."""
        for delivery in self.delivered(message):
            self.workspace.deliveries.resend(delivery, attempt=1, reason="timeout")
        await self.settle()

    def timing(self, question: Message) -> Timing:
        """Measure the bot's first reply to this message."""
        sent = min((d.queued_at for d in self.delivered(question)), default=None)
        answers = [m for m in self.replies(question.channel_id, question.root_ts) if m.ts > question.ts]
        if sent is None or not answers:
            return Timing(None, None)
        first, whole = answers[0].text_at, answers[0].finished_at
        return Timing((first - sent) * 1000 if first else None, (whole - sent) * 1000 if whole else None)

    async def _wait(
        self, look: Callable[[], Message | None], timeout_s: float, seen: Callable[[], list[str]]
    ) -> Message:
        try:
            return await self.workspace.watchers.wait_for(look, timeout_s=timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"nothing came within {timeout_s:g} s; there is {seen()!r}") from error
