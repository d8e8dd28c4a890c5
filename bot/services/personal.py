"""What one person may ask for of what is stored about them: a copy of it, and that it goes."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any
from uuid import UUID

import structlog

from bot.db.engine import Session, Sessions
from bot.db.models import User
from bot.errors import InvalidRequest, NotFound
from bot.repositories.audit import AuditRepository
from bot.repositories.personal import Erased, Identity, PersonalDataRepository
from bot.repositories.users import UserRepository
from bot.services.users import OPERATOR_EMAIL
from bot.values import BOT, AuditEntry, Deed

log = structlog.get_logger()

_SLACK_ID = re.compile(r"[UW][A-Z0-9]{1,40}", re.ASCII)

Copy = dict[str, list[dict[str, Any]]]
"""Rows by what they are: `person`, `messages`, `answers`, `documents`, `passages` …"""


class PersonalDataService:
    """Hands out, and takes away, what is stored of one person. `who` is an email address, a Slack id or our number."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def find(self, team_id: str, who: str) -> Identity:
        """Return who this is. Raises NotFound."""
        async with self._sessions.tenant(team_id) as session:
            return await _identity(session, team_id, who)

    async def export(self, team_id: str, who: str, *, by: str = BOT) -> Copy:
        """Return all that is stored of them, but for the hashes of their keys. Raises NotFound."""
        async with self._sessions.tenant(team_id) as session:
            identity = await _identity(session, team_id, who)
            copy = await PersonalDataRepository(session, team_id, identity).list_all()
            entry = AuditEntry(by, Deed.PERSON_EXPORTED, f"user:{identity.user_id}")
            await AuditRepository(session).record(team_id, entry)
        return copy

    async def erase(self, team_id: str, who: str, *, by: str = BOT) -> Erased:
        """Take away all that is stored of them, for good, in one transaction; what Slack holds stays there.

        Raises NotFound, and InvalidRequest for the command line's own person.
        """
        async with self._sessions.tenant(team_id) as session:
            identity = await _identity(session, team_id, who)
            erased = await PersonalDataRepository(session, team_id, identity).erase()
            entry = AuditEntry(by, Deed.PERSON_ERASED, f"user:{identity.user_id}", asdict(erased))
            await AuditRepository(session).record(team_id, entry)
        log.info("person.erased", user_id=str(identity.user_id), **asdict(erased))
        return erased


async def _identity(session: Session, team_id: str, who: str) -> Identity:
    user = await _user(UserRepository(session), team_id, who.strip())
    if user is None:
        message = f"I don't know anybody by {who}. Give me an email address, or a Slack id (U…)."
        raise NotFound("person", user_message=message)
    if user.email == OPERATOR_EMAIL:
        message = "That is the command line itself, which is nobody. Its documents can be deleted one by one."
        raise InvalidRequest("operator", user_message=message)
    return Identity(user.id, user.slack_user_id, user.name)


async def _user(users: UserRepository, team_id: str, who: str) -> User | None:
    if _SLACK_ID.fullmatch(who):
        return await users.get_by(team_id, slack_user_id=who)
    try:
        return await users.get(team_id, UUID(who))
    except ValueError:
        return await users.get_by(team_id, email=who)
