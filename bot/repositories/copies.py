"""Questions asked again for somebody else: each lives no longer than the messages whose words it repeats."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def delete_orphaned_copies(session: AsyncSession, team_id: str) -> int:
    """Delete the copies of messages that aren't there any more, and the answers to them; return how many copies went.

    Comes after the statement that deletes messages: that one waits for whoever is just storing a copy of them.
    """
    return int((await session.execute(_DELETE, {"team": team_id})).scalar_one())


_DELETE = text("""
    WITH orphaned AS (
        DELETE FROM messages c
         WHERE c.team_id = :team AND c.role = 'user' AND c.reply_to IS NOT NULL
           AND EXISTS (SELECT FROM unnest(string_to_array(c.reply_to, ' ')) AS repeated
                        WHERE NOT EXISTS (SELECT FROM messages o
                                           WHERE o.team_id = :team AND o.channel_id = split_part(repeated, ':', 1)
                                             AND o.slack_ts = split_part(repeated, ':', 2)))
        RETURNING c.channel_id, c.slack_ts
    ), answers AS (
        DELETE FROM messages a USING orphaned c
         WHERE a.team_id = :team AND a.role = 'assistant' AND a.channel_id = c.channel_id AND a.reply_to = c.slack_ts
    )
    SELECT count(*) FROM orphaned
""")
"""Looks through the workspace's messages: deletions are few, and nobody waits for this one."""
