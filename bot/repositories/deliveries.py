"""What we posted where: one row for each message, claimed before it is posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean
from bot.values import new_id


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A message that is to be posted once. `ts` is its place in Slack, None while nobody knows that it was posted.

    `state` goes from posting by way of posted or streaming to final or apology; withdrawn is for good. `created` is
    True for who claimed it first: nothing can have been posted yet.
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

    async def set_posted(self, team_id: str, kind: str, key: str, ts: str, state: str = "posted") -> str | None:
        """Note where a message stands and its state, and return where it stands now.

        Another ts than this: that one was noted before, and stays. None: nobody claimed it, or it was withdrawn. What
        has ended doesn't begin again.
        """
        parameters = {"team": team_id, "kind": kind, "key": clean(key), "ts": ts, "state": state}
        noted: str | None = await self._session.scalar(_SET_POSTED, parameters)
        return noted

    async def delete_unposted(self, team_id: str, kind: str, key: str) -> int:
        """Let go of a message that was certainly not posted; return how many rows went."""
        statement = text("""
            DELETE FROM deliveries
             WHERE team_id = :team AND kind = :kind AND key = :key AND ts IS NULL AND state = 'posting' RETURNING id
        """)
        return len((await self._session.execute(statement, _named(team_id, kind, key))).all())

    async def clear_ts(self, team_id: str, kind: str, key: str, ts: str) -> bool:
        """Forget where a message stood, since it isn't there any more; False when it stands elsewhere by now."""
        statement = text("""
            UPDATE deliveries SET ts = NULL, state = 'posting', updated_at = now()
             WHERE team_id = :team AND kind = :kind AND key = :key AND ts = :ts AND state <> 'withdrawn' RETURNING id
        """)
        return (await self._session.scalar(statement, {**_named(team_id, kind, key), "ts": ts})) is not None

    async def withdraw(self, team_id: str, kind: str, key: str) -> ClaimedDelivery | None:
        """Let a message never be posted, or noted, again; return what is known of it, None when nobody claimed it."""
        statement = text("""
            UPDATE deliveries SET state = 'withdrawn', updated_at = now()
             WHERE team_id = :team AND kind = :kind AND key = :key RETURNING id, channel_id, thread_ts, ts, state
        """)
        row = (await self._session.execute(statement, _named(team_id, kind, key))).one_or_none()
        return None if row is None else ClaimedDelivery(row.id, row.channel_id, row.thread_ts, row.ts, row.state, False)

    async def list_known(self, team_id: str, channel_id: str, ts: Sequence[str]) -> list[str]:
        """Return which of these messages of a channel are somebody's delivery."""
        statement = text("""
            SELECT ts FROM deliveries
             WHERE team_id = :team AND channel_id = :channel AND ts = ANY (CAST(:ts AS text[])) ORDER BY ts
        """)
        parameters = {"team": team_id, "channel": channel_id, "ts": list(ts)}
        return list((await self._session.scalars(statement, parameters)).all())


def _named(team_id: str, kind: str, key: str) -> dict[str, str]:
    return {"team": team_id, "kind": kind, "key": clean(key)}


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

_SET_POSTED = text("""
    UPDATE deliveries
       SET ts = coalesce(ts, :ts),
           state = CASE
               WHEN coalesce(ts, :ts) <> :ts THEN state
               WHEN state IN ('final', 'apology') AND :state NOT IN ('final', 'apology') THEN state
               ELSE :state
           END,
           updated_at = now()
     WHERE team_id = :team AND kind = :kind AND key = :key AND state <> 'withdrawn'
    RETURNING ts
""")
