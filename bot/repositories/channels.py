"""Channels with the people in them: what the audience of every answer is made from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import ChannelRow, Workspace
from bot.db.types import MAX_DIMENSIONS
from bot.errors import InvalidRequest
from bot.repositories.audience import AUDIENCE, MARKED, PERSONAL_PREFIX, PUBLIC_MAX_AGE_S, STALE
from bot.text.clean import clean, clean_or_none
from bot.values import Audience, Changes, Channel, ChannelKind, ModelId, UserKind

_ASKER = (
    "asker AS (SELECT id, slack_user_id, coalesce(CAST(:kind AS text), kind) AS kind FROM users WHERE team_id = :team"
)
_ASKER_BY_SLACK = f"{_ASKER} AND slack_user_id = :user)"
_ASKER_BY_ID = f"{_ASKER} AND id = :user)"


@dataclass(frozen=True, slots=True)
class ActiveModel:
    """The embedding model that a workspace searches by."""

    model_id: ModelId
    name: str
    dimensions: int


def personal_channel_id(user_id: UUID) -> str:
    """Return the id of somebody's personal place."""
    return f"{PERSONAL_PREFIX}{user_id}"


class ChannelRepository:
    """Keeps channels, and says what may be read where."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get_changes(self, team_id: str, channel_ids: Collection[str] = ()) -> Changes:
        """Return how often Slack has told of changes: look here before asking it, and hand it to `record_channel`."""
        row = (await self._session.execute(_GET_CHANGES, {"team": team_id, "channels": list(channel_ids)})).one()
        return Changes(row.people, dict(row.channels))

    async def record_channel(self, team_id: str, channel: Channel, *, seen: Changes | None = None) -> bool:
        """Store a channel as Slack describes it now, with its people in place of those known before.

        False, and nothing is stored, when Slack has told of a change since `seen`: the description may be older. So it
        is when the channel was deleted.
        """
        if seen is None:
            seen = await self.get_changes(team_id, [channel.channel_id])
        # The lock lets a change of people that is being stored come first, or find the channel that we store.
        if await self._session.scalar(_LOCK_PEOPLE, {"team": team_id}) not in (None, seen.people):
            return False
        row = {
            "team": team_id,
            "channel": channel.channel_id,
            "kind": str(channel.kind),
            "name": clean(channel.name),
            "has_outsiders": channel.has_outsiders,
            "seen": seen.channels.get(channel.channel_id, 0),
        }
        # The first statement locks the channel; the second, with a snapshot of its own, then sees everybody's members.
        if (await self._session.execute(_RECORD_CHANNEL, row)).one_or_none() is None:
            return False
        members = {"team": team_id, "channel": channel.channel_id, "members": sorted(channel.member_ids)}
        await self._session.execute(_REPLACE_MEMBERS, members)
        return True

    async def record_personal(self, team_id: str, user_id: UUID) -> str:
        """Make sure that somebody has a personal place; return its channel id."""
        channel_id = personal_channel_id(user_id)
        statement = text("""
            INSERT INTO channels (team_id, channel_id, kind, has_outsiders, synced_at)
            VALUES (:team, :channel, 'personal', false, now()) ON CONFLICT DO NOTHING
        """)
        await self._session.execute(statement, {"team": team_id, "channel": channel_id})
        return channel_id

    async def get(self, team_id: str, channel_id: str) -> ChannelRow | None:
        """Return one channel."""
        return await self._session.scalar(_channels(team_id).where(ChannelRow.channel_id == channel_id))

    async def is_known(self, team_id: str, channel_id: str) -> bool:
        """Tell whether anything is known of a channel."""
        statement = select(exists().where(ChannelRow.team_id == team_id, ChannelRow.channel_id == channel_id))
        return bool(await self._session.scalar(statement))

    async def list_page(
        self, team_id: str, *, kind: ChannelKind | None = None, after: str | None = None, limit: int = 200
    ) -> list[ChannelRow]:
        """Return channels by id, from the one after `after`."""
        page = _channels(team_id).order_by(ChannelRow.channel_id).limit(limit)
        if kind is not None:
            page = page.where(ChannelRow.kind == kind)
        if after is not None:
            page = page.where(ChannelRow.channel_id > after)
        return list(await self._session.scalars(page))

    async def list_members(self, team_id: str, channel_id: str) -> list[str]:
        """Return the Slack ids of the people in a channel, in order."""
        statement = text("""
            SELECT slack_user_id FROM channel_members WHERE team_id = :team AND channel_id = :channel ORDER BY 1
        """)
        return list(await self._session.scalars(statement, {"team": team_id, "channel": channel_id}))

    async def delete(self, team_id: str, channel_id: str) -> int:
        """Forget a channel and who is in it; return 0 or 1. What was shared there is then read nowhere else by it."""
        statement = text("DELETE FROM channels WHERE team_id = :team AND channel_id = :channel RETURNING channel_id")
        return len((await self._session.execute(statement, {"team": team_id, "channel": channel_id})).all())

    async def get_audience(
        self, team_id: str, *, channel_id: str, slack_user_id: str, kind: UserKind | None = None, private: bool = False
    ) -> Audience:
        """Return what an answer in this channel may use; `private` when the asker alone will see it.

        `kind`, from who has just asked Slack, counts more than what is stored of the asker.
        """
        parameters = {
            "user": slack_user_id,
            "kind": None if kind is None else str(kind),
            "channel": channel_id,
            "private": private,
        }
        return await self._audience(team_id, _ASKER_BY_SLACK, parameters)

    async def get_audience_of(self, team_id: str, user_id: UUID, *, kind: UserKind | None = None) -> Audience:
        """Return what one person may read by themselves: what the HTTP API and the command line use."""
        parameters = {"user": user_id, "kind": None if kind is None else str(kind), "channel": None, "private": True}
        return await self._audience(team_id, _ASKER_BY_ID, parameters)

    async def list_stale(
        self,
        team_id: str,
        channel_ids: Collection[str],
        *,
        max_age_s: float,
        public_max_age_s: float = PUBLIC_MAX_AGE_S,
        place: str | None = None,
    ) -> list[str]:
        """Return those of these channels that must be read again before they may be relied on, unknown ones too.

        Counted are channels in which something was shared, and `place`, where the answer goes.
        """
        statement = text(f"""
            WITH audience AS (SELECT DISTINCT unnest(CAST(:channels AS text[])) AS channel_id) {STALE} ORDER BY 1
        """)
        parameters = {
            "team": team_id,
            "channels": list(channel_ids),
            "channel": place,
            "max_age_s": max_age_s,
            "public_max_age_s": public_max_age_s,
        }
        return list(await self._session.scalars(statement, parameters))

    async def list_marked(self, team_id: str, channel_ids: Collection[str]) -> list[str]:
        """Return channels besides these of which Slack told a change since they were read; a few of them at most."""
        statement = text(f"""
            WITH audience AS (SELECT unnest(CAST(:channels AS text[])) AS channel_id) {MARKED}
        """)
        return list(await self._session.scalars(statement, {"team": team_id, "channels": list(channel_ids)}))

    async def list_changed(self, team_id: str, channel_ids: Collection[str]) -> list[str]:
        """Return those of these channels of which Slack told a change since they were read last."""
        statement = text(
            "SELECT channel_id FROM channels WHERE team_id = :team AND channel_id = ANY(:ids) AND synced_at IS NULL"
        )
        return list(await self._session.scalars(statement, {"team": team_id, "ids": list(channel_ids)}))

    async def record_workspace(self, team_id: str, *, name: str | None = None) -> None:
        """Make sure that the workspace has a row; a name is kept when one is given."""
        statement = text("""
            INSERT INTO workspaces (team_id, name) VALUES (:team, :name)
            ON CONFLICT (team_id) DO UPDATE SET name = coalesce(excluded.name, workspaces.name)
        """)
        await self._session.execute(statement, {"team": team_id, "name": clean_or_none(name)})

    async def get_workspace(self, team_id: str) -> Workspace | None:
        """Return the workspace."""
        statement = select(Workspace).where(Workspace.team_id == team_id)
        return await self._session.scalar(statement.execution_options(populate_existing=True))

    async def record_embedding_model(self, team_id: str, name: str, dimensions: int) -> ModelId:
        """Return the id under which this model's vectors are stored, made when it is new.

        The first model of a workspace becomes the one it searches by; later ones change nothing.
        Raises InvalidRequest for vectors too long to be stored.
        """
        if not 0 < dimensions <= MAX_DIMENSIONS:
            message = (
                f"The embedding model {name} makes {dimensions} numbers a text; I can keep up to {MAX_DIMENSIONS}."
            )
            raise InvalidRequest("too many dimensions", user_message=message)
        model = {"name": clean(name), "dimensions": dimensions}
        model_id: int | None = await self._session.scalar(_GET_MODEL, model)
        if model_id is None:  # looked for first: a refused insert would use up one of 32,767 numbers
            await self._session.execute(_RECORD_MODEL, model)
            model_id = (await self._session.execute(_GET_MODEL, model)).scalar_one()
        if await self.get_embedding_model(team_id) is None:
            await self._session.execute(_ADOPT_MODEL, {"team": team_id, "model": model_id})
        return ModelId(model_id)

    async def get_embedding_model(self, team_id: str) -> ModelId | None:
        """Return the model that the workspace searches by; None before its first document."""
        model = await self.get_active_model(team_id)
        return None if model is None else model.model_id

    async def get_active_model(self, team_id: str) -> ActiveModel | None:
        """Return the model that the workspace searches by, with its name; None before its first document."""
        statement = text("""
            SELECT m.id, m.name, m.dimensions FROM workspaces w JOIN embedding_models m ON m.id = w.embedding_model_id
             WHERE w.team_id = :team
        """)
        row = (await self._session.execute(statement, {"team": team_id})).one_or_none()
        return None if row is None else ActiveModel(ModelId(row.id), row.name, row.dimensions)

    async def _audience(self, team_id: str, asker: str, parameters: dict[str, Any]) -> Audience:
        statement = text(f"WITH {asker}, {AUDIENCE} SELECT channel_id FROM audience")
        channel_ids = await self._session.scalars(statement, {"team": team_id, **parameters})
        return Audience(team_id, frozenset(channel_ids))


_GET_MODEL = text("SELECT id FROM embedding_models WHERE name = :name AND dimensions = :dimensions")

_RECORD_MODEL = text("""
    INSERT INTO embedding_models (name, dimensions) VALUES (:name, :dimensions)
    ON CONFLICT (name, dimensions) DO NOTHING
