"""Token buckets: how much more somebody may ask for at the moment. One row each, by the database's clock.

A bucket is kept as the moment at which it will be full again. Each token taken moves that moment on by the time in
which one comes back; how far ahead it lies says how much is taken. (The generic cell rate algorithm, ITU-T I.371.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean

Costs = Mapping[str, float]
"""Seconds in which what is taken comes back, by the bucket's name; where they are the same for everybody."""

CHARGED = """
charged AS (
    INSERT INTO rate_buckets AS bucket (team_id, name, full_at)
    SELECT CAST(:team AS text), cost.name, now() + make_interval(secs => cost.seconds)
      FROM unnest(CAST(:bucket_names AS text[]), CAST(:bucket_seconds AS double precision[])) AS cost (name, seconds)
     WHERE {condition}
     ORDER BY cost.name
    ON CONFLICT (team_id, name) DO UPDATE
       SET full_at = greatest(bucket.full_at, clock_timestamp()) + (excluded.full_at - now())
    RETURNING name, CAST(extract(epoch FROM full_at - clock_timestamp()) AS double precision) AS debt_s
)"""
"""`charged (name, debt_s)`: what was taken, if `condition` holds, and in how many seconds each bucket is full again.

Whoever finds that it was too much lets the transaction fail: then nothing was taken from any. The rows stay locked
until it ends. They are locked in the order of their names, so that nobody waits for each other.
"""


class BucketRepository:
    """Keeps the buckets of a workspace."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def charge(self, team_id: str, costs: Costs) -> dict[str, float]:
        """Take from these buckets; return in how many seconds each will be full again, this taking included."""
        rows = await self._session.execute(_CHARGE, {"team": team_id, **charge_parameters(costs)})
        return {row.name: row.debt_s for row in rows}


def charge_parameters(costs: Costs) -> dict[str, Any]:
    """Return what `CHARGED` binds."""
    return {"bucket_names": [clean(name) for name in costs], "bucket_seconds": list(costs.values())}


_CHARGE = text(f"WITH {CHARGED.format(condition='true')} SELECT name, debt_s FROM charged")
