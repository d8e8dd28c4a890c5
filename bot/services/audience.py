"""Who may read what, kept true by asking Slack again when what we know has aged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import UUID

import structlog

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.channels import ChannelRepository
from bot.repositories.users import UserRepository
from bot.services.ports import Directory
from bot.values import Audience, Person

log = structlog.get_logger()


class AudienceService:
    """Says which channels' documents may be used in an answer."""

    def __init__(self, sessions: Sessions, directory: Directory, *, max_age_s: float) -> None:
        self._sessions = sessions
        self._directory = directory
        self.max_age_s = max_age_s

    async def person(self, team_id: str, user_id: str) -> Person:
        """Return who this is, by Slack's word. Raises NotFound, ServiceUnavailable."""
        return await self._directory.person(team_id, user_id)

    async def refresh(self, team_id: str, channel_ids: Iterable[str]) -> None:
        """Read these channels and their members anew; one that Slack doesn't show us any more is forgotten.

        Raises ServiceUnavailable: what may not be read is then not known, and nothing should be.
        """
        await asyncio.gather(*(self._refresh_one(team_id, channel_id) for channel_id in channel_ids))

    async def _refresh_one(self, team_id: str, channel_id: str) -> None:
        try:
            channel = await self._directory.channel(team_id, channel_id)
        except NotFound:
            log.info("channel.lost", channel_id=channel_id)
            async with self._sessions.tenant(team_id) as session:
                await ChannelRepository(session).delete(team_id, channel_id)
            return
        async with self._sessions.tenant(team_id) as session:
            await ChannelRepository(session).record_channel(team_id, channel)

    async def of(self, team_id: str, *, channel_id: str, user_id: str, private: bool) -> Audience:
        """Return what an answer to `user_id` in this channel may use; `private` when nobody else will see it.

        Raises ServiceUnavailable when what is known is too old and Slack can't be asked.
        """
        person = await self._directory.person(team_id, user_id)
        async with self._sessions.tenant(team_id) as session:
            await UserRepository(session).record_person(team_id, person)  # who isn't known may read nothing
        audience = await self.known(team_id, channel_id=channel_id, user_id=user_id, private=private)
        async with self._sessions.tenant(team_id) as session:
            stale = await ChannelRepository(session).list_stale(
                team_id, audience.channel_ids, max_age_s=self.max_age_s, place=channel_id
            )
        if not stale:
            return audience
        await self.refresh(team_id, stale)
        return await self.known(team_id, channel_id=channel_id, user_id=user_id, private=private)

    async def of_user(self, team_id: str, user_id: UUID) -> Audience:
        """Return what one person may read by themselves: their personal place, and the channels open to them in Slack.

        Raises ServiceUnavailable when what is known is too old and Slack can't be asked.
        """
        audience = await self.known_of_user(team_id, user_id)
        async with self._sessions.tenant(team_id) as session:
            stale = await ChannelRepository(session).list_stale(team_id, audience.channel_ids, max_age_s=self.max_age_s)
        if not stale:
            return audience
        await self.refresh(team_id, stale)
        return await self.known_of_user(team_id, user_id)

    async def known_of_user(self, team_id: str, user_id: UUID) -> Audience:
        """Return the same by what is stored, however old: for the command line, whose user has the database anyway."""
        async with self._sessions.tenant(team_id) as session:
            return await ChannelRepository(session).get_audience_of(team_id, user_id)

    async def known(self, team_id: str, *, channel_id: str, user_id: str, private: bool) -> Audience:
        """Return the same by what is stored, however old: for who has just refreshed it."""
        async with self._sessions.tenant(team_id) as session:
            return await ChannelRepository(session).get_audience(
                team_id, channel_id=channel_id, slack_user_id=user_id, private=private
            )
