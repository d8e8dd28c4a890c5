"""The threads in which questions were asked."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


class ThreadRepository:
    """Knows where somebody may ask on."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list_recent(self, team_id: str, *, days: int, limit: int) -> list[tuple[str, str]]:
        """Return (channel_id, thread_ts) of the threads that were asked in during the last days, the latest first."""
        statement = text("""
            SELECT split_part(thread, ':', 1) AS channel_id, split_part(thread, ':', 2) AS thread_ts
              FROM work
             WHERE team_id = :team AND task = 'answer' AND thread IS NOT NULL
               AND created_at > now() - make_interval(days => CAST(:days AS integer))
             GROUP BY thread ORDER BY max(created_at) DESC LIMIT :limit
        """)
        rows = await self._session.execute(statement, {"team": team_id, "days": days, "limit": limit})
        return [(row.channel_id, row.thread_ts) for row in rows]
