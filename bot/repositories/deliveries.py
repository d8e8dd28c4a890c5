"""What we posted where: one row for each message, claimed before it is posted."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean
from bot.values import new_id


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A message that is to be posted once. `ts` is its place in Slack, None while nobody knows that it was posted.

    `state` goes from posting to posted to final. `created` is True for who claimed it first.
    """

    id: UUID
    channel_id: str
    thread_ts: str | None
    ts: str | None
    state: str
    created: bool


class DeliveryRepository:
    """Keeps track of what was posted."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def claim(self, team_id: str, kind: str, key: str, channel_id: str, thread_ts: str | None) -> ClaimedDelivery:
        """Return the delivery of this key, made when it isn't there. Safe to call twice at once."""
        parameters = {
            "team": team_id,
            "id": new_id(),
            "kind": kind,
            "key": clean(key),
            "channel": channel_id,
            "thread_ts": thread_ts,
        }
        row = (await self._session.execute(_CLAIM, parameters)).one_or_none()
        if row is None:  # claimed by another transaction meanwhile: now it shows
            row = (await self._session.execute(_CLAIM, parameters)).one()
        return ClaimedDelivery(row.id, row.channel_id, row.thread_ts, row.ts, row.state, row.created)

    async def set_posted(self, team_id: str, kind: str, key: str, ts: str, state: str = "posted") -> bool:
        """Note where a message stands now, and its state; False when nobody claimed it."""
        statement = text("""
            UPDATE deliveries SET ts = :ts, state = :state, updated_at = now()
             WHERE team_id = :team AND kind = :kind AND key = :key RETURNING id
        """)
        parameters = {"team": team_id, "kind": kind, "key": clean(key), "ts": ts, "state": state}
        return (await self._session.execute(statement, parameters)).one_or_none() is not None

    async def get_ts(self, team_id: str, kind: str, key: str) -> str | None:
        """Return where a message stands; None when it was not posted, or nobody knows."""
        statement = text("SELECT ts FROM deliveries WHERE team_id = :team AND kind = :kind AND key = :key")
        parameters = {"team": team_id, "kind": kind, "key": clean(key)}
        ts: str | None = await self._session.scalar(statement, parameters)
        return ts


_CLAIM = text("""
    WITH claimed AS (
        INSERT INTO deliveries (team_id, id, kind, key, channel_id, thread_ts)
        VALUES (:team, :id, :kind, :key, :channel, :thread_ts)
        ON CONFLICT (team_id, kind, key) DO NOTHING
        RETURNING id, channel_id, thread_ts, ts, state
    )
    SELECT *, true AS created FROM claimed
    UNION ALL
    SELECT id, channel_id, thread_ts, ts, state, false FROM deliveries
     WHERE team_id = :team AND kind = :kind AND key = :key
""")
