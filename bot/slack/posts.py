"""What all messages of ours have in common: the way to Slack, and the pace."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bot.db.engine import Session, Sessions
from bot.errors import NotFound, ServiceUnavailable
from bot.repositories.paces import PaceRepository
from bot.slack.client import PATIENCE_S, Clients, MessageGone, SlackRefusal, insist, tell
from bot.slack.lost import Found, find_ours

log = structlog.get_logger()

DELETE_PATIENCE_S = 60.0
"""Nobody else will delete what stands there twice."""


@dataclass(frozen=True, slots=True)
class Address:
    """Which message of ours is meant, and its place: in a thread, later than the message `after`.

    `kind` (answer, receipt) and `key` name its delivery.
    """

    team_id: str
    kind: str
    key: str
    channel_id: str
    thread_ts: str
    after: str


class Posts:
    """Makes messages appear in channels, `interval_s` apart, and disappear."""

    def __init__(self, sessions: Sessions, clients: Clients, *, bot_user_id: str, interval_s: float) -> None:
        self.sessions = sessions
        self.client = clients.posting
        self._reading = clients.reading
        self._bot_user_id = bot_user_id
        self._interval_s = interval_s
        self._last: dict[str, float] = {}

    async def reserve(self, session: Session, address: Address) -> float:
        """Return the seconds until the channel takes a message, that moment reserved unless it is over PATIENCE_S."""
        return await PaceRepository(session).reserve(
            address.team_id, address.channel_id, interval_s=self._interval_s, patience_s=PATIENCE_S
        )

    async def wait(self, address: Address, wait_s: float) -> None:
        """Wait for a reserved moment, and for another one should Slack close the channel meanwhile.

        Raises ServiceUnavailable, with the time to come again, when it is longer than PATIENCE_S.
        """
        while wait_s > 0:
            if wait_s > PATIENCE_S:
                raise ServiceUnavailable("Slack: the channel is busy", retry_after_s=wait_s)
            await asyncio.sleep(wait_s)
            async with self.sessions.tenant(address.team_id) as session:
                closed_s = await PaceRepository(session).closed_s(address.team_id, address.channel_id)
                wait_s = await self.reserve(session, address) if closed_s else 0.0

    async def push_back(self, session: Session, address: Address, seconds: float) -> None:
        """Close the channel to every process of ours."""
        await PaceRepository(session).push_back(address.team_id, address.channel_id, seconds)

    async def post(self, method: str, address: Address, arguments: Mapping[str, Any]) -> str:
        """Make a message appear in the thread, asking once, and return its ts. Raises as `tell` does."""
        await self._keep_apart(address.channel_id)
        place = {"channel": address.channel_id, "thread_ts": address.thread_ts}
        try:
            response = await tell(self.client.api_call(method, json={**place, **arguments}))
        finally:
            self._last[address.channel_id] = time.monotonic()
        return str(response["ts"])

    async def change(self, method: str, address: Address, ts: str, arguments: Mapping[str, Any]) -> None:
        """Change a message, asking until Slack says how it went. Raises as `tell` does."""
        await insist(self.client, method, {"channel": address.channel_id, "ts": ts, **arguments})

    async def delete(self, address: Address, ts: str) -> None:
        """Delete a message of ours, or see that it is gone. What Slack refuses to delete stays, with a line in the log."""
        arguments = {"channel": address.channel_id, "ts": ts}
        try:
            await insist(self.client, "chat.delete", arguments, patience_s=DELETE_PATIENCE_S)
        except MessageGone:
            return
        except (NotFound, SlackRefusal) as error:
            log.warning("message.not_deleted", channel_id=address.channel_id, ts=ts, reason=str(error))

    async def find(self, address: Address) -> Found:
        """Return what is ours in the thread. Raises ServiceUnavailable, NotFound."""
        return await find_ours(
            self._reading,
            address.kind,
            address.key,
            channel_id=address.channel_id,
            thread_ts=address.thread_ts,
            after=address.after,
            bot_user_id=self._bot_user_id,
        )

    async def _keep_apart(self, channel_id: str) -> None:
        """Wait until the channel's last message of this process is old enough: reserved moments drift under load."""
        while (left_s := self._due_in_s(channel_id)) > 0:  # noqa: ASYNC110  # others may post meanwhile
            await asyncio.sleep(left_s)
        self._last[channel_id] = time.monotonic()

    def _due_in_s(self, channel_id: str) -> float:
        return self._last.get(channel_id, -math.inf) + self._interval_s - time.monotonic()
