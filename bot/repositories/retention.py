"""How long a workspace keeps things, and the deletion of what is older."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import UNFINISHED
from bot.repositories import shares
from bot.repositories.copies import delete_orphaned_copies
from bot.values import first_id

SHARES_AT_ONCE = 50
"""What is deleted in one transaction: it holds locks that answers and readings may wait for."""


class RetentionRepository:
    """Keeps a workspace's limit, and deletes by it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get_days(self, team_id: str) -> int | None:
        """Return for how many days the workspace keeps things; None for as long as nobody deletes them."""
        days: int | None = await self._session.scalar(_GET, {"team": team_id})
        return days

    async def set_days(self, team_id: str, days: int | None) -> None:
        """Keep things for so many days from now on."""
        await self._session.execute(_SET, {"team": team_id, "days": days})

    async def delete_shares(self, team_id: str, *, before: datetime) -> list[UUID]:
        """Delete some of the oldest shares, and documents with their last; return each one's document, [] at the end."""
        return await shares.delete_oldest_shares(self._session, team_id, before=before, limit=SHARES_AT_ONCE)

    async def delete_words(self, team_id: str, *, before: datetime) -> int:
        """Delete what was said, remembered and commented on before; return how many messages went.

        An answer that is still to be taken back where it stands goes the next time.
        """
        parameters = {"team": team_id, "before": before}
        for statement in (_MEMORIES, _FEEDBACK):
            await self._session.execute(statement, parameters)
        count = len((await self._session.execute(_MESSAGES, parameters)).all())
        count += await delete_orphaned_copies(self._session, team_id)
        await self._session.execute(_CONVERSATIONS, parameters)
        return count

    async def purge_events(self, team_id: str, *, before: datetime) -> int:
        """Empty the events stored before that nobody needs any more; return how many there were.

        That they were delivered stays known: a copy that comes late is still one.
        """
        parameters = {"team": team_id, "first": first_id(before)}
        return len((await self._session.execute(_EVENTS, parameters)).all())


_GET = text("SELECT CAST(settings ->> 'retention_days' AS integer) FROM workspaces WHERE team_id = :team")

_SET = text("""
    UPDATE workspaces
       SET settings = CASE WHEN CAST(:days AS integer) IS NULL THEN settings - 'retention_days'
                           ELSE settings || jsonb_build_object('retention_days', CAST(:days AS integer)) END
     WHERE team_id = :team
""")

_MEMORIES = text("DELETE FROM memories WHERE team_id = :team AND created_at < :before")
_FEEDBACK = text("DELETE FROM feedback WHERE team_id = :team AND created_at < :before")
_MESSAGES = text(
    "DELETE FROM messages WHERE team_id = :team AND created_at < :before AND state <> 'retracting' RETURNING id"
)
_CONVERSATIONS = text("""
    DELETE FROM conversations c
     WHERE c.team_id = :team AND c.updated_at < :before
       AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.team_id = :team AND m.conversation_id = c.id)
""")

_EVENTS = text(f"""
    UPDATE inbox i SET body = ''
     WHERE i.team_id = :team AND i.id < :first AND i.body <> ''
       AND NOT EXISTS (SELECT 1 FROM work w
                        WHERE w.team_id = :team AND w.inbox_id = i.id AND (w.{UNFINISHED} OR w.state = 'copy'))
    RETURNING i.id
""")
