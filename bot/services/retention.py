"""How long a workspace keeps things: what is older goes by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from bot.db.engine import Sessions
from bot.errors import InvalidRequest
from bot.repositories.audit import AuditRepository
from bot.repositories.retention import RetentionRepository
from bot.repositories.retractions import RetractionRepository
from bot.services.deletions import NOTICE
from bot.services.errands import retract_errands
from bot.services.ports import Enqueue
from bot.values import BOT, AuditEntry, Deed

log = structlog.get_logger()

EVENTS_KEPT = timedelta(days=30)
"""Slack's own words are of no use once what they meant is done; so long a person may want to look after a fault."""

LONGEST_DAYS = 36_500


class RetentionService:
    """Lets things expire."""

    def __init__(self, sessions: Sessions, enqueue: Enqueue) -> None:
        self._sessions = sessions
        self._enqueue = enqueue

    async def days(self, team_id: str) -> int | None:
        """Return for how many days things are kept; None: until somebody deletes them."""
        async with self._sessions.tenant(team_id) as session:
            return await RetentionRepository(session).get_days(team_id)

    async def keep(self, team_id: str, days: int | None, *, by: str = BOT) -> None:
        """Keep things for so many days from now on. Raises InvalidRequest. `by` stands for it in the audit log."""
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise InvalidRequest(
                "days", user_message=f"Things are kept for 1 to {LONGEST_DAYS} days, or `off`: for good."
            )
        async with self._sessions.tenant(team_id) as session:
            retention = RetentionRepository(session)
            details: dict[str, str | int | None] = {"days": days, "before": await retention.get_days(team_id)}
            await retention.set_days(team_id, days)
            entry = AuditEntry(by, Deed.RETENTION_CHANGED, f"workspace:{team_id}", details)
            await AuditRepository(session).record(team_id, entry)

    async def expire(self, team_id: str) -> None:
        """Delete what is older than the workspace keeps things, answers that quote it taken back; done in small steps."""
        now = datetime.now(UTC)
        async with self._sessions.tenant(team_id) as session:
            retention = RetentionRepository(session)
            days = await retention.get_days(team_id)
            kept = EVENTS_KEPT if days is None else min(EVENTS_KEPT, timedelta(days=days))
            events = await retention.purge_events(team_id, before=now - kept)
        documents = messages = 0
        if days is not None:
            before = now - timedelta(days=days)
            documents = await self._expire_documents(team_id, before)
            async with self._sessions.tenant(team_id) as session:
                messages = await RetentionRepository(session).delete_words(team_id, before=before)
        if events or documents or messages:
            log.info("retention.expired", days=days, documents=documents, messages=messages, events=events)

    async def _expire_documents(self, team_id: str, before: datetime) -> int:
        count = 0
        while True:
            async with self._sessions.tenant(team_id) as session:
                document_ids = await RetentionRepository(session).delete_shares(team_id, before=before)
                await RetractionRepository(session).retract(team_id, document_ids, notice=NOTICE)
                for errand in retract_errands(team_id, document_ids):
                    await self._enqueue(session, errand)
                if document_ids:
                    entry = _expired(team_id, len(document_ids), before)
                    await AuditRepository(session).record(team_id, entry)
            if not document_ids:
                return count
            count += len(document_ids)


def _expired(team_id: str, shares: int, before: datetime) -> AuditEntry:
    details: dict[str, str | int | None] = {"shares": shares, "before": before.isoformat(timespec="seconds")}
    return AuditEntry(BOT, Deed.DOCUMENTS_EXPIRED, f"workspace:{team_id}", details)
