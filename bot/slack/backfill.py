"""Reads what was said and deleted while we didn't listen, and lets it in as if it had just been delivered."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.remembered import RememberedMessage, RememberedRepository
from bot.repositories.threads import ThreadRepository
from bot.services.errands import forget_errand
from bot.slack.client import RateLimited, Unsupported, ask
from bot.slack.directory import kind_of
from bot.slack.inbox import Inbox, errands_of
from bot.slack.payloads import Body, Deletion, message_from
from bot.slack.vanished import Shown
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

QUIET_LIMIT, FILE_LIMIT = 50, 100
"""Threads in which nothing new was said, and files, that are looked at for what was deleted: the latest."""

CALLS_PER_MINUTE, CALLS_AT_ONCE = 50, 20
"""Slack's tier 3, to which conversations.history, conversations.replies and users.conversations belong or come near."""

_THREAD_GONE, _FILE_GONE = "thread_not_found", frozenset({"file_deleted", "file_not_found"})
"""Slack's words for what was deleted. Any other refusal says nothing of the kind."""

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
        began_at, messages, deleted, entered = time.monotonic(), 0, 0, set[str]()
        oldest = f"{since.timestamp():.6f}"
        known = await self._known_threads()
        stored = await self._remembered()
        async for channel in self._channels():
            channel_id = channel["id"]
            entered.add(channel_id)
            shown = Shown(oldest, threads_since=min(oldest, f"{_week_ago().timestamp():.6f}"))
            messages += await self._read(channel, known[channel_id], shown)
            for ts in sorted(shown.vanished(stored[channel_id])):
                deleted += 1
                await self._withdraw(channel_id, ts)
        files = await self._forget_files(entered)
        duration_ms = round((time.monotonic() - began_at) * 1000)
        log.info(
            "backfill.finished",
            channels=len(entered),
            messages=messages,
            deleted=deleted,
            files_deleted=files,
            duration_ms=duration_ms,
        )

    async def _known_threads(self) -> dict[str, list[str]]:
        """Return the threads we were asked in by their channels, the latest first."""
        threads: dict[str, list[str]] = defaultdict(list)
        async with self._sessions.tenant(self._team_id) as session:
            recent = await ThreadRepository(session).list_recent(self._team_id, days=THREAD_DAYS, limit=THREAD_LIMIT)
        for channel_id, thread_ts in recent:
            threads[channel_id].append(thread_ts)
        return threads

    async def _remembered(self) -> dict[str, list[RememberedMessage]]:
        """Return what is stored of each channel's last days, before Slack is asked what of it still stands."""
        stored: dict[str, list[RememberedMessage]] = defaultdict(list)
        async with self._sessions.tenant(self._team_id) as session:
            messages = await RememberedRepository(session).list_messages(self._team_id, since=_week_ago())
        for message in messages:
            stored[message.channel_id].append(message)
        return stored

    async def _forget_files(self, channel_ids: set[str]) -> int:
        """Let in the deletion of the files that Slack doesn't know any more, of channels we are in; return how many."""
        async with self._sessions.tenant(self._team_id) as session:
            files = await RememberedRepository(session).list_files(self._team_id, channel_ids, limit=FILE_LIMIT)
        return sum([await self._is_forgotten(file_id) for file_id in files])

    async def _is_forgotten(self, file_id: str) -> bool:
        try:
            await self._call(self._client.files_info, file=file_id)
        except NotFound as error:
            if str(error) not in _FILE_GONE:
                return False
        else:
            return False
        event_id = f"backfill:gone:{file_id}"
        raw = self._raw(event_id, {"type": "file_deleted", "file_id": file_id})
        errand = forget_errand(self._team_id, file_id)
        await self._inbox.accept(raw, event_id=event_id, team_id=self._team_id, errands=[errand])
        return True

    async def _channels(self) -> AsyncIterator[Body]:
        method = self._client.users_conversations
        types = "public_channel,private_channel,mpim,im"
        async for page in self._pages(method, types=types, exclude_archived=True):
            for channel in page["channels"]:
                yield channel

    async def _read(self, channel: Body, known: list[str], shown: Shown) -> int:
        """Let in what was said in one channel, and note what it shows; return how many messages meant work."""
        kind = _CHANNEL_TYPES.get(kind_of(channel), "channel")
        try:
            missed = await self._missed(channel["id"], kind, known, shown)
        except NotFound as error:
            log.info("backfill.skipped", channel_id=channel["id"], reason=str(error))
            return 0
        for ts in sorted(missed):
            await self._accept(*missed[ts])
        return len(missed)

    async def _missed(self, channel_id: str, kind: str, known: list[str], shown: Shown) -> Missed:
        """Return what was said in a channel since then, threads included, and means work: by ts."""
        missed: Missed = {}
        live, quiet = set[str](), set[str]()
        history, oldest = self._client.conversations_history, shown.oldest
        async for page in self._pages(history, channel=channel_id, oldest=oldest):
            missed |= self._meant(page["messages"], channel_id, kind)
            _sort_threads(page["messages"], oldest, live, quiet)
            shown.add(page["messages"])
            shown.is_whole = not page.get("has_more")
        earlier = await self._call(history, channel=channel_id, latest=oldest, inclusive=True, limit=EARLIER_LIMIT)
        _sort_threads(earlier["messages"], oldest, live, quiet)
        still = [thread_ts for thread_ts in known if thread_ts in quiet][:QUIET_LIMIT]
        for thread_ts in sorted(live | (set(known) - quiet) | set(still)):
            since = shown.threads_since if thread_ts in known else oldest
            said, is_whole = await self._replies(channel_id, thread_ts, since)
            if is_whole and thread_ts in known:
                shown.add_thread(thread_ts, said)
            missed |= self._meant((message for message in said if message["ts"] > oldest), channel_id, kind)
        return missed

    async def _replies(self, channel_id: str, thread_ts: str, oldest: str) -> tuple[list[Body], bool]:
        """Return a thread's first message and what was said there since then, and whether that is surely all."""
        replies, said, is_whole = self._client.conversations_replies, list[Body](), False
        try:
            async for page in self._pages(replies, channel=channel_id, ts=thread_ts, oldest=oldest):
                said += page["messages"]
                is_whole = not page.get("has_more")
        except NotFound as error:
            log.info("backfill.skipped", channel_id=channel_id, thread_ts=thread_ts, reason=str(error))
            return [], str(error) == _THREAD_GONE
        return said, bool(said) and is_whole

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
        raw = self._raw(event_id, event)
        await self._inbox.accept(raw, event_id=event_id, team_id=self._team_id, errands=errands)

    async def _withdraw(self, channel_id: str, ts: str) -> None:
        event_id = f"backfill:deleted:{channel_id}:{ts}"
        event = {"type": "message", "subtype": "message_deleted", "channel": channel_id, "deleted_ts": ts}
        raw, deletion = self._raw(event_id, event), Deletion(channel_id, ts)
        await self._inbox.withdraw(raw, event_id=event_id, team_id=self._team_id, deletion=deletion)

    def _raw(self, event_id: str, event: Body) -> bytes:
        """Return an event as Slack would have sent it."""
        body = {"type": "event_callback", "team_id": self._team_id, "event_id": event_id, "event": event}
        return json.dumps(body).encode()

    async def _pages(self, method: Method, **arguments: Any) -> AsyncIterator[AsyncSlackResponse]:
        cursor = None
        while True:
            page = await self._call(method, cursor=cursor, limit=PAGE, **arguments)
            yield page
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


def _week_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=THREAD_DAYS)


def _sort_threads(messages: list[Body], oldest: str, live: set[str], quiet: set[str]) -> None:
    """Put each thread that begins with one of these messages where it belongs: it went on since then, or it didn't."""
    for message in messages:
        went_on = (message.get("latest_reply") or "0") > oldest
        (live if went_on else quiet).add(message["ts"])
