"""Gone means gone: what follows from a deletion in Slack, here and in the answers that stand there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from bot.db.engine import Sessions
from bot.repositories.audit import AuditRepository
from bot.repositories.contents import ContentRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.inbox import InboxRepository
from bot.repositories.retractions import RetractionRepository
from bot.repositories.tombstones import ChannelTombstones
from bot.repositories.work import WorkRepository
from bot.services.errands import message_key, retract_errands
from bot.services.ports import Enqueue, Postings
from bot.values import SLACK, AuditEntry, Deed

log = structlog.get_logger()

NOTICE = (
    "I've taken this answer back: something it relied on was deleted, or isn't shared here any more. "
    "Ask again, and I'll answer from what is there now."
)

_AGAIN_S = 2.0
_BEFORE = timedelta(minutes=5)
"""By how much Slack's clock, which dates messages, may be ahead of ours, which dates what came in."""


class DeletionService:
    """Carries deletions through."""

    def __init__(self, sessions: Sessions, enqueue: Enqueue, postings: Postings) -> None:
        self._sessions = sessions
        self._enqueue = enqueue
        self._postings = postings

    async def unsay(self, team_id: str, *, channel_id: str, message_ts: str) -> float | None:
        """Delete what a message said and shared; its tombstone is there already.

        Returns the seconds after which to come again while its question is still being dealt with, else None.
        """
        async with self._sessions.tenant(team_id) as session:
            key = message_key(channel_id, message_ts)
            is_under_way = await WorkRepository(session).is_unfinished(team_id, "answer", key)
            document_ids = await DocumentRepository(session).delete_shares_of_message(team_id, channel_id, message_ts)
            for errand in retract_errands(team_id, document_ids):
                await self._enqueue(session, errand)
            if document_ids:
                entry = AuditEntry(SLACK, Deed.MESSAGE_DELETED, f"message:{key}", {"shares": len(document_ids)})
                await AuditRepository(session).record(team_id, entry)
            if not is_under_way:
                await RetractionRepository(session).delete_message(team_id, channel_id, message_ts)
                await self._purge(InboxRepository(session), team_id, channel_id, message_ts)
        if is_under_way:
            return _AGAIN_S
        log.info("message.forgotten", message=key, documents=len(document_ids))
        return None

    async def unshow(self, team_id: str, file_id: str) -> float | None:
        """Empty the stored events that describe a deleted file: Slack may have put its first lines there.

        Returns the seconds after which to come again while somebody still needs one of them, else None.
        """
        name = re.compile(rb"\b" + re.escape(file_id.encode()) + rb"\b")
        left = await self._purge_naming(team_id, file_id, lambda body: name.search(body) is not None)
        return _AGAIN_S if left else None

    async def vacate(self, team_id: str, channel_id: str) -> float | None:
        """Delete all that a deleted channel held, in small steps; its tombstone is there already.

        Returns the seconds after which to come again while somebody is still at something of it, else None.
        """
        async with self._sessions.tenant(team_id) as session:
            await ChannelTombstones(session).wait(team_id, channel_id)
        documents = await self._take_out(team_id, channel_id)
        while await self._forget_some(team_id, channel_id):
            pass
        async with self._sessions.tenant(team_id) as session:
            await ContentRepository(session).delete_rest(team_id, channel_id)
            is_under_way = await WorkRepository(session).is_any_in_channel(team_id, channel_id)
        left = await self._purge_naming(team_id, channel_id, lambda body: self._postings.is_of(body, channel_id))
        if left or is_under_way:
            return _AGAIN_S
        async with self._sessions.tenant(team_id) as session:
            entry = AuditEntry(SLACK, Deed.CHANNEL_DELETED, f"channel:{channel_id}")
            await AuditRepository(session).record(team_id, entry)
        log.info("channel.forgotten", channel_id=channel_id, documents=documents)
        return None

    async def _take_out(self, team_id: str, channel_id: str) -> int:
        """Delete the channel's shares, and have the answers that cite what is out of reach now taken back."""
        count = 0
        while True:
            async with self._sessions.tenant(team_id) as session:
                document_ids = await ContentRepository(session).delete_shares(team_id, channel_id)
                await RetractionRepository(session).retract(team_id, document_ids, notice=NOTICE)
                for errand in retract_errands(team_id, document_ids):
                    await self._enqueue(session, errand)
            if not document_ids:
                return count
            count += len(document_ids)

    async def _forget_some(self, team_id: str, channel_id: str) -> int:
        async with self._sessions.tenant(team_id) as session:
            return await ContentRepository(session).delete_conversations(team_id, channel_id)

    async def _purge_naming(self, team_id: str, word: str, tells: Callable[[bytes], bool]) -> int:
        """Empty the stored events with a word in them that tell of what is gone; return how many are still needed."""
        after: UUID | None = None
        left = 0
        while True:
            async with self._sessions.tenant(team_id) as session:
                inbox = InboxRepository(session)
                events, after = await inbox.list_page_naming(team_id, word, after=after)
                left += await inbox.purge_unneeded(team_id, [event.id for event in events if tells(event.body)])
            if after is None:
                return left

    async def retract(self, team_id: str, document_ids: Sequence[UUID]) -> None:
        """Take back the answers that rely on documents which can't be read where these stand. Raises ServiceUnavailable."""
        async with self._sessions.tenant(team_id) as session:
            count = await RetractionRepository(session).retract(team_id, document_ids, notice=NOTICE)
        if count:
            log.info("answers.retracted", count=count)
        while True:
            async with self._sessions.tenant(team_id) as session:
                unshown = await RetractionRepository(session).list_unshown(team_id)
            if not unshown:
                return
            for answer in unshown:
                await self._postings.take_back(
                    team_id,
                    channel_id=answer.channel_id,
                    thread_ts=answer.thread_ts,
                    ts=answer.slack_ts,
                    reply_to=answer.reply_to,
                    notice=NOTICE,
                )
                async with self._sessions.tenant(team_id) as session:
                    await RetractionRepository(session).set_shown(team_id, answer.message_id)

    async def _purge(self, inbox: InboxRepository, team_id: str, channel_id: str, message_ts: str) -> None:
        """Empty every stored event that tells of the message: its copies, its edits, its deletion."""
        since = datetime.fromtimestamp(float(message_ts), UTC) - _BEFORE
        events = await inbox.list_naming(team_id, message_ts, since=since)
        telling = [event.id for event in events if self._postings.tells_of(event.body, channel_id, message_ts)]
        await inbox.purge(team_id, telling)
