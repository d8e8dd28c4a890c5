"""Brings what happens to the app: over whichever transport is in use, again while nobody acknowledges it."""

from __future__ import annotations

import asyncio
import copy
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from bot.errors import ServiceUnavailable
from bot.playground.events import Events, subscription_of
from bot.playground.state import Json, Store

ACK_TIMEOUT_S = 3.0
RETRY_DELAYS_S = (0.0, 60.0, 300.0)
"""When Slack tries again: at once, after a minute, after five more."""

FAREWELLS = frozenset({"app_uninstalled", "tokens_revoked"})
"""All that an app hears of a workspace that has removed it."""

log = structlog.get_logger()


class NotAcknowledged(ServiceUnavailable):
    """The app didn't answer within Slack's three seconds, or answered with an error."""

    user_message = "The app didn't respond. Is it running?"

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(f"not acknowledged: {reason}")
        self.reason = reason
        self.final = final


class Transport(Protocol):
    """A way to the app: Socket Mode, or signed HTTP requests."""

    async def deliver(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Json | None:
        """Hand over one payload and return what the app answered with, if anything.

        `kind` is events_api, slash_commands or interactive. Raises NotAcknowledged.
        """
        ...


@dataclass(slots=True)
class Delivery:
    """One event on its way. Times are monotonic seconds; `acked_at` stays None until the app took it.

    `sent_at` is when the try began that was acknowledged.
    """

    event: Json
    envelope: Json
    queued_at: float = field(default_factory=time.monotonic)
    sent_at: float | None = None
    acked_at: float | None = None
    attempts: int = 0
    lost: bool = False

    @property
    def ack_s(self) -> float | None:
        """How long the app took to acknowledge the try it took; None while it hasn't."""
        return None if self.acked_at is None or self.sent_at is None else self.acked_at - self.sent_at


class Deliveries:
    """Sends events, commands and interactions, and remembers the last `kept` events it sent, all when that is None.

    `delay_s`, when set, says for each event how long it lies about before Slack sends it.
    """

    def __init__(
        self,
        store: Store,
        events: Events,
        transport: Transport,
        subscriptions: Iterable[str],
        *,
        kept: int | None = None,
    ) -> None:
        self._store = store
        self._events = events
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Delivery] | None = None
        self.transport = transport
        self.retry_delays_s: Sequence[float] = RETRY_DELAYS_S
        self.delay_s: Callable[[Delivery], float] | None = None
        self.subscriptions = set(subscriptions)
        self.sent: deque[Delivery] = deque(maxlen=kept)
        self.lost_count = 0

    def send(self, event: Json) -> Delivery | None:
        """Start an event on its way and return at once; None when the app doesn't listen to its kind."""
        kind = subscription_of(event)
        if kind not in self.subscriptions or not (self._store.is_installed or kind in FAREWELLS):
            return None
        envelope = copy.deepcopy(self._events.envelope(event, self._store.ids.new("Ev")))
        delivery = Delivery(envelope["event"], envelope)
        self.sent.append(delivery)
        if self._held is None:
            self.resend(delivery)
        else:
            self._held.append(delivery)
        return delivery

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[list[Delivery]]:
        """Keep back every event of the block: they are put into the list, and sent by nobody but `resend`."""
        held: list[Delivery] = []
        self._held = held
        try:
            yield held
        finally:
            self._held = None

    def resend(self, delivery: Delivery, *, attempt: int = 0, reason: str = "") -> asyncio.Task[None]:
        """Start an event on its way, once more if it was sent before, under the same event_id."""
        task = asyncio.get_running_loop().create_task(self._carry(delivery, attempt, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ask(self, kind: str, payload: Json) -> Json | None:
        """Hand over a command or interaction, once, and return the app's answer. Raises NotAcknowledged."""
        return await self.transport.deliver(kind, payload, attempt=0, reason="")

    async def settle(self) -> None:
        """Return when every event on its way has arrived or been given up."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Give up what is still on its way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, delivery: Delivery, attempt: int, reason: str) -> None:
        if self.delay_s is not None:
            await asyncio.sleep(self.delay_s(delivery))
        for delay_s in (0.0, *self.retry_delays_s):
            await asyncio.sleep(delay_s)
            delivery.attempts += 1
            sent_at = time.monotonic()
            try:
                await self.transport.deliver("events_api", delivery.envelope, attempt=attempt, reason=reason)
            except NotAcknowledged as error:
                attempt, reason = attempt + 1, error.reason
                if error.final:
                    break
            else:
                delivery.sent_at, delivery.acked_at = sent_at, time.monotonic()
                delivery.lost = False
                return
        self._give_up(delivery, reason)

    def _give_up(self, delivery: Delivery, reason: str) -> None:
        """Note that nobody took this event; a copy that was taken before still counts."""
        if delivery.acked_at is not None:
            return
        delivery.lost = True
        self.lost_count += 1
        event_id, attempts = delivery.envelope["event_id"], delivery.attempts
        log.warning("delivery.given_up", event_id=event_id, reason=reason, attempts=attempts)
