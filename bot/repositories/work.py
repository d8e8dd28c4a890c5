"""Work: what has to be done, and the truth about what is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import COUNTS, UNFINISHED
from bot.text.clean import clean, clean_or_none, to_json
from bot.values import Errand, new_id


@dataclass(frozen=True, slots=True)
class ClaimedWork:
    """A piece of work that is ours to do while its row still carries this `epoch`. `body` is the raw event, if any.

    `attempts` counts the starts before this one that ended badly, `blocked_s` the seconds that it has waited for
    something that doesn't answer. `state` is `running`, or `stopping` when it was withdrawn and is to be tidied up.
    """

    team_id: str
    id: UUID
    task: str
    key: str
    ids: dict[str, Any]
    epoch: int
    thread: str | None
    body: bytes | None
    attempts: int = 0
    state: str = "running"
    blocked_s: float = 0
    error_id: str | None = None


class WorkRepository:
    """Keeps the work of a workspace."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, errand: Errand, *, pool: str = "chore", inbox_id: UUID | None = None) -> UUID | None:
        """Write a piece of work and return its id; None when its key or gesture is known for this task already.

        The more answers its asker waits for, the lower its priority; but never above that of work before it in its
        lock, which would be overtaken. Whoever writes work of one lock does so one after the other.
        """
        work_id: UUID | None = await self._session.scalar(_RECORD, _parameters(errand, pool, inbox_id))
        return work_id

    async def record_copy(self, errand: Errand, *, pool: str = "chore", inbox_id: UUID | None = None) -> bool:
        """Write another message of a known gesture, for the case that the one which counts is withdrawn.

        False when none counts any more: then this one does. Until the transaction ends none is withdrawn.
        """
        known = await self._session.execute(_RECORD_COPY, _parameters(errand, pool, inbox_id))
        return known.first() is not None

    async def claim(self, team_id: str, work_id: UUID, *, withdrawn: bool = False) -> ClaimedWork | None:
        """Take on a piece of work, from whoever had it; None when it is done with.

        One that was running until now is counted as an attempt: who had it died or fell silent. With `withdrawn`,
        None too unless it was withdrawn meanwhile.
        """
        row = (await self._session.execute(_CLAIM, {"team": team_id, "id": work_id, "withdrawn": withdrawn})).first()
        return None if row is None else ClaimedWork(team_id, **row._mapping)  # noqa: SLF001  # SQLAlchemy's public name

    async def hold(self, team_id: str, work_id: UUID, epoch: int) -> bool:
        """Keep a piece of work ours until the transaction ends; False when somebody else has taken it on since."""
        statement = text("""
            SELECT id FROM work WHERE team_id = :team AND id = :id AND epoch = :epoch AND state <> 'queued' FOR UPDATE
        """)
        parameters = {"team": team_id, "id": work_id, "epoch": epoch}
        return (await self._session.execute(statement, parameters)).first() is not None

    async def finish(self, team_id: str, work_id: UUID, epoch: int, state: str, *, error_id: str | None = None) -> bool:
        """End a piece of work in `done`, `dead` or `stopped`; False when somebody else has taken it on since."""
        parameters = {"team": team_id, "id": work_id, "epoch": epoch, "state": state, "error_id": error_id}
        return (await self._session.execute(_FINISH, parameters)).first() is not None

    async def requeue(
        self, team_id: str, work_id: UUID, epoch: int, delay_s: float = 0, *, is_failure: bool = False
    ) -> bool:
        """Leave a piece of work for later; False when somebody else has taken it on since."""
        parameters = {
            "team": team_id,
            "id": work_id,
            "epoch": epoch,
            "delay_s": delay_s,
            "failures": int(is_failure),
        }
        return (await self._session.execute(_REQUEUE, parameters)).first() is not None

    async def block(
        self, team_id: str, work_id: UUID, epoch: int, *, at_least_s: float = 0, error_id: str | None = None
    ) -> float | None:
        """Leave a piece of work until what it needs may answer again; return the seconds, None when overtaken.

        It waits as long as it has waited so far and one second more, 30 at most: 1, 2, 4, 8, 16, 30 s. An `error_id`
        says that it failed for good and only the apology is still to come.
        """
        parameters = {
            "team": team_id,
            "id": work_id,
            "epoch": epoch,
            "at_least_s": at_least_s,
            "error_id": error_id,
        }
        delay_s: float | None = await self._session.scalar(_BLOCK, parameters)
        return delay_s

    async def is_unfinished(self, team_id: str, task: str, key: str) -> bool:
        """Tell whether somebody still has to do something about this piece of work."""
        statement = text(f"""
            SELECT EXISTS (SELECT 1 FROM work WHERE team_id = :team AND task = :task AND key = :key AND {UNFINISHED})
        """)
        return bool(await self._session.scalar(statement, {"team": team_id, "task": task, "key": clean(key)}))

    async def stop(self, team_id: str, task: str, key: str) -> bool:
        """Withdraw a piece of work that isn't done; nothing it makes is written from now on. False: there is none.

        One that was a copy is stopped at once: nobody does it.
        """
        parameters = {"team": team_id, "task": task, "key": clean(key)}
        state: str | None = await self._session.scalar(_STOP, parameters)
        return state == "stopping"

    async def stop_in_channel(self, team_id: str, channel_id: str) -> int:
        """Withdraw all that is to be answered, read or told in a channel that is gone; return how much there was.

        What nobody is at is stopped at once: there is nothing to take back where there is no channel.
        """
        return len((await self._session.execute(_STOP_IN_CHANNEL, {"team": team_id, "channel": channel_id})).all())

    async def stop_readings(self, team_id: str, document_id: UUID, *, user_id: UUID | None = None) -> int:
        """Withdraw the reading of a document that is about to be deleted; return how many there were.

        With a `user_id`, as far as they shared it. Nobody who begins anew after a crash brings it back then.
        """
        parameters = {"team": team_id, "document": document_id, "user": user_id}
        return len((await self._session.execute(_STOP_READINGS, parameters)).all())

    async def is_any_in_channel(self, team_id: str, channel_id: str) -> bool:
        """Tell whether somebody is still at something in this channel."""
        return bool(await self._session.scalar(_ANY_IN_CHANNEL, {"team": team_id, "channel": channel_id}))

    async def replace_stopped(self, team_id: str, task: str, key: str) -> UUID | None:
        """Let a copy of withdrawn work count in its place; return its id, None when there is no copy."""
        parameters = {"team": team_id, "task": task, "key": clean(key)}
        work_id: UUID | None = await self._session.scalar(_REPLACE_STOPPED, parameters)
        return work_id

    async def adopt_former(self, team_id: str) -> None:
        """Give unfinished rows that a former release wrote the lock and pool they would have been written with."""
        await self._session.execute(_ADOPT, {"team": team_id})

    async def list_abandoned(self, team_id: str, *, age_s: float, limit: int = 500) -> list[UUID]:
        """Return the ids of unfinished work that has been due for `age_s` seconds and that no job stands for."""
        parameters = {"team": team_id, "age_s": age_s, "limit": limit}
        return list((await self._session.execute(_ABANDONED, parameters)).scalars())

    async def count_ahead(self, work: ClaimedWork, *, channel_id: str) -> int:
        """Return how many threads of a channel have a question queued that comes before this one."""
        parameters = {"team": work.team_id, "id": work.id, "task": work.task, "channel": channel_id}
        return (await self._session.execute(_AHEAD, parameters)).scalar_one()  # type: ignore[no-any-return]