""")

_ADOPT_MODEL = text("""
    INSERT INTO workspaces (team_id, embedding_model_id) VALUES (:team, :model)
    ON CONFLICT (team_id) DO UPDATE SET embedding_model_id = excluded.embedding_model_id
     WHERE workspaces.embedding_model_id IS NULL
""")

_RECORD_CHANNEL = text("""
    INSERT INTO channels (team_id, channel_id, kind, name, has_outsiders, synced_at)
    SELECT CAST(:team AS text), CAST(:channel AS text), CAST(:kind AS text), CAST(:name AS text),
           CAST(:has_outsiders AS boolean), now()
     WHERE NOT EXISTS (SELECT FROM tombstones WHERE team_id = :team AND kind = 'channel' AND key = :channel)
    ON CONFLICT (team_id, channel_id) DO UPDATE
       SET kind = excluded.kind, name = excluded.name, has_outsiders = excluded.has_outsiders, synced_at = now()
     WHERE channels.changes = :seen
    RETURNING channel_id
""")

_GET_CHANGES = text("""
    SELECT coalesce((SELECT people_changes FROM workspaces WHERE team_id = :team), 0) AS people,
           coalesce((SELECT jsonb_object_agg(channel_id, changes) FROM channels
                      WHERE team_id = :team AND channel_id = ANY(CAST(:channels AS text[]))), '{}') AS channels
""")

_LOCK_PEOPLE = text("SELECT people_changes FROM workspaces WHERE team_id = :team FOR SHARE")

_REPLACE_MEMBERS = text("""
    WITH gone AS (
        DELETE FROM channel_members
         WHERE team_id = :team AND channel_id = :channel AND NOT slack_user_id = ANY(CAST(:members AS text[]))
    )
    INSERT INTO channel_members (team_id, channel_id, slack_user_id)
    SELECT :team, :channel, unnest(CAST(:members AS text[]))
    ON CONFLICT DO NOTHING
""")


def _channels(team_id: str) -> Select[ChannelRow]:
    return select(ChannelRow).where(ChannelRow.team_id == team_id).execution_options(populate_existing=True)
