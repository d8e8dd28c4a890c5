"""What Slack delivered, byte for byte, before it is acknowledged."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean
from bot.values import new_id


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