def _parameters(errand: Errand, pool: str, inbox_id: UUID | None) -> dict[str, Any]:
    return {
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
        "pool": pool,
    }


_RECORD = text(f"""
    INSERT INTO work (team_id, id, task, key, ids, inbox_id, thread, lock, gesture, asker, pool, priority)
    SELECT CAST(:team AS text), CAST(:id AS uuid), CAST(:task AS text), CAST(:key AS text), CAST(:ids AS jsonb),
           CAST(:inbox AS uuid), CAST(:thread AS text), CAST(:lock AS text), CAST(:gesture AS text),
           CAST(:asker AS text), CAST(:pool AS text),
           least(-least((SELECT count(*) FROM work
                          WHERE team_id = :team AND task = :task AND asker = CAST(:asker AS text)
                            AND {UNFINISHED}), 50),
                 (SELECT min(priority) FROM work
                   WHERE team_id = :team AND lock = CAST(:lock AS text)
                     AND {UNFINISHED}))
    ON CONFLICT DO NOTHING RETURNING id
""")

_RECORD_COPY = text(f"""
    WITH known AS (
        SELECT id FROM work
         WHERE team_id = :team AND task = :task AND gesture = CAST(:gesture AS text) AND {COUNTS}
           FOR SHARE
    ), copied AS (
        INSERT INTO work (team_id, id, task, key, ids, inbox_id, thread, lock, gesture, asker, pool, state)
        SELECT CAST(:team AS text), CAST(:id AS uuid), CAST(:task AS text), CAST(:key AS text), CAST(:ids AS jsonb),
               CAST(:inbox AS uuid), CAST(:thread AS text), CAST(:lock AS text), CAST(:gesture AS text),
               CAST(:asker AS text), CAST(:pool AS text), 'copy'
          FROM known
        ON CONFLICT DO NOTHING
    )
    SELECT id FROM known
""")

