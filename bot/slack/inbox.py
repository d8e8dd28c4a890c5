"""What comes in is stored first, with the work it means, in one transaction; then Slack gets its acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from bot.db.engine import Session, Sessions
from bot.errors import DatabaseUnavailable, WorkspaceGone
from bot.jobs.queue import Queue, defer_purge
from bot.repositories.inbox import InboxRepository
from bot.repositories.memberships import MembershipRepository
from bot.repositories.tombstones import ChannelTombstones, MessageTombstones
from bot.repositories.work import WorkRepository
from bot.repositories.workspaces import DepartureRepository
from bot.services.errands import answer_errand, ingest_errand, message_key, receipt_errand, unsay_errand, vacate_errand
from bot.services.users import revoke_keys
from bot.slack.payloads import Deletion, SlackMessage
from bot.text.mrkdwn import without_mention
from bot.values import Errand, Person, Question

log = structlog.get_logger()

STORE_TIMEOUT_S = 2.5
"""Slack waits three seconds for an acknowledgement, and sends again what it gets none for."""

STORES_LIMIT = 200
"""Events that wait for the database at most: beyond that Slack keeps them, and sends them again."""


class Inbox:
    """Stores what Slack delivers.

    Whatever can't be stored within Slack's three seconds raises DatabaseUnavailable: then nothing is acknowledged, and
    Slack sends it again. `unstored_since` is since when something may be missing that nobody has looked after yet.
    """

    def __init__(
        self,
        sessions: Sessions,
        queue: Queue,
        *,
        timeout_s: float = STORE_TIMEOUT_S,
        stores_limit: int = STORES_LIMIT,
    ) -> None:
        self._sessions = sessions
        self._queue = queue
        self._timeout_s = timeout_s
        self._stores_limit = stores_limit
        self._stores: set[asyncio.Task[None]] = set()
        self.unstored_since: datetime | None = None

    async def accept(self, raw: bytes, *, event_id: str, team_id: str, errands: Sequence[Errand]) -> None:
        """Store what Slack sent and its errands in one transaction; a copy of what is known changes nothing.

        Nothing is to be done for a message whose deletion, or its channel's, arrived first: then its words aren't kept.
        """
        if errands:
            await self._in_time(self._accept(raw, event_id, team_id, errands))

    async def withdraw(self, raw: bytes, *, event_id: str, team_id: str, deletion: Deletion) -> None:
        """Store that a message is gone, and stop the work of answering it; an answer that is final stays."""
        await self._in_time(self._withdraw(raw, event_id, team_id, deletion))

    async def close_channel(self, raw: bytes, *, event_id: str, team_id: str, channel_id: str) -> None:
        """Store that a channel is gone: nobody reads it from here on, and what is done for it is stopped."""
        await self._in_time(self._close_channel(raw, event_id, team_id, channel_id))

    async def note(self, team_id: str, change: Callable[[MembershipRepository], Awaitable[object]]) -> None:
        """Store that something of channels or people changed; nothing else of what Slack sent is kept."""
        await self._in_time(self._note(team_id, change))

    async def note_person(self, team_id: str, person: Person) -> None:
        """Store that somebody isn't what they were; of somebody deactivated, every API key is worthless from then on."""
        await self._in_time(self._note_person(team_id, person))

    async def depart(self, team_id: str, *, told_at: datetime | None) -> None:
        """Store that the bot was uninstalled, `told_at` by Slack's clock: nobody is let in from here on, and all goes."""
        await self._in_time(self._depart(team_id, told_at))

    def miss(self, since: datetime) -> None:
        """Note that something of what Slack sent since then may be missing here."""
        self.unstored_since = min(self.unstored_since or since, since)

    async def _accept(self, raw: bytes, event_id: str, team_id: str, errands: Sequence[Errand]) -> None:
        async with self._sessions.tenant(team_id) as session:
            inbox_id = await InboxRepository(session).record(team_id, event_id, raw)
            if inbox_id is None:
                return
            if await _is_gone(session, team_id, errands):
                await InboxRepository(session).purge(team_id, [inbox_id])
                return
            for errand in sorted(errands, key=lambda errand: errand.lock):  # the same order everywhere: no deadlock
                await self._queue.enqueue(session, errand, inbox_id=inbox_id)

    async def _withdraw(self, raw: bytes, event_id: str, team_id: str, deletion: Deletion) -> None:
        message = message_key(deletion.channel_id, deletion.ts)
        async with self._sessions.tenant(team_id) as session:
            inbox_id = await InboxRepository(session).record(team_id, event_id, raw)
            if inbox_id is None:
                return
            await MessageTombstones(session).record(team_id, message)
            errand = unsay_errand(team_id, channel_id=deletion.channel_id, message_ts=deletion.ts)
            await self._queue.enqueue(session, errand, inbox_id=inbox_id)
            if await self._queue.withdraw(session, team_id, "answer", message):
                log.info("question.withdrawn", message=message)

    async def _close_channel(self, raw: bytes, event_id: str, team_id: str, channel_id: str) -> None:
        async with self._sessions.tenant(team_id) as session:
            if await InboxRepository(session).record(team_id, event_id, raw) is None:
                return
            await ChannelTombstones(session).record(team_id, channel_id)
            await MembershipRepository(session).close_channel(team_id, channel_id)
            await WorkRepository(session).stop_in_channel(team_id, channel_id)
            await self._queue.enqueue(session, vacate_errand(team_id, channel_id))
        log.info("channel.deleted", channel_id=channel_id)

    async def _note(self, team_id: str, change: Callable[[MembershipRepository], Awaitable[object]]) -> None:
        async with self._sessions.tenant(team_id) as session:
            await change(MembershipRepository(session))

    async def _note_person(self, team_id: str, person: Person) -> None:
        async with self._sessions.tenant(team_id) as session:
            await MembershipRepository(session).record_person_change(team_id, person)
            keys = await revoke_keys(session, team_id, person.user_id) if person.is_deactivated else 0
        if keys:
            log.info("key.revoked_all", user_id=person.user_id, keys=keys)

    async def _depart(self, team_id: str, told_at: datetime | None) -> None:
        async with self._sessions.purging(team_id) as session:
            departures = DepartureRepository(session)
            await departures.take_turn(team_id)  # who is being installed just now has come back after this
            if not await departures.record(team_id, told_at=told_at):
                return
            await defer_purge(session, team_id)
        log.warning("workspace.uninstalled", team_id=team_id)

    async def _in_time(self, write: Coroutine[Any, Any, None]) -> None:
        """Await a write as long as Slack waits. One that is given up counts until it is really over."""
        if len(self._stores) >= self._stores_limit:
            write.close()
            raise self._unstored(f"{len(self._stores)} events wait for the database")
        store = asyncio.create_task(write, name="store")
        self._stores.add(store)
        store.add_done_callback(self._over)
        await asyncio.wait({store}, timeout=self._timeout_s)
        if not store.done():
            store.cancel()
            raise self._unstored(f"not stored within {self._timeout_s:g} s")
        try:
            store.result()
        except DatabaseUnavailable as error:
            raise self._unstored(str(error)) from error
        except WorkspaceGone as error:
            log.info("event.dropped", reason=str(error))

    def _over(self, store: asyncio.Task[None]) -> None:
        self._stores.discard(store)
        if not store.cancelled():
            store.exception()  # of a store that was given up, nobody else asks for it

    def _unstored(self, reason: str) -> DatabaseUnavailable:
        self.miss(datetime.now(UTC))
        return DatabaseUnavailable(reason)


