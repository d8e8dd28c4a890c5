"""Whole workspaces."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import AuditEntry, Base

_KEPT = {AuditEntry.__tablename__}
"""Append-only: the bot's role may not delete there."""


class WorkspaceRepository:
    """Lets go of workspaces."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def delete(self, team_id: str) -> None:
        """Delete everything a workspace holds, its audit log apart."""
        for table in reversed(Base.metadata.sorted_tables):
            if "team_id" in table.columns and table.name not in _KEPT:
                await self._session.execute(delete(table).where(table.columns["team_id"] == team_id))