_STOP = text("""
    UPDATE work SET state = CASE state WHEN 'copy' THEN 'stopped' ELSE 'stopping' END,
           epoch = epoch + 1, attempts = 0, updated_at = now()
     WHERE team_id = :team AND task = :task AND key = :key AND state IN ('queued', 'running', 'copy')
    RETURNING state
""")

_IN_CHANNEL = "team_id = :team AND task IN ('answer', 'ingest', 'receipt') AND ids ->> 'channel_id' = :channel"

_STOP_IN_CHANNEL = text(f"""
    UPDATE work SET state = CASE state WHEN 'running' THEN 'stopping' ELSE 'stopped' END,
           epoch = epoch + 1, attempts = 0, updated_at = now()
     WHERE {_IN_CHANNEL} AND state IN ('queued', 'running', 'copy')
    RETURNING id
""")

_STOP_READINGS = text("""
    UPDATE work SET state = 'stopped', epoch = epoch + 1, updated_at = now()
     WHERE team_id = :team AND task = 'ingest' AND state IN ('queued', 'running')
       AND (ids ->> 'file_id', ids ->> 'channel_id') IN (
           SELECT file_id, channel_id FROM document_shares
            WHERE team_id = :team AND document_id = :document
              AND (CAST(:user AS uuid) IS NULL OR shared_by = :user))
    RETURNING id
""")

_ANY_IN_CHANNEL = text(f"SELECT EXISTS (SELECT 1 FROM work WHERE {_IN_CHANNEL} AND {UNFINISHED})")

_REPLACE_STOPPED = text(f"""
    WITH copied AS (
        SELECT copy.id FROM work stopped JOIN work copy USING (team_id, task, gesture)
         WHERE stopped.team_id = :team AND stopped.task = :task AND stopped.key = :key AND copy.state = 'copy'
         ORDER BY copy.id LIMIT 1 FOR UPDATE OF copy
    )
    UPDATE work w SET state = 'queued', run_at = now(), updated_at = now(),
           priority = least(0, (SELECT min(priority) FROM work o WHERE o.team_id = w.team_id AND o.lock = w.lock
                                                                   AND o.{UNFINISHED}))
      FROM copied
     WHERE w.team_id = :team AND w.id = copied.id
    RETURNING w.id
""")

