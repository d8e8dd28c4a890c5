"""People who come past Slack: by an API key, or at the command line."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import structlog

from bot.db.engine import Session, Sessions
from bot.db.models import ApiKey, User
from bot.errors import AlreadyExists, Forbidden, InvalidRequest, NotFound, Unauthenticated
from bot.repositories.audit import AuditRepository
from bot.repositories.users import UserRepository
from bot.text.ages import moment_from, span_from
from bot.values import BOT, SLACK, AuditEntry, Deed, Person, Plan, UserKind, new_id

log = structlog.get_logger()

OPERATOR_EMAIL = "command-line@localhost"
"""Whose documents the command line's are. No address the API takes looks like it."""

KEY_LIFETIME = timedelta(days=365)
"""How long a key is good for unless something else is asked for."""

_SECRET_BYTES = 32
_NOBODYS_HASH = bytes(hashlib.sha256().digest_size)
"""What the secret of an unknown key is compared with; nothing is known to have this hash."""

_KEY = re.compile(r"rk_([A-Za-z0-9]{1,64})_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+")
_MAX_EMAIL_CHARS = 254  # RFC 5321, 4.5.3.1.3
_MAX_NAME_CHARS = 200


class Scope(StrEnum):
    """What a key may be used for."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Account:
    """A person as the API and the command line know them."""

    id: UUID
    team_id: str
    name: str | None
    email: str | None
    slack_user_id: str | None
    kind: UserKind
    plan: Plan
    is_admin: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds a valid key, and what that key is good for."""

    account: Account
    scopes: frozenset[Scope]
    key_id: UUID

    @property
    def actor(self) -> str:
        """Return who stands in the audit log for what this key does."""
        return f"key:{self.key_id}"

    def lowered_to(self, person: Person) -> Caller:
        """Return the caller without the rights of an administrator unless `person`, who they are in Slack, has them now."""
        is_admin = self.account.is_admin and person.is_admin
        return replace(self, account=replace(self.account, is_admin=is_admin, kind=person.kind))

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the key is good for this; `admin` asks for an administrator's key besides."""
        if scope not in self.scopes:
            raise Forbidden(f"scope {scope}", user_message=f"This API key has no “{scope}” scope.")
        if scope is Scope.ADMIN and not self.account.is_admin:
            raise Forbidden("no admin", user_message="Only an administrator may do that.")


