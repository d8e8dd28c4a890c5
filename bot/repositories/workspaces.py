"""Whole workspaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Table, delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import AuditRow, Base, Installation, Tombstone, Workspace

_KEPT = {AuditRow.__tablename__}
"""Append-only: the bot's role may not delete there."""

_LAST = (Tombstone.__tablename__, Workspace.__tablename__, Installation.__tablename__)
"""In this order after all others: while one of these is there, so may be something of the workspace's."""

_GONE = "workspace"
"""The kind of tombstone that an uninstalled workspace leaves; `enter_workspace` (revision 0008) looks for it."""

ROWS_AT_ONCE = 1000
"""What a purge deletes in one transaction."""


@dataclass(frozen=True, slots=True)
class Heard:
    """`until` is up to when nothing that Slack said was missed; None before the first time. Both by one clock."""

    now: datetime
    until: datetime | None


class WorkspaceRepository:
    """Keeps up to when a workspace was heard."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get_heard(self, team_id: str) -> Heard | None:
        """Return up to when the workspace was heard; nobody else gets to know before this transaction ends.

        None for one that is purged, and let in again, and that nobody has opened since.
        """
        statement = text("""
            SELECT clock_timestamp() AS now, heard_at FROM workspaces WHERE team_id = :team FOR NO KEY UPDATE
        """)
        row = (await self._session.execute(statement, {"team": team_id})).one_or_none()
        return None if row is None else Heard(row.now, row.heard_at)

    async def record_heard(self, team_id: str, until: datetime) -> None:
        """Note that nothing was missed until then; it never moves back."""
        statement = text("UPDATE workspaces SET heard_at = greatest(heard_at, :until) WHERE team_id = :team")
        await self._session.execute(statement, {"team": team_id, "until": until})


class DepartureRepository:
    """Workspaces that were uninstalled: in a transaction of `Sessions.purging`, since no other is let in."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, *, told_at: datetime | None = None) -> bool:
        """Remember that a workspace was uninstalled: from the end of this transaction on nobody is let in.

        False, and nothing is remembered, when it came (back) after `told_at`, when Slack says it happened.
        """
        parameters = {"team": team_id, "told_at": told_at}
        return (await self._session.execute(_RECORD, parameters)).first() is not None

    async def is_gone(self, team_id: str) -> bool:
        """Tell whether a workspace was uninstalled, and hasn't come back."""
        return bool(await self._session.scalar(_IS_GONE, {"team": team_id}))

    async def is_deserted(self, team_id: str) -> bool:
        """Tell whether every transaction has ended that was let in before the workspace was gone."""
        return bool(await self._session.scalar(_IS_DESERTED, {"team": team_id}))

    async def take_turn(self, team_id: str) -> None:
        """Wait until no other purge of this workspace is in a transaction; the next waits for the end of ours."""
        await self._session.execute(_TAKE_TURN, {"team": team_id})

    async def purge_some(self, team_id: str, *, limit: int = ROWS_AT_ONCE) -> int:
        """Delete some of the rows a workspace holds, a table's first; return how many went, 0 when none is left.

        What stays is its audit log, and that it is gone.
        """
        for table in _tables():
            key = tuple_(*table.primary_key.columns)
            theirs = select(*table.primary_key.columns).where(table.columns["team_id"] == team_id)
            if table.name == Tombstone.__tablename__:
                theirs = theirs.where(table.columns["kind"] != _GONE)
            statement = delete(table).where(table.columns["team_id"] == team_id, key.in_(theirs.limit(limit)))
            if count := len((await self._session.execute(statement.returning(table.columns["team_id"]))).all()):
                return count
        return 0

    async def delete(self, team_id: str) -> None:
        """Let a workspace in again: it starts empty."""
        await self._session.execute(_LET_IN, {"team": team_id})


def _tables() -> Iterator[Table]:
    """Yield the tables that hold anything of a workspace's and may be emptied, what refers to others before these."""
    tables = {table.name: table for table in reversed(Base.metadata.sorted_tables) if "team_id" in table.columns}
    yield from (table for name, table in tables.items() if name not in {*_KEPT, *_LAST})
    yield from (tables[name] for name in _LAST)


_RECORD = text(f"""
    INSERT INTO tombstones (team_id, kind, key)
    SELECT :team, '{_GONE}', :team
     WHERE CAST(:told_at AS timestamptz) IS NULL OR CAST(:told_at AS timestamptz) >= coalesce(
           (SELECT max(installed_at) FROM installations WHERE team_id = :team),
           (SELECT created_at FROM workspaces WHERE team_id = :team), '-infinity')
    ON CONFLICT DO NOTHING
    RETURNING team_id
""")

_IS_GONE = text(f"SELECT EXISTS (SELECT FROM tombstones WHERE team_id = :team AND kind = '{_GONE}')")

_IS_DESERTED = text("SELECT pg_try_advisory_xact_lock(hashtextextended(CAST(:team AS text) || '/workspace', 0))")

_TAKE_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:team AS text) || '/purge', 0))")

_LET_IN = text(f"DELETE FROM tombstones WHERE team_id = :team AND kind = '{_GONE}'")
