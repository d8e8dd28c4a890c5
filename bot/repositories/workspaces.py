"""Whole workspaces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import AuditRow, Base

_KEPT = {AuditRow.__tablename__}
"""Append-only: the bot's role may not delete there."""


@dataclass(frozen=True, slots=True)
class Heard:
    """`until` is up to when nothing that Slack said was missed; None before the first time. Both by one clock."""

    now: datetime
    until: datetime | None


class WorkspaceRepository:
    """Keeps up to when a workspace was heard, and lets go of workspaces."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get_heard(self, team_id: str) -> Heard:
        """Return up to when the workspace was heard; nobody else gets to know before this transaction ends."""
        statement = text("""
            SELECT clock_timestamp() AS now, heard_at FROM workspaces WHERE team_id = :team FOR NO KEY UPDATE
        """)
        row = (await self._session.execute(statement, {"team": team_id})).one()
        return Heard(row.now, row.heard_at)

    async def record_heard(self, team_id: str, until: datetime) -> None:
        """Note that nothing was missed until then; it never moves back."""
        statement = text("UPDATE workspaces SET heard_at = greatest(heard_at, :until) WHERE team_id = :team")
        await self._session.execute(statement, {"team": team_id, "until": until})

    async def delete(self, team_id: str) -> None:
        """Delete everything a workspace holds, its audit log apart."""
        for table in reversed(Base.metadata.sorted_tables):
            if "team_id" in table.columns and table.name not in _KEPT:
                await self._session.execute(delete(table).where(table.columns["team_id"] == team_id))
