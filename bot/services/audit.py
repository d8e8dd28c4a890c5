"""Reading the audit log: who did what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bot.db.engine import Sessions
from bot.errors import InvalidRequest, NotFound
from bot.repositories.audit import AuditRepository, RecordedEntry
from bot.text.ages import moment_from, span_from

MAX_ENTRIES = 10_000
_PAGE = 500

_ACTOR = re.compile(r"(bot|slack|(user|key|cli|slack):\S{1,100})", re.ASCII)
_ACTION = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Extract:
    """Part of the audit log, oldest first; `before` continues it into the past, None when nothing is left there."""

    entries: tuple[RecordedEntry, ...]
    before: UUID | None


class AuditService:
    """Shows who did what."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def read(
        self,
        team_id: str,
        *,
        since: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        before: UUID | None = None,
        limit: int = 100,
    ) -> Extract:
        """Return the newest `limit` entries that fit, oldest of them first.

        `since` is an age (`30m`, `12h`, `7d`, `2w`) or a date. `actor` stands as in the log, or is somebody's email
        address or Slack id: then what their keys did is among it. `action` may be the part before the dot.
        Raises InvalidRequest, and NotFound for nobody we know.
        """
        if action is not None and not _ACTION.fullmatch(action):
            message = (
                f"{action} is no action: they look like document.deleted, or document for all that befell documents."
            )
            raise InvalidRequest("action", user_message=message)
        moment = None if since is None else _since_from(since)
        actors = None if actor is None else await self._actors(team_id, actor)
        found: list[RecordedEntry] = []
        limit = min(limit, MAX_ENTRIES)
        while len(found) <= limit:  # one more than asked for, to know whether there is more
            size = min(_PAGE, limit + 1 - len(found))
            async with self._sessions.tenant(team_id) as session:
                page = await AuditRepository(session).list_page(
                    team_id, since=moment, actors=actors, action=action, before=before, limit=size
                )
            found += page
            if len(page) < size:
                break
            before = page[-1].id
        entries = tuple(reversed(found[:limit]))
        return Extract(entries, before=entries[0].id if len(found) > limit else None)

    async def _actors(self, team_id: str, actor: str) -> list[str]:
        if _ACTOR.fullmatch(actor):
            return [actor]
        async with self._sessions.tenant(team_id) as session:
            actors = await AuditRepository(session).list_actors(team_id, actor)
        if not actors:
            message = (
                f"I don't know anybody called {actor}. Give me an email address, a Slack id (U…), or an actor as the "
                "log shows it (user:…, key:…, cli:…)."
            )
            raise NotFound("actor", user_message=message)
        return actors


def _since_from(text: str) -> timedelta | datetime:
    """Return the age or moment that a person typed. Raises InvalidRequest."""
    moment = span_from(text) or moment_from(text)
    if moment is None:
        message = f"I can't tell since when: {text}. Write an age (30m, 12h, 7d, 2w) or a date (2026-11-01)."
        raise InvalidRequest("since", user_message=message)
    return moment
