"""Brings what happens to the app: over whichever transport is in use, again while nobody acknowledges it."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from bot.errors import ServiceUnavailable
from bot.playground.events import Events, subscription_of
from bot.playground.state import Json, Store

ACK_TIMEOUT_S = 3.0
RETRY_DELAYS_S = (0.0, 60.0, 300.0)
"""When Slack tries again: at once, after a minute, after five more."""

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
    """One event on its way. Times are monotonic seconds; `acked_at` stays None until the app took it."""

    event: Json
    envelope: Json
    queued_at: float = field(default_factory=time.monotonic)
    acked_at: float | None = None
    attempts: int = 0
    lost: bool = False


class Deliveries:
    """Sends events, commands and interactions, and remembers every event it sent."""

    def __init__(self, store: Store, events: Events, transport: Transport, subscriptions: Iterable[str]) -> None:
        self._store = store
        self._events = events
        self._tasks: set[asyncio.Task[None]] = set()
        self.transport = transport
        self.retry_delays_s: Sequence[float] = RETRY_DELAYS_S
        self.subscriptions = set(subscriptions)
        self.sent: list[Delivery] = []

    def send(self, event: Json) -> Delivery | None:
        """Start an event on its way and return at once; None when the app doesn't listen to its kind."""
        if subscription_of(event) not in self.subscriptions:
            return None
        envelope = self._events.envelope(event, self._store.ids.new("Ev"))
        delivery = Delivery(copy.deepcopy(event), copy.deepcopy(envelope))
        self.sent.append(delivery)
        self.resend(delivery)
        return delivery

    def resend(self, delivery: Delivery, *, attempt: int = 0, reason: str = "") -> None:
        """Start an event on its way once more, under the same event_id."""
        task = asyncio.get_running_loop().create_task(self._carry(delivery, attempt, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        for delay_s in (0.0, *self.retry_delays_s):
            await asyncio.sleep(delay_s)
            delivery.attempts += 1
            try:
                await self.transport.deliver("events_api", delivery.envelope, attempt=attempt, reason=reason)
            except NotAcknowledged as error:
                attempt, reason = attempt + 1, error.reason
                if error.final:
                    break
            else:
                delivery.acked_at = time.monotonic()
                return
        delivery.lost = True
        log.warning(
            "delivery.given_up", event_id=delivery.envelope["event_id"], reason=reason, attempts=delivery.attempts
        )
