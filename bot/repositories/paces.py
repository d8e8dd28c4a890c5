"""Who may post to a channel when: one row a channel, by the database's clock, shared by every process."""

from __future__ import annotations

import math
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

Pace = Literal["post", "start"]


class PaceRepository:
    """Keeps messages, and the beginnings of answers, at a distance in each channel.

    A row stays locked until the transaction ends: reserve last in it, and don't wait for anything afterwards.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def reserve(self, team_id: str, channel_id: str, *, interval_s: float, patience_s: float = math.inf) -> float:
        """Return after how many seconds a message may be posted, and keep that moment for it alone.

        More than `patience_s` seconds: nothing was reserved, and that is how long the next place is away. Who has
        waited looks at `closed_s` before posting.
        """
        return await self._reserve(team_id, channel_id, pace="post", interval_s=interval_s, patience_s=patience_s)

    async def reserve_start(
        self, team_id: str, channel_id: str, *, interval_s: float, patience_s: float = math.inf
    ) -> float:
        """Return after how many seconds the answering of a question may begin, as `reserve` does for posts."""
        return await self._reserve(team_id, channel_id, pace="start", interval_s=interval_s, patience_s=patience_s)

    async def push_back(self, team_id: str, channel_id: str, seconds: float) -> None:
        """Let nobody post to the channel, or begin an answer for it, for so long: Slack said so."""
        await self._session.execute(_PUSH_BACK, {"team": team_id, "channel": channel_id, "seconds": seconds})

    async def closed_s(self, team_id: str, channel_id: str) -> float:
        """Return how many seconds the channel is still closed by `push_back`; 0 when it isn't."""
        wait_s: float | None = await self._session.scalar(_CLOSED, {"team": team_id, "channel": channel_id})
        return max(0.0, wait_s or 0.0)

    async def _reserve(
        self, team_id: str, channel_id: str, *, pace: Pace, interval_s: float, patience_s: float
    ) -> float:
        parameters = {"team": team_id, "channel": channel_id, "interval": interval_s, "patience": patience_s}
        wait_s: float = (await self._session.execute(_RESERVE[pace], parameters)).scalar_one()
        return max(0.0, wait_s)


def _seconds_to(moment: str) -> str:
    return f"CAST(extract(epoch FROM {moment} - clock_timestamp()) AS double precision)"


def _reserving(column: str) -> str:
    """The clock is read under the row's lock; who finds the row too far in the future leaves it as it is.

    The second branch sees the row as it was when the statement began: a wait that others made longer meanwhile
    is told as a little more than the patience.
    """
    free = f"greatest(pace.{column}, pace.closed_until)"
    return f"""
        WITH reserved AS (
            INSERT INTO channel_paces AS pace (team_id, channel_id, {column})
            VALUES (:team, :channel, clock_timestamp() + make_interval(secs => :interval))
            ON CONFLICT (team_id, channel_id) DO UPDATE
               SET {column} = greatest({free}, clock_timestamp()) + make_interval(secs => :interval)
             WHERE {_seconds_to(free)} <= :patience
            RETURNING {_seconds_to(f"{column} - make_interval(secs => :interval)")} AS wait_s
        )
        SELECT wait_s FROM reserved
        UNION ALL
        SELECT greatest(
                   (SELECT {_seconds_to(free)} FROM channel_paces AS pace WHERE team_id = :team AND channel_id = :channel),
                   CAST(:patience AS double precision) + 0.001
               )
         WHERE NOT EXISTS (SELECT FROM reserved)
    """


_RESERVE = {"post": text(_reserving("next_post_at")), "start": text(_reserving("next_start_at"))}

_PUSH_BACK = text("""
    INSERT INTO channel_paces AS pace (team_id, channel_id, closed_until)
    VALUES (:team, :channel, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (team_id, channel_id) DO UPDATE
       SET closed_until = greatest(pace.closed_until, excluded.closed_until)
""")

_CLOSED = text(f"""
    SELECT {_seconds_to("closed_until")} FROM channel_paces WHERE team_id = :team AND channel_id = :channel
""")