_CLAIM = text("""
    WITH claimed AS (
        UPDATE work SET epoch = epoch + 1,
               state = CASE state WHEN 'stopping' THEN state ELSE 'running' END,
               attempts = attempts + CASE state WHEN 'running' THEN 1 ELSE 0 END,
               updated_at = now()
         WHERE team_id = :team AND id = :id AND state NOT IN ('done', 'dead', 'stopped')
           AND (state = 'stopping' OR NOT :withdrawn)
        RETURNING *
    )
    SELECT c.id, c.task, c.key, c.ids, c.epoch, c.thread, i.body, c.attempts, c.state, c.error_id,
           CAST(coalesce(extract(epoch FROM now() - c.blocked_since), 0) AS double precision) AS blocked_s
      FROM claimed c LEFT JOIN inbox i ON i.team_id = c.team_id AND i.id = c.inbox_id
""")

_FINISH = text("""
    UPDATE work SET state = :state, error_id = coalesce(CAST(:error_id AS text), error_id), updated_at = now()
     WHERE team_id = :team AND id = :id AND epoch = :epoch AND state IN ('running', 'stopping')
    RETURNING id
""")

_REQUEUE = text("""
    UPDATE work SET state = CASE state WHEN 'stopping' THEN state ELSE 'queued' END,
           attempts = attempts + :failures,
           blocked_since = CASE WHEN :failures > 0 THEN NULL ELSE blocked_since END,
           run_at = now() + make_interval(secs => :delay_s),
           updated_at = now()
     WHERE team_id = :team AND id = :id AND epoch = :epoch AND state IN ('running', 'stopping')
    RETURNING id
""")

_BLOCK = text("""
    WITH held AS (
        SELECT id, coalesce(blocked_since, now()) AS since FROM work
         WHERE team_id = :team AND id = :id AND epoch = :epoch AND state IN ('running', 'stopping')
           FOR UPDATE
    ), waiting AS (
        SELECT id, since, greatest(CAST(:at_least_s AS double precision),
                                   least(1 + extract(epoch FROM now() - since), 30)) AS delay_s
          FROM held
    )
    UPDATE work w SET state = CASE w.state WHEN 'stopping' THEN w.state ELSE 'queued' END,
           blocked_since = waiting.since,
           error_id = coalesce(CAST(:error_id AS text), w.error_id),
           run_at = now() + make_interval(secs => waiting.delay_s),
           updated_at = now()
      FROM waiting
     WHERE w.team_id = :team AND w.id = waiting.id
    RETURNING waiting.delay_s
""")

_ADOPT = text(f"""
    UPDATE work SET pool = CASE task WHEN 'answer' THEN task WHEN 'ingest' THEN task ELSE 'chore' END,
           lock = team_id || ':' || CASE
               WHEN task = 'answer' AND thread IS NOT NULL THEN 'thread:' || thread
               WHEN task = 'ingest' AND ids ->> 'file_id' IS NOT NULL THEN 'file:' || (ids ->> 'file_id')
               ELSE task || ':' || key END
     WHERE team_id = :team AND lock IS NULL AND {UNFINISHED}
""")

_ABANDONED = text(f"""
    SELECT w.id FROM work w
     WHERE w.team_id = :team AND w.{UNFINISHED} AND w.lock IS NOT NULL
       AND greatest(w.updated_at, w.run_at) < now() - make_interval(secs => :age_s)
       AND NOT EXISTS (
           SELECT FROM procrastinate_jobs j
            WHERE j.status IN ('todo', 'doing') AND j.args ->> 'work_id' = CAST(w.id AS text))
     ORDER BY w.id
     LIMIT :limit
""")

_AHEAD = text("""
    SELECT count(DISTINCT other.lock) FROM work other JOIN work mine USING (team_id, task)
     WHERE mine.team_id = :team AND mine.id = :id AND other.task = :task AND other.id <> mine.id
       AND other.state = 'queued' AND other.ids ->> 'channel_id' = :channel
       AND (other.priority, mine.id) > (mine.priority, other.id)
""")
