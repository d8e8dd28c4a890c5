"""What a channel held beside the documents shared in it: taken away in small steps when the channel is gone."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.repositories import shares
from bot.repositories.copies import delete_orphaned_copies

SHARES_AT_ONCE, CONVERSATIONS_AT_ONCE = 50, 100
"""What is deleted in one transaction: it holds locks that answers and readings may wait for."""


class ContentRepository:
    """Empties one channel. Each method can be called again."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def delete_shares(self, team_id: str, channel_id: str) -> list[UUID]:
        """Delete some of what was shared there, documents with their last share; return each one's document."""
        return await shares.delete_some_shares_in(self._session, team_id, channel_id, limit=SHARES_AT_ONCE)

    async def delete_conversations(self, team_id: str, channel_id: str) -> int:
        """Delete some of the conversations there, with all that was said in them; return how many went."""
        parameters = {"team": team_id, "channel": channel_id, "limit": CONVERSATIONS_AT_ONCE}
        return len((await self._session.execute(_CONVERSATIONS, parameters)).all())

    async def delete_rest(self, team_id: str, channel_id: str) -> None:
        """Delete what was remembered and asked again of it, where our messages stood, and the channel with its people."""
        await delete_orphaned_copies(self._session, team_id)
        for statement in _REST:
            await self._session.execute(statement, {"team": team_id, "channel": channel_id})


_CONVERSATIONS = text("""
    DELETE FROM conversations WHERE team_id = :team AND id IN (
           SELECT id FROM conversations WHERE team_id = :team AND channel_id = :channel ORDER BY id LIMIT :limit)
    RETURNING id
""")

_REST = tuple(
    text(f"DELETE FROM {table} WHERE team_id = :team AND channel_id = :channel")
    for table in ("memories", "deliveries", "channel_paces", "channels")
)
