"""People: those in Slack, and those who have an API key alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from bot.db.models import ApiKey, User
from bot.errors import AlreadyExists
from bot.repositories.channels import personal_channel_id
from bot.repositories.people import PERSON, normal_email, person_parameters
from bot.repositories.shares import delete_shares_in
from bot.text.clean import clean, clean_tree
from bot.values import Person, Plan, UserKind, new_id


class UserChanges(TypedDict, total=False):
    """Fields of a user that may be changed."""

    name: str
    email: str | None
    plan: Plan
    kind: UserKind
    is_admin: bool
    preferences: dict[str, Any]


class UserRepository:
    """Keeps the people of a workspace."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(
        self,
        team_id: str,
        *,
        name: str,
        email: str | None = None,
        slack_user_id: str | None = None,
        plan: Plan = Plan.FREE,
        kind: UserKind = UserKind.MEMBER,
        is_admin: bool = False,
    ) -> User:
        """Store a new person. Raises AlreadyExists when the email or Slack user is taken; the transaction goes on."""
        statement = (
            insert(User)
            .values(
                team_id=team_id,
                name=clean(name),
                email=normal_email(email),
                slack_user_id=slack_user_id,
                plan=plan,
                kind=kind,
                is_admin=is_admin,
            )
            .on_conflict_do_nothing()
            .returning(User)
        )
        user = (await self._session.scalars(statement)).one_or_none()
        if user is None:
            raise _taken(email)
        return user

    async def record_person(self, team_id: str, person: Person) -> UUID:
        """Store somebody as Slack describes them now; return their id. Safe to call twice at once."""
        statement = text(f"WITH {PERSON} SELECT id FROM person")
        parameters = person_parameters(team_id, person)
        user_id: UUID | None = await self._session.scalar(statement, parameters)
        if user_id is None:  # made by another transaction meanwhile: now it shows
            user_id = (await self._session.execute(statement, parameters)).scalar_one()
        return user_id

    async def ensure_slack_user(self, team_id: str, slack_user_id: str) -> None:
        """Store somebody of whom nothing is known but their Slack id, unless they are there; what Slack says comes later."""
        await self._session.execute(_ENSURE, {"team": team_id, "id": new_id(), "slack": clean(slack_user_id)})

    async def get(self, team_id: str, user_id: UUID) -> User | None:
        """Return one person."""
        return await self._session.scalar(_users(team_id).where(User.id == user_id))

    async def get_by(self, team_id: str, *, email: str | None = None, slack_user_id: str | None = None) -> User | None:
        """Return the person with this email or Slack id; None without either."""
        if slack_user_id is not None:
            return await self._session.scalar(_users(team_id).where(User.slack_user_id == slack_user_id))
        return await self._session.scalar(_users(team_id).where(User.email == normal_email(email)))

    async def create_api_key(
        self,
        team_id: str,
        user_id: UUID,
        *,
        secret_hash: bytes,
        key_id: UUID | None = None,
        scopes: Sequence[str] = (),
        expires_at: datetime | None = None,
    ) -> UUID:
        """Store the hash of a key of the HTTP API; return the key's id, which stands in the key itself."""
        key = ApiKey(
            team_id=team_id,
            id=key_id or new_id(),
            user_id=user_id,
            secret_hash=secret_hash,
            scopes=list(scopes),
            expires_at=expires_at,
        )
        self._session.add(key)
        await self._session.flush()
        return key.id

    async def get_by_api_key(self, team_id: str, key_id: UUID) -> tuple[User, ApiKey] | None:
        """Return whose key this is, and the key; None when it expired. The caller compares the hash."""
        statement = (
            select(User, ApiKey)
            .join(ApiKey, (ApiKey.team_id == User.team_id) & (ApiKey.user_id == User.id))
            .where(ApiKey.team_id == team_id, ApiKey.id == key_id)
            .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()))
            .execution_options(populate_existing=True)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else (row[0], row[1])

    async def record_key_use(self, team_id: str, key_id: UUID) -> bool:
        """Note that a key was used now; at most one write a minute. True when it was this call that wrote."""
        statement = text("""
            UPDATE api_keys SET last_used_at = now() WHERE team_id = :team AND id = :key
               AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
            RETURNING id
        """)
        return (await self._session.execute(statement, {"team": team_id, "key": key_id})).first() is not None

    async def list_api_keys(self, team_id: str, user_id: UUID) -> list[ApiKey]:
        """Return a person's keys, oldest first."""
        statement = select(ApiKey).where(ApiKey.team_id == team_id, ApiKey.user_id == user_id).order_by(ApiKey.id)
        return list(await self._session.scalars(statement.execution_options(populate_existing=True)))

    async def delete_api_key(self, team_id: str, key_id: UUID) -> int:
        """Delete a key; return 0 or 1."""
        statement = delete(ApiKey).where(ApiKey.team_id == team_id, ApiKey.id == key_id).returning(ApiKey.id)
        return len((await self._session.scalars(statement)).all())

    async def list_page(self, team_id: str, *, after: UUID | None = None, limit: int = 50) -> list[User]:
        """Return people in the order they came, from the one after `after`."""
        return list(await self._session.scalars(_page(team_id, after, limit)))

    async def count(self, team_id: str) -> int:
        """Return how many people the workspace has."""
        return await self._session.scalar(select(func.count()).where(User.team_id == team_id)) or 0

    async def get_with_documents(self, team_id: str, user_id: UUID) -> User | None:
        """Return one person with the documents they uploaded, in two statements."""
        statement = _users(team_id).where(User.id == user_id).options(selectinload(User.documents))
        return await self._session.scalar(statement)

    async def list_with_documents(self, team_id: str, *, after: UUID | None = None, limit: int = 50) -> list[User]:
        """Return a page of people with the documents they uploaded, in two statements however many there are."""
        statement = _page(team_id, after, limit).options(selectinload(User.documents))
        return list(await self._session.scalars(statement))

    async def change_plan(self, team_id: str, user_id: UUID, plan: Plan) -> bool:
        """Put one person on another plan; False when there is no such person."""
        return await self.update(team_id, user_id, plan=plan)

    async def update(self, team_id: str, user_id: UUID, **changes: Unpack[UserChanges]) -> bool:
        """Change one person; False when there is no such person. Raises AlreadyExists when the email is taken."""
        return await self._update(team_id, [user_id], changes) == 1

    async def update_many(self, team_id: str, user_ids: Sequence[UUID], **changes: Unpack[UserChanges]) -> int:
        """Change several people alike, in one statement; return how many there were."""
        return await self._update(team_id, user_ids, changes)

    async def delete(self, team_id: str, user_id: UUID) -> int:
        """Delete a person with their keys, memories, feedback and personal place; return 0 or 1.

        What they shared elsewhere stays, without its uploader's name, and so do their messages.
        """
        await delete_shares_in(self._session, team_id, personal_channel_id(user_id))
        statement = text("""
            WITH place AS (DELETE FROM channels WHERE team_id = :team AND channel_id = :channel)
            DELETE FROM users WHERE team_id = :team AND id = :user RETURNING id
        """)
        parameters = {"team": team_id, "user": user_id, "channel": personal_channel_id(user_id)}
        return len((await self._session.execute(statement, parameters)).all())

    async def _update(self, team_id: str, user_ids: Sequence[UUID], changes: UserChanges) -> int:
        values: dict[str, Any] = {**clean_tree(dict(changes)), "updated_at": func.now()}
        if "email" in changes:
            values["email"] = normal_email(changes["email"])
        statement = update(User).where(User.team_id == team_id, User.id.in_(user_ids)).values(**values)
        try:
            async with self._session.begin_nested():
                return len((await self._session.scalars(statement.returning(User.id))).all())
        except IntegrityError as error:
            raise _taken(changes.get("email")) from error


def _users(team_id: str) -> Select[User]:
    return select(User).where(User.team_id == team_id).execution_options(populate_existing=True)


def _page(team_id: str, after: UUID | None, limit: int) -> Select[User]:
    page = _users(team_id).order_by(User.id).limit(limit)
    return page if after is None else page.where(User.id > after)


def _taken(email: str | None) -> AlreadyExists:
    what = "this Slack account" if email is None else "this email address"
    return AlreadyExists("user exists", user_message=f"Somebody with {what} is already here.")


_ENSURE = text("""
    INSERT INTO users (team_id, id, slack_user_id, kind) VALUES (:team, CAST(:id AS uuid), :slack, 'external')
    ON CONFLICT DO NOTHING
""")
"""Whose kind nobody knows yet counts as the least."""
