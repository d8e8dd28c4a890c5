"""What is stored of Slack's messages and files, to be set beside what Slack still shows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class RememberedMessage:
    """A message whose words, or whose files, are stored. `thread_ts` is `ts` for one that stands in the channel."""

    channel_id: str
    thread_ts: str
    ts: str


class RememberedRepository:
    """Knows what would have to go if Slack showed it no more."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list_messages(self, team_id: str, *, since: datetime) -> list[RememberedMessage]:
        """Return the messages said in channels since then, by Slack's clock, that are stored or shared a stored file."""
        parameters = {"team": team_id, "oldest": f"{since.timestamp():.6f}"}
        rows = await self._session.execute(_MESSAGES, parameters)
        return [RememberedMessage(row.channel_id, row.thread_ts, row.ts) for row in rows]

    async def list_files(self, team_id: str, channel_ids: Collection[str], *, limit: int) -> list[str]:
        """Return the ids of the files shared last in these channels, the latest first."""
        parameters = {"team": team_id, "channels": list(channel_ids), "limit": limit}
        return list(await self._session.scalars(_FILES, parameters))


_MESSAGES = text("""
    SELECT m.channel_id, c.thread_ts, m.slack_ts AS ts
      FROM messages m JOIN conversations c ON c.team_id = m.team_id AND c.id = m.conversation_id
     WHERE m.team_id = :team AND m.slack_ts ~ '^[0-9]+[.][0-9]+$' AND m.slack_ts > :oldest
     UNION
    SELECT s.channel_id, coalesce(s.thread_ts, s.message_ts), s.message_ts
      FROM document_shares s
     WHERE s.team_id = :team AND s.message_ts > :oldest
""")

_FILES = text("""
    SELECT s.file_id FROM document_shares s
     WHERE s.team_id = :team AND s.file_id IS NOT NULL AND s.channel_id = ANY(CAST(:channels AS text[]))
     GROUP BY s.file_id ORDER BY max(s.created_at) DESC, s.file_id LIMIT :limit
""")