@dataclass(frozen=True, slots=True)
class KeyView:
    """An API key as it may be shown: never the key itself, which is not kept."""

    id: UUID
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class UserService:
    """Keeps people and their API keys."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def create(self, team_id: str, *, name: str, email: str, is_admin: bool = False, by: str = BOT) -> Account:
        """Store a new person. Raises AlreadyExists for an address that is taken, InvalidRequest for none at all.

        `by`, here and below, is who stands for it in the audit log.
        """
        name, email = _checked_name(name), _checked_email(email)
        async with self._sessions.tenant(team_id) as session:
            user = await UserRepository(session).create(team_id, name=name, email=email, is_admin=is_admin)
            await _note_person(session, user, Deed.PERSON_CREATED, by=by, is_admin=is_admin)
        log.info("user.created", user_id=str(user.id), is_admin=is_admin)
        return _account(user)

    async def ensure(self, team_id: str, *, name: str, email: str, is_admin: bool = False, by: str = BOT) -> Account:
        """Return the person with this address, made when there is none; `is_admin` raises them, and never lowers."""
        name, email = _checked_name(name), _checked_email(email)
        return await self._ensure(team_id, name=name, email=email, is_admin=is_admin, by=by)

    async def get(self, team_id: str, user_id: UUID) -> Account:
        """Return one person. Raises NotFound."""
        async with self._sessions.tenant(team_id) as session:
            user = await UserRepository(session).get(team_id, user_id)
        if user is None:
            raise NotFound(str(user_id), user_message="I don't know that person.")
        return _account(user)

    async def get_by_email(self, team_id: str, email: str) -> Account:
        """Return the person with this address. Raises NotFound."""
        async with self._sessions.tenant(team_id) as session:
            return _account(await _existing(UserRepository(session), team_id, email))

    async def operator(self, team_id: str) -> Account:
        """Return the one who sits at the command line, an administrator, made at the first use."""
        return await self._ensure(team_id, name="Command line", email=OPERATOR_EMAIL, is_admin=True, by=BOT)

    async def create_key(
        self,
        team_id: str,
        user_id: UUID,
        *,
        scopes: Collection[Scope],
        expires_at: datetime | None = None,
        by: str = BOT,
    ) -> str:
        """Return a new key, `rk_TEAM_KEYID_SECRET`. Only the secret's SHA-256 is kept: nobody can show it again.

        Raises NotFound when there is no such person.
        """
        key_id, secret = new_id(), secrets.token_urlsafe(_SECRET_BYTES)
        async with self._sessions.tenant(team_id) as session:
            users = UserRepository(session)
            if await users.get(team_id, user_id) is None:
                raise NotFound(str(user_id), user_message="I don't know that person.")
            await users.create_api_key(
                team_id,
                user_id,
                key_id=key_id,
                secret_hash=_hash(secret),
                scopes=[str(scope) for scope in sorted(scopes)],
                expires_at=expires_at,
            )
            details = {
                "user_id": str(user_id),
                "scopes": " ".join(sorted(scopes)),
                "expires_at": None if expires_at is None else expires_at.isoformat(timespec="seconds"),
            }
            await AuditRepository(session).record(team_id, AuditEntry(by, Deed.KEY_CREATED, f"key:{key_id}", details))
        log.info("key.created", key_id=str(key_id), user_id=str(user_id), scopes=" ".join(sorted(scopes)))
        return f"rk_{team_id}_{key_id.hex}_{secret}"

    async def list_keys(self, team_id: str, user_id: UUID) -> list[KeyView]:
        """Return a person's keys, oldest first."""
        async with self._sessions.tenant(team_id) as session:
            return [_key_view(key) for key in await UserRepository(session).list_api_keys(team_id, user_id)]

    async def revoke_key(self, team_id: str, key_id: UUID, *, by: str = BOT) -> None:
        """Make a key worthless from now on. Raises NotFound."""
        async with self._sessions.tenant(team_id) as session:
            if not await UserRepository(session).delete_api_key(team_id, key_id):
                raise NotFound(str(key_id), user_message="I don't know a key with that number.")
            await AuditRepository(session).record(team_id, AuditEntry(by, Deed.KEY_REVOKED, f"key:{key_id}"))
        log.info("key.revoked", key_id=str(key_id))

    async def revoke_keys_of(self, team_id: str, slack_user_id: str, *, by: str = SLACK) -> int:
        """Make all keys of somebody in Slack worthless, because they were deactivated; return how many there were."""
        async with self._sessions.tenant(team_id) as session:
            return await revoke_keys(session, team_id, slack_user_id, by=by)

    async def authenticate(self, key: str) -> Caller:
        """Return who holds this key. Raises Unauthenticated, the same for a malformed, unknown, wrong or expired one.

        An unknown key costs as much as a known one with a wrong secret: the answer's time doesn't tell them apart.
        """
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise Unauthenticated("malformed key")
        team_id, key_id, secret = parts[1], UUID(parts[2]), parts[3]
        async with self._sessions.tenant(team_id) as session:
            users = UserRepository(session)
            found = await users.get_by_api_key(team_id, key_id)
            is_right = hmac.compare_digest(_NOBODYS_HASH if found is None else found[1].secret_hash, _hash(secret))
            if found is None or not is_right:
                raise Unauthenticated("unknown, wrong or expired key")
            user, api_key = found
            caller = Caller(_account(user), frozenset(_scopes(api_key)), key_id)
            if await users.record_key_use(team_id, key_id) and api_key.last_used_at is None:
                entry = AuditEntry(caller.actor, Deed.KEY_FIRST_USED, f"key:{key_id}", {"user_id": str(user.id)})
                await AuditRepository(session).record(team_id, entry)
        return caller

    async def note_refusal(self, caller: Caller, what: str) -> None:
        """Tell the audit log that a key was used for what it isn't good for: `what` is ours, an endpoint's name."""
        team_id = caller.account.team_id
        entry = AuditEntry(caller.actor, Deed.KEY_REFUSED, f"key:{caller.key_id}", {"what": what})
        async with self._sessions.tenant(team_id) as session:
            await AuditRepository(session).record(team_id, entry)

    async def _ensure(self, team_id: str, *, name: str, email: str, is_admin: bool, by: str) -> Account:
        async with self._sessions.tenant(team_id) as session:
            users = UserRepository(session)
            try:
                user = await users.create(team_id, name=name, email=email, is_admin=is_admin)
                await _note_person(session, user, Deed.PERSON_CREATED, by=by, is_admin=is_admin)
            except AlreadyExists:
                user = await _existing(users, team_id, email)
            if is_admin and not user.is_admin:
                await users.update(team_id, user.id, is_admin=True)
                user = await _existing(users, team_id, email)
                await _note_person(session, user, Deed.PERSON_RAISED, by=by, is_admin=True)
        return _account(user)


