"""Work: what has to be done, and the truth about what is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean, clean_or_none, to_json
from bot.values import Errand, new_id


@dataclass(frozen=True, slots=True)
class ClaimedWork:
    """A piece of work that is ours to do while its row still carries this `epoch`. `body` is the raw event, if any."""

    team_id: str
    id: UUID
    task: str
    key: str
    ids: dict[str, Any]
    epoch: int
    thread: str | None
    body: bytes | None


class WorkRepository:
    """Keeps the work of a workspace."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, errand: Errand, *, inbox_id: UUID | None = None) -> UUID | None:
        """Write a piece of work and return its id; None when its key or gesture is known for this task already."""
        parameters = {
            "team": errand.team_id,
            "id": new_id(),
            "task": errand.task,
            "key": clean(errand.key),
            "ids": to_json(dict(errand.ids)),
            "inbox": inbox_id,
            "thread": clean_or_none(errand.thread),
            "lock": clean(errand.lock),
            "gesture": clean_or_none(errand.gesture),
            "asker": clean_or_none(errand.asker),
        }
        work_id: UUID | None = await self._session.scalar(_RECORD, parameters)
        return work_id

    async def claim(self, team_id: str, *, tasks: Sequence[str], limit: int) -> list[ClaimedWork]:
        """Take on work that is due, oldest first. Two who claim at once never get the same."""
        rows = await self._session.execute(_CLAIM, {"team": team_id, "tasks": list(tasks), "limit": limit})
        return [
            ClaimedWork(team_id, row.id, row.task, row.key, row.ids, row.epoch, row.thread, row.body) for row in rows
        ]

    async def finish(self, team_id: str, work_id: UUID, epoch: int, state: str, *, error_id: str | None = None) -> bool:
        """End a piece of work in `done`, `dead` or `stopped`; False when somebody else has taken it on since."""
        return await self._settle(team_id, work_id, epoch, state=state, error_id=error_id)

    async def requeue(self, team_id: str, work_id: UUID, epoch: int, delay_s: float) -> bool:
        """Leave a piece of work for later; False when somebody else has taken it on since."""
        return await self._settle(team_id, work_id, epoch, state="queued", delay_s=delay_s)

    async def release_running(self, team_id: str) -> int:
        """Queue again what a former process left running; return how many. For a process that is alone."""
        statement = text("""
            UPDATE work SET state = 'queued', run_at = now(), updated_at = now()
             WHERE team_id = :team AND state = 'running' RETURNING id
        """)
        return len((await self._session.execute(statement, {"team": team_id})).all())

    async def count_unfinished(
        self, team_id: str, *, task: str | None = None, thread: str | None = None, key: str | None = None
    ) -> int:
        """Return how much is queued or running: all of it, or of one task, thread or key."""
        parameters = {"team": team_id, "task": task, "thread": thread, "key": key}
        return (await self._session.execute(_COUNT, parameters)).scalar_one()  # type: ignore[no-any-return]

    async def _settle(
        self,
        team_id: str,
        work_id: UUID,
        epoch: int,
        *,
        state: str,
        error_id: str | None = None,
        delay_s: float = 0,
    ) -> bool:
        parameters = {
            "team": team_id,
            "id": work_id,
            "epoch": epoch,
            "state": state,
            "error_id": error_id,
            "delay_s": delay_s,
        }
        return (await self._session.execute(_SETTLE, parameters)).one_or_none() is not None


_RECORD = text("""
    INSERT INTO work (team_id, id, task, key, ids, inbox_id, thread, lock, gesture, asker)
    VALUES (:team, :id, :task, :key, CAST(:ids AS jsonb), :inbox, :thread, :lock, :gesture, :asker)
    ON CONFLICT DO NOTHING RETURNING id
""")

_CLAIM = text("""
    WITH due AS (
        SELECT id FROM work
         WHERE team_id = :team AND state = 'queued' AND run_at <= now() AND task = ANY(CAST(:tasks AS text[]))
         ORDER BY run_at, id
         LIMIT :limit
           FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE work w SET state = 'running', epoch = w.epoch + 1, updated_at = now()
          FROM due WHERE w.team_id = :team AND w.id = due.id
        RETURNING w.id, w.task, w.key, w.ids, w.epoch, w.thread, w.inbox_id, w.run_at
    )
    SELECT c.id, c.task, c.key, c.ids, c.epoch, c.thread, i.body
      FROM claimed c LEFT JOIN inbox i ON i.team_id = :team AND i.id = c.inbox_id
     ORDER BY c.run_at, c.id
""")

_SETTLE = text("""
    UPDATE work SET state = CAST(:state AS text), error_id = coalesce(CAST(:error_id AS text), error_id),
           run_at = CASE WHEN CAST(:state AS text) = 'queued'
                         THEN now() + make_interval(secs => CAST(:delay_s AS double precision)) ELSE run_at END,
           updated_at = now()
     WHERE team_id = :team AND id = :id AND epoch = :epoch AND state = 'running'
    RETURNING id
""")

_COUNT = text("""
    SELECT count(*) FROM work
     WHERE team_id = :team AND state IN ('queued', 'running')
       AND (CAST(:task AS text) IS NULL OR task = :task)
       AND (CAST(:thread AS text) IS NULL OR thread = :thread)
       AND (CAST(:key AS text) IS NULL OR key = :key)
""")
