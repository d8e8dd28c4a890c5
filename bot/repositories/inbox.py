"""What Slack delivered, byte for byte, before it is acknowledged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean
from bot.values import first_id, new_id


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

    async def purge(self, team_id: str, inbox_ids: Collection[UUID]) -> None:
        """Empty these events; that they were delivered stays known."""
        statement = text("UPDATE inbox SET body = '' WHERE team_id = :team AND id = ANY(:ids)")
        await self._session.execute(statement, {"team": team_id, "ids": list(inbox_ids)})


_NAMING = text("""
    SELECT id, body FROM inbox
     WHERE team_id = :team AND id >= :first AND position(CAST(:word AS bytea) IN body) > 0
     ORDER BY id
""")