async def revoke_keys(session: Session, team_id: str, slack_user_id: str, *, by: str = SLACK) -> int:
    """Make all keys of somebody in Slack worthless when this transaction ends; return how many there were."""
    users, log_of_deeds = UserRepository(session), AuditRepository(session)
    user = await users.get_by(team_id, slack_user_id=slack_user_id)
    keys = [] if user is None else await users.list_api_keys(team_id, user.id)
    for key in keys:
        if await users.delete_api_key(team_id, key.id):
            await log_of_deeds.record(team_id, AuditEntry(by, Deed.KEY_REVOKED, f"key:{key.id}"))
    return len(keys)


def scopes_for(account: Account, *, wanted: Collection[str] = ()) -> frozenset[Scope]:
    """Return what of all that a person's key can be good for is wanted; all of it when nothing is named.

    Raises InvalidRequest for a scope that is none, or isn't for them.
    """
    possible = frozenset(Scope) if account.is_admin else frozenset(Scope) - {Scope.ADMIN}
    if unknown := sorted(set(wanted) - possible):
        message = f"A key of theirs can have the scopes {', '.join(sorted(possible))}: not {', '.join(unknown)}."
        raise InvalidRequest("scopes", user_message=message)
    return frozenset(Scope(scope) for scope in wanted) or possible


def expiry_from(text: str | None) -> datetime | None:
    """Return when a key ends, by what a person typed: a span, a date to come, or `never` (None); nothing: in a year.

    Raises InvalidRequest.
    """
    if text is not None and text.strip().lower() == "never":
        return None
    now = datetime.now(UTC)
    span = KEY_LIFETIME if text is None else span_from(text)
    end = now + span if span is not None else moment_from(text or "")
    if end is None or end <= now:
        message = (
            f"I can't tell when it ends: {text}. Write a span (12h, 90d, 4w), a date to come (2027-03-31) or never."
        )
        raise InvalidRequest("expiry", user_message=message)
    return end


async def _note_person(session: Session, user: User, deed: Deed, *, by: str, is_admin: bool) -> None:
    entry = AuditEntry(by, deed, f"user:{user.id}", {"is_admin": is_admin})
    await AuditRepository(session).record(user.team_id, entry)


async def _existing(users: UserRepository, team_id: str, email: str) -> User:
    user = await users.get_by(team_id, email=email)
    if user is None:
        raise NotFound("no such address", user_message="I don't know anybody with that address.")
    return user


def _hash(secret: str) -> bytes:
    """Return the SHA-256 of a secret: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode("ascii")).digest()


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= _MAX_NAME_CHARS:
        raise InvalidRequest("name", user_message=f"A name has between 1 and {_MAX_NAME_CHARS} characters.")
    return name


def _checked_email(email: str) -> str:
    email = email.strip()
    if len(email) > _MAX_EMAIL_CHARS or not _EMAIL.fullmatch(email):
        raise InvalidRequest("email", user_message="That isn't an email address (somebody@example.com).")
    return email


def _account(user: User) -> Account:
    return Account(
        id=user.id,
        team_id=user.team_id,
        name=user.name,
        email=user.email,
        slack_user_id=user.slack_user_id,
        kind=UserKind(user.kind),
        plan=Plan(user.plan),
        is_admin=user.is_admin,
        created_at=user.created_at,
    )


def _key_view(key: ApiKey) -> KeyView:
    return KeyView(key.id, tuple(_scopes(key)), key.created_at, key.expires_at, key.last_used_at)


def _scopes(key: ApiKey) -> list[Scope]:
    return [Scope(scope) for scope in key.scopes if scope in set(Scope)]
