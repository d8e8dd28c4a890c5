"""What Slack tells of channels and people that changed: what we knew of them doesn't hold any more.

Nothing is taken from such an event but that something changed: Slack promises no order, so what holds now is asked of it
before it is next relied on. One thing is done at once, since it can only close: who left is in the channel no more.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.values import Person


class MembershipRepository:
    """Marks what has to be read from Slack again. Safe to do twice, and in any order."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record_channel_change(self, team_id: str, channel_id: str) -> None:
        """Note that a channel changed; one that we didn't know gets a row, which counts as private and never read."""
        await self._session.execute(_CHANNEL_CHANGED, {"team": team_id, "channel": channel_id})

    async def record_member(self, team_id: str, channel_id: str, user_id: str) -> None:
        """Note that somebody came into a channel: it is theirs to read as soon as Slack, asked again, says so."""
        await self.record_channel_change(team_id, channel_id)
        await self._session.execute(_JOINED, {"team": team_id, "channel": channel_id, "user": user_id})

    async def delete_member(self, team_id: str, channel_id: str, user_id: str) -> None:
        """Note that somebody left a channel. Should they be back by now, the next reading of the channel finds them."""
        await self.record_channel_change(team_id, channel_id)
        await self._session.execute(_LEFT, {"team": team_id, "channel": channel_id, "user": user_id})

    async def close_channel(self, team_id: str, channel_id: str) -> None:
        """Note that a channel is gone: from now on nobody is in it, and nothing of it is anybody's to read."""
        parameters = {"team": team_id, "channel": channel_id}
        await self._session.execute(_CHANNEL_CLOSED, parameters)
        await self._session.execute(_ALL_LEFT, parameters)

    async def record_person_change(self, team_id: str, person: Person) -> bool:
        """Note that somebody isn't what we knew; False when what Slack tells is no news to the walls.

        Who was never stored counts as a full member before: less than that is always news. So is who was deactivated,
        and comes back: a guest who was in nobody's way.
        """
        parameters = {
            "team": team_id,
            "user": person.user_id,
            "kind": str(person.kind),
            "is_deactivated": person.is_deactivated,
        }
        # The first statement waits for channels that are being stored; the second, with a snapshot of its own, sees them.
        if (await self._session.execute(_PERSON_CHANGED, parameters)).one_or_none() is None:
            return False
        await self._session.execute(_THEIR_CHANNELS_CHANGED, parameters)
        return True


_CHANNEL_CHANGED = text("""
    INSERT INTO channels (team_id, channel_id, changes) VALUES (:team, :channel, 1)
    ON CONFLICT (team_id, channel_id) DO UPDATE SET synced_at = NULL, changes = channels.changes + 1
""")

_CHANNEL_CLOSED = text("""
    INSERT INTO channels (team_id, channel_id, changes) VALUES (:team, :channel, 1)
    ON CONFLICT (team_id, channel_id) DO UPDATE
       SET kind = 'private', has_outsiders = true, synced_at = NULL, changes = channels.changes + 1
""")

_ALL_LEFT = text("DELETE FROM channel_members WHERE team_id = :team AND channel_id = :channel")

_JOINED = text("""
    INSERT INTO channel_members (team_id, channel_id, slack_user_id) VALUES (:team, :channel, :user)
    ON CONFLICT DO NOTHING
""")

_LEFT = text("""
    DELETE FROM channel_members WHERE team_id = :team AND channel_id = :channel AND slack_user_id = :user
""")

_PERSON_CHANGED = text("""
    UPDATE workspaces SET people_changes = people_changes + 1
     WHERE team_id = :team AND (CAST(:is_deactivated AS boolean) OR CAST(:kind AS text) <> coalesce(
               (SELECT CASE WHEN is_deactivated THEN 'nobody' ELSE kind END
                  FROM users WHERE team_id = :team AND slack_user_id = CAST(:user AS text)), 'member'))
    RETURNING people_changes
""")

_THEIR_CHANNELS_CHANGED = text("""
    WITH person AS (
        UPDATE users SET kind = CAST(:kind AS text), is_deactivated = :is_deactivated, updated_at = now()
         WHERE team_id = :team AND slack_user_id = CAST(:user AS text)
           AND (kind, is_deactivated) <> (CAST(:kind AS text), CAST(:is_deactivated AS boolean))
    )
    UPDATE channels SET synced_at = NULL, changes = changes + 1
     WHERE team_id = :team
       AND channel_id IN (SELECT channel_id FROM channel_members
                           WHERE team_id = :team AND slack_user_id = CAST(:user AS text))
""")
