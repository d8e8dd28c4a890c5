"""What Slack delivered, byte for byte, before it is acknowledged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import UNFINISHED
from bot.text.clean import clean
from bot.values import first_id, new_id

LOOKED_AT_ONCE = 2000
"""Events that are looked through in one statement."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """What was delivered, and its row's id."""

    id: UUID
    body: bytes


class InboxRepository:
    """Keeps raw events, each once."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, event_id: str, body: bytes) -> UUID | None:
        """Store an event and return its row's id; None when it was delivered before."""
        statement = text("""
            INSERT INTO inbox (team_id, id, event_id, body) VALUES (:team, :id, :event, :body)
            ON CONFLICT (team_id, event_id) DO NOTHING RETURNING id
        """)
        parameters = {"team": team_id, "id": new_id(), "event": clean(event_id), "body": body}
        inbox_id: UUID | None = await self._session.scalar(statement, parameters)
        return inbox_id

    async def get_body(self, team_id: str, inbox_id: UUID) -> bytes | None:
        """Return what was delivered."""
        statement = text("SELECT body FROM inbox WHERE team_id = :team AND id = :id")
        body: bytes | None = await self._session.scalar(statement, {"team": team_id, "id": inbox_id})
        return body

    async def list_naming(self, team_id: str, word: str, *, since: datetime) -> list[StoredEvent]:
        """Return the events stored since then in which a word of ASCII stands."""
        parameters = {"team": team_id, "word": word.encode("ascii"), "first": first_id(since)}
        rows = await self._session.execute(_NAMING, parameters)
        return [StoredEvent(row.id, row.body) for row in rows]

    async def list_page_naming(
        self, team_id: str, word: str, *, after: UUID | None
    ) -> tuple[list[StoredEvent], UUID | None]:
        """Look through the events after `after`, oldest first; return those in which a word of ASCII stands.

        With them comes the event after which to go on, None when these were the last.
        """
        parameters = {"team": team_id, "word": word.encode("ascii"), "after": after, "limit": LOOKED_AT_ONCE}
        rows = (await self._session.execute(_PAGE_NAMING, parameters)).all()
        found = [StoredEvent(row.id, row.body) for row in rows if row.body is not None]
        return found, rows[-1].id if len(rows) == LOOKED_AT_ONCE else None

    async def purge_unneeded(self, team_id: str, inbox_ids: Collection[UUID]) -> int:
        """Empty those of these events that nobody needs any more; return how many are left whole.

        A deletion needs no words.
        """
        purged = await self._session.execute(_PURGE_UNNEEDED, {"team": team_id, "ids": list(inbox_ids)})
        return len(inbox_ids) - len(purged.all())

    async def purge(self, team_id: str, inbox_ids: Collection[UUID]) -> None:
        """Empty these events; that they were delivered stays known."""
        statement = text("UPDATE inbox SET body = '' WHERE team_id = :team AND id = ANY(:ids)")
        await self._session.execute(statement, {"team": team_id, "ids": list(inbox_ids)})


_NAMING = text("""
    SELECT id, body FROM inbox
     WHERE team_id = :team AND id >= :first AND position(CAST(:word AS bytea) IN body) > 0
     ORDER BY id
""")

_PAGE_NAMING = text("""
    SELECT id, CASE WHEN position(CAST(:word AS bytea) IN body) > 0 THEN body END AS body FROM inbox
     WHERE team_id = :team AND (CAST(:after AS uuid) IS NULL OR id > :after)
     ORDER BY id LIMIT :limit
""")

_PURGE_UNNEEDED = text(f"""
    UPDATE inbox i SET body = ''
     WHERE i.team_id = :team AND i.id = ANY(:ids)
       AND NOT EXISTS (SELECT FROM work w
                        WHERE w.team_id = :team AND w.inbox_id = i.id AND (w.{UNFINISHED} OR w.state = 'copy')
                          AND w.task NOT IN ('forget', 'unsay'))
    RETURNING i.id
""")
