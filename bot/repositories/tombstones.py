"""What was deleted, remembered so that no late job brings it back."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean


class TombstoneRepository:
    """Remembers deletions by kind (`file`, …) and key."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, kind: str, key: str) -> None:
        """Remember that this is gone. What is under way in other transactions has ended when this returns."""
        await self._session.execute(_LOCK_ALONE, {"team": team_id})
        statement = text("""
            INSERT INTO tombstones (team_id, kind, key) VALUES (:team, :kind, :key) ON CONFLICT DO NOTHING
        """)
        await self._session.execute(statement, {"team": team_id, "kind": kind, "key": clean(key)})

    async def is_gone(self, team_id: str, kind: str, key: str) -> bool:
        """Tell whether this was deleted. A deletion that comes later waits for the end of this transaction.

        So one of the two sees the other: the deletion finds what this transaction stores, or this one finds it gone.
        """
        await self._session.execute(_LOCK_TOGETHER, {"team": team_id})
        statement = text("""
            SELECT EXISTS (SELECT 1 FROM tombstones WHERE team_id = :team AND kind = :kind AND key = :key)
        """)
        parameters = {"team": team_id, "kind": kind, "key": clean(key)}
        return bool(await self._session.scalar(statement, parameters))


# The workspace's row stands for "its deletions": many may store at once, a deletion is alone for its moment.
_LOCK_TOGETHER = text("SELECT 1 FROM workspaces WHERE team_id = :team FOR KEY SHARE")
_LOCK_ALONE = text("SELECT 1 FROM workspaces WHERE team_id = :team FOR UPDATE")