def errands_of(message: SlackMessage, team_id: str, *, bot_user_id: str) -> list[Errand]:
    """Return the work a message means; the copies Slack sends of one message mean the same work.

    A question is a direct message or a mention. One that is nothing but files gets its receipt alone.
    """
    errands = _file_errands(message, team_id)
    says_something = bool(without_mention(message.text, bot_user_id))
    if (message.is_direct or message.mentions(bot_user_id)) and (says_something or not errands):
        errands.append(question_errand(message, team_id))
    return errands


def question_errand(message: SlackMessage, team_id: str) -> Errand:
    """Return the work of answering a message; both copies of a mention make the same."""
    question = Question(
        team_id=team_id,
        channel_id=message.channel_id,
        user_id=message.user_id,
        ts=message.ts,
        thread_ts=message.thread_ts,
        text="",
    )
    return answer_errand(question, gesture=message.gesture)


def reading_errands(message: SlackMessage, team_id: str) -> list[Errand]:
    """Return the work of reading a message's files, each of them."""
    return [ingest_errand(team_id, file_id, **_place(message)) for file_id in message.file_ids]


def _file_errands(message: SlackMessage, team_id: str) -> list[Errand]:
    """Return the work that a message's files mean: read each one, then give a receipt for them all."""
    reading = reading_errands(message, team_id)
    return [*reading, receipt_errand(team_id, **_place(message))] if reading else []


def _place(message: SlackMessage) -> dict[str, str]:
    return {"channel_id": message.channel_id, "message_ts": message.ts, "thread_ts": message.thread_ts}


async def _is_gone(session: Session, team_id: str, errands: Sequence[Errand]) -> bool:
    """Tell whether the message that means these errands, or its channel, was deleted; others are never gone."""
    ids = errands[0].ids
    if "message_ts" not in ids:
        return False
    message = message_key(ids["channel_id"], ids["message_ts"])
    gone = await MessageTombstones(session).is_gone(team_id, message)
    gone = gone or await ChannelTombstones(session).is_gone(team_id, ids["channel_id"])
    if gone:
        log.info("message.gone", message=message)
    return gone
