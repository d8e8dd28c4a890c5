"""Reads what was said while we didn't listen, and lets it in as if it had just been delivered."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.threads import ThreadRepository
from bot.slack.client import RateLimited, Unsupported, ask
from bot.slack.directory import kind_of
from bot.slack.inbox import Inbox, errands_of
from bot.slack.payloads import Body, message_from
from bot.values import ChannelKind, Errand

log = structlog.get_logger()

Method = Callable[..., Awaitable[AsyncSlackResponse]]

Missed = dict[str, tuple[Body, list[Errand]]]
"""Events as Slack would have sent them, with the work they mean, by the ts of their messages."""

PAGE = 200
EARLIER_LIMIT = 200
"""Messages before the gap that are looked at for threads that went on during it."""

THREAD_DAYS, THREAD_LIMIT = 7, 200
"""The threads we were asked in that are looked at, however old their first message is."""

CALLS_PER_MINUTE, CALLS_AT_ONCE = 50, 20
"""Slack's tier 3, to which conversations.history, conversations.replies and users.conversations belong or come near."""

_TRIES = 5
_LONGEST_WAIT_S = 60.0
_CHANNEL_TYPES = {ChannelKind.IM: "im", ChannelKind.MPIM: "mpim", ChannelKind.PRIVATE: "group"}


class SlackBackfill:
    """Reads the channels we are in. What is known already changes nothing, so that it may be done again."""

    def __init__(
        self, sessions: Sessions, inbox: Inbox, client: AsyncWebClient, *, team_id: str, bot_user_id: str
    ) -> None:
        self._sessions = sessions
        self._inbox = inbox
        self._client = client
        self._team_id = team_id
        self._bot_user_id = bot_user_id
        self._throttle = Throttle(per_minute=CALLS_PER_MINUTE, at_once=CALLS_AT_ONCE)

    async def run(self, since: datetime) -> None:
        """Let in everything said since then, channel by channel, each in the order of its timestamps.

        Raises ServiceUnavailable when Slack or the database doesn't answer: what was let in by then stays.
        """
        began_at, channels, messages = time.monotonic(), 0, 0
        oldest = f"{since.timestamp():.6f}"
        known = await self._known_threads()
        async for channel in self._channels():
            channels += 1
            messages += await self._read(channel, oldest, known[channel["id"]])
        duration_ms = round((time.monotonic() - began_at) * 1000)
        log.info("backfill.finished", channels=channels, messages=messages, duration_ms=duration_ms)

    async def _known_threads(self) -> dict[str, set[str]]:
        threads: dict[str, set[str]] = defaultdict(set)
        async with self._sessions.tenant(self._team_id) as session:
            recent = await ThreadRepository(session).list_recent(self._team_id, days=THREAD_DAYS, limit=THREAD_LIMIT)
        for channel_id, thread_ts in recent:
            threads[channel_id].add(thread_ts)
        return threads

    async def _channels(self) -> AsyncIterator[Body]:
        method = self._client.users_conversations
        types = "public_channel,private_channel,mpim,im"
        async for page in self._pages(method, "channels", types=types, exclude_archived=True):
            for channel in page:
                yield channel

    async def _read(self, channel: Body, oldest: str, known: set[str]) -> int:
        """Let in what was said in one channel; return how many messages meant work."""
        kind = _CHANNEL_TYPES.get(kind_of(channel), "channel")
        try:
            missed = await self._missed(channel["id"], kind, oldest, known)
        except NotFound as error:
            log.info("backfill.skipped", channel_id=channel["id"], reason=str(error))
            return 0
        for ts in sorted(missed):
            await self._accept(*missed[ts])
        return len(missed)

    async def _missed(self, channel_id: str, kind: str, oldest: str, known: set[str]) -> Missed:
        """Return what was said in a channel since then, threads included, and means work: by ts."""
        missed: Missed = {}
        live, quiet = set[str](), set[str]()
        history = self._client.conversations_history
        async for page in self._pages(history, "messages", channel=channel_id, oldest=oldest):
            missed |= self._meant(page, channel_id, kind)
            _sort_threads(page, oldest, live, quiet)
        earlier = await self._call(history, channel=channel_id, latest=oldest, inclusive=True, limit=EARLIER_LIMIT)
        _sort_threads(earlier["messages"], oldest, live, quiet)
        for thread_ts in sorted(live | (known - quiet)):
            async for page in self._replies(channel_id, thread_ts, oldest):
                missed |= self._meant(page, channel_id, kind)
        return missed

    async def _replies(self, channel_id: str, thread_ts: str, oldest: str) -> AsyncIterator[list[Body]]:
        """Yield pages of a thread since then; of each page Slack's first message is the thread's."""
        replies = self._client.conversations_replies
        try:
            async for page in self._pages(replies, "messages", channel=channel_id, ts=thread_ts, oldest=oldest):
                yield [message for message in page if message["ts"] > oldest]
        except NotFound:  # deleted, with all that was said in it
            log.info("backfill.skipped", channel_id=channel_id, thread_ts=thread_ts)

    def _meant(self, messages: Iterable[Body], channel_id: str, kind: str) -> Missed:
        """Return the messages that mean work, each as the event Slack would have sent."""
        meant: Missed = {}
        for message in messages:
            event = {**message, "type": "message", "channel": channel_id, "channel_type": kind}
            written = message_from(event)
            errands = errands_of(written, self._team_id, bot_user_id=self._bot_user_id) if written else []
            if errands:
                meant[message["ts"]] = event, errands
        return meant

    async def _accept(self, event: Body, errands: list[Errand]) -> None:
        event_id = f"backfill:{event['channel']}:{event['ts']}"
        body = {"type": "event_callback", "team_id": self._team_id, "event_id": event_id, "event": event}
        raw = json.dumps(body).encode()
        await self._inbox.accept(raw, event_id=event_id, team_id=self._team_id, errands=errands)

    async def _pages(self, method: Method, what: str, **arguments: Any) -> AsyncIterator[list[Body]]:
        cursor = None
        while True:
            page = await self._call(method, cursor=cursor, limit=PAGE, **arguments)
            yield page[what]
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    async def _call(self, method: Method, **arguments: Any) -> AsyncSlackResponse:
        """Call Slack in our turn, and again when it tells us to wait; NotFound also for what we may not read."""
        tries_left = _TRIES
        while True:
            tries_left -= 1
            await self._throttle.turn()
            try:
                return await ask(method(**arguments))
            except Unsupported as error:
                raise NotFound(error.code) from error
            except RateLimited as error:
                if not tries_left:
                    raise
                wait_s = min(error.wait_s, _LONGEST_WAIT_S)
            log.info("backfill.limited", wait_s=wait_s)
            await asyncio.sleep(wait_s)


class Throttle:
    """Lets through a few at once, and so many a minute after that."""

    def __init__(self, *, per_minute: float, at_once: int) -> None:
        self._interval_s = 60 / per_minute
        self._ahead_s = self._interval_s * at_once
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = time.monotonic()
        self._next = max(self._next, now - self._ahead_s) + self._interval_s
        if self._next > now:
            await asyncio.sleep(self._next - now)


def _sort_threads(messages: list[Body], oldest: str, live: set[str], quiet: set[str]) -> None:
    """Put each thread that begins with one of these messages where it belongs: it went on since then, or it didn't."""
    for message in messages:
        went_on = (message.get("latest_reply") or "0") > oldest
        (live if went_on else quiet).add(message["ts"])
