"""The audit log: who did what, written in the transaction that does it. It can be added to and read, nothing else."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean, clean_or_none, to_json
from bot.values import AuditEntry, new_id

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """An entry as it stands in the log. `action` may be one that this release doesn't know.

    `name` is the actor's, as it is now: the log itself holds no names.
    """

    id: UUID
    at: datetime
    actor: str
    action: str
    target: str
    details: dict[str, Any]
    name: str | None


class AuditRepository:
    """Keeps the audit log of a workspace."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, entry: AuditEntry) -> None:
        """Store an entry. An actor `slack:U…` whom we know is stored by our own number, as `user:UUID`."""
        kind, _, number = clean(entry.actor).partition(":")
        parameters = {
            "team": team_id,
            "id": new_id(),
            "actor": clean(entry.actor),
            "slack": number if kind == "slack" else None,
            "action": str(entry.deed),
            "target": clean(entry.target),
            "details": to_json(dict(entry.details)),
        }
        await self._session.execute(_RECORD, parameters)
        log.info("audit.recorded", **{name: parameters[name] for name in ("actor", "action", "target")})

    async def list_page(
        self,
        team_id: str,
        *,
        since: timedelta | datetime | None = None,
        actors: Collection[str] | None = None,
        action: str | None = None,
        before: UUID | None = None,
        limit: int = 100,
    ) -> list[RecordedEntry]:
        """Return entries, newest first, from the one before `before`: of these actors, of this action or its kind.

        `since` is a moment, or an age by the database's clock. A kind is the part before the dot (`document`).
        """
        parameters = {
            "team": team_id,
            "since": since if isinstance(since, datetime) else None,
            "age_s": since.total_seconds() if isinstance(since, timedelta) else None,
            "actors": None if actors is None else [clean(actor) for actor in actors],
            "action": clean_or_none(action),
            "before": before,
            "limit": limit,
        }
        rows = await self._session.execute(_LIST, parameters)
        return [RecordedEntry(**row) for row in rows.mappings()]

    async def list_actors(self, team_id: str, who: str) -> list[str]:
        """Return the actors by which somebody stands in the log: as a person, and by each of their keys.

        `who` is an email address, a Slack id, or a number of ours. Keys that were revoked are known by the log itself.
        """
        return list(await self._session.scalars(_ACTORS, {"team": team_id, "who": clean(who)}))


_RECORD = text("""
    INSERT INTO audit_log (team_id, id, actor, action, target, metadata)
    VALUES (:team, :id,
            coalesce((SELECT 'user:' || id FROM users WHERE team_id = :team AND slack_user_id = CAST(:slack AS text)),
                     CAST(:actor AS text)),
            :action, :target, CAST(:details AS jsonb))
""")

_LIST = text("""
    SELECT a.id, a.created_at AS at, a.actor, a.action, a.target, a.metadata AS details, u.name
      FROM audit_log a
      LEFT JOIN api_keys k ON k.team_id = :team AND 'key:' || k.id = a.actor
      LEFT JOIN users u ON u.team_id = :team AND (u.id = k.user_id OR 'user:' || u.id = a.actor)
     WHERE a.team_id = :team
       AND (CAST(:before AS uuid) IS NULL OR a.id < :before)
       AND (CAST(:since AS timestamptz) IS NULL OR a.created_at >= :since)
       AND (CAST(:age_s AS double precision) IS NULL OR a.created_at >= now() - make_interval(secs => :age_s))
       AND (CAST(:actors AS text[]) IS NULL OR a.actor = ANY(:actors))
       AND (CAST(:action AS text) IS NULL OR a.action = :action OR split_part(a.action, '.', 1) = :action)
     ORDER BY a.id DESC
     LIMIT :limit
""")

_ACTORS = text("""
    WITH person AS (
        SELECT id FROM users
         WHERE team_id = :team AND (email = lower(:who) OR slack_user_id = :who OR CAST(id AS text) = lower(:who))
    )
    SELECT 'user:' || id FROM person
    UNION
    SELECT 'key:' || k.id FROM api_keys k JOIN person p ON p.id = k.user_id WHERE k.team_id = :team
    UNION
    SELECT a.target FROM audit_log a JOIN person p ON a.metadata ->> 'user_id' = CAST(p.id AS text)
     WHERE a.team_id = :team AND a.action = 'key.created'
""")
