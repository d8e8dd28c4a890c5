"""Answers that rely on what is gone: emptied here at once, and remembered until Slack shows it too."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.repositories.audience import PERSONAL_PREFIX
from bot.repositories.copies import delete_orphaned_copies


@dataclass(frozen=True, slots=True)
class RetractedAnswer:
    """An answer of ours that is emptied here and still stands in Slack, as the reply to the message `reply_to`."""

    message_id: UUID
    channel_id: str
    thread_ts: str
    slack_ts: str
    reply_to: str


class RetractionRepository:
    """Takes answers back."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def retract(self, team_id: str, document_ids: Collection[UUID], *, notice: str) -> int:
        """Put `notice` in place of every answer that cites one of these and was given where it can't be read any more.

        In a channel it can be read while it is shared there, or in a public one when only full members are about; by an
        asker alone, while it is shared where they are, or in a public one when they are a full member. Returns how many answers there were. What Slack never showed to everybody, a private answer, is done with then.
        """
        parameters = {"team": team_id, "documents": list(document_ids), "notice": notice}
        return len((await self._session.execute(_RETRACT, parameters)).all())

    async def list_unshown(self, team_id: str, *, limit: int = 100) -> list[RetractedAnswer]:
        """Return answers that Slack still shows, oldest first."""
        rows = await self._session.execute(_UNSHOWN, {"team": team_id, "limit": limit})
        return [RetractedAnswer(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public name

    async def set_shown(self, team_id: str, message_id: UUID) -> None:
        """Note that Slack shows the notice."""
        await self._session.execute(_SHOWN, {"team": team_id, "id": message_id})

    async def delete_message(self, team_id: str, channel_id: str, ts: str) -> int:
        """Delete what was said, by whomever, ourselves too, with its copies elsewhere; return 0 or 1.

        Our answers to it are other messages, and stay.
        """
        parameters = {"team": team_id, "channel": channel_id, "ts": ts}
        count = len((await self._session.execute(_DELETE_MESSAGE, parameters)).all())
        await delete_orphaned_copies(self._session, team_id)
        return count


_RETRACT = text(f"""
    WITH citing AS (
        SELECT DISTINCT m.id, m.channel_id, CAST(source ->> 'document_id' AS uuid) AS document_id,
               coalesce(q.author_id, c.started_by) AS asker_id
          FROM messages m
          JOIN conversations c ON c.team_id = :team AND c.id = m.conversation_id
          LEFT JOIN messages q ON q.team_id = :team AND q.channel_id = m.channel_id AND q.slack_ts = m.reply_to
         CROSS JOIN jsonb_array_elements(m.sources) AS source
         WHERE m.team_id = :team AND m.role = 'assistant'
           AND CAST(source ->> 'document_id' AS uuid) = ANY(CAST(:documents AS uuid[]))
    ), given AS (
        SELECT citing.*, a.slack_user_id, coalesce(a.kind = 'member', false) AS by_member,
               coalesce(p.kind IN ('im', 'personal'), citing.channel_id LIKE 'private:%') AS asker_alone,
               coalesce(NOT p.has_outsiders, false) AS members_only
          FROM citing
          LEFT JOIN users a ON a.team_id = :team AND a.id = citing.asker_id
          LEFT JOIN channels p ON p.team_id = :team AND p.channel_id = citing.channel_id
    ), unread AS (
        SELECT g.id FROM given g
         WHERE NOT EXISTS (
                   SELECT FROM document_shares s
                     LEFT JOIN channels c ON c.team_id = :team AND c.channel_id = s.channel_id
                    WHERE s.team_id = :team AND s.document_id = g.document_id
                      AND (s.channel_id = g.channel_id
                           OR c.kind = 'public' AND CASE WHEN g.asker_alone THEN g.by_member ELSE g.members_only END
                           OR g.asker_alone AND (s.channel_id = '{PERSONAL_PREFIX}' || g.asker_id
                               OR EXISTS (SELECT FROM channel_members x
                                           WHERE x.team_id = :team AND x.channel_id = s.channel_id
                                             AND x.slack_user_id = g.slack_user_id))))
    )
    UPDATE messages m
       SET content = :notice, sources = '[]',
           state = CASE WHEN m.slack_ts IS NULL THEN 'retracted' ELSE 'retracting' END
     WHERE m.team_id = :team AND m.id IN (SELECT id FROM unread)
    RETURNING m.id
""")
"""Looks at every answer of the workspace: deletions are few, and nobody waits for this one.

Who sees an answer is told as in `audience.py`, for many answers at once, by what is known of people and channels now. An
answer in a channel is seen by whoever is in it, so that its asker's kind doesn't matter there.
"""

_UNSHOWN = text("""
    SELECT m.id AS message_id, m.channel_id, c.thread_ts, m.slack_ts, coalesce(m.reply_to, '') AS reply_to
      FROM messages m JOIN conversations c ON c.team_id = m.team_id AND c.id = m.conversation_id
     WHERE m.team_id = :team AND m.state = 'retracting'
     ORDER BY m.id
     LIMIT :limit
""")

_SHOWN = text("UPDATE messages SET state = 'retracted' WHERE team_id = :team AND id = :id AND state = 'retracting'")

_DELETE_MESSAGE = text("""
    DELETE FROM messages WHERE team_id = :team AND channel_id = :channel AND slack_ts = :ts RETURNING id
""")
