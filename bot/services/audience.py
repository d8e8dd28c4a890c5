"""Who may read what, kept true by asking Slack again when what we know has aged, or Slack told that it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import structlog

from bot.db.engine import Session, Sessions
from bot.errors import Forbidden, NotFound, ServiceUnavailable
from bot.repositories.channels import ChannelRepository
from bot.repositories.users import UserRepository
from bot.services.ports import Directory
from bot.values import Audience, Changes, Person, Question, UserKind

log = structlog.get_logger()

READINGS = 4
"""How often one question reads channels anew that change under its eyes."""

DEACTIVATED = "Your Slack account is deactivated, so I can't answer you."


class AudienceService:
    """Says which channels' documents may be used in an answer."""

    def __init__(self, sessions: Sessions, directory: Directory, *, max_age_s: float) -> None:
        self._sessions = sessions
        self._directory = directory
        self.max_age_s = max_age_s

    async def person(self, team_id: str, user_id: str, *, since: int | None = None) -> Person:
        """Return who this is, as Slack describes them since its last change of people; `since` spares looking that up.

        Raises NotFound, ServiceUnavailable.
        """
        if since is None:
            async with self._sessions.tenant(team_id) as session:
                since = (await ChannelRepository(session).get_changes(team_id)).people
        return await self._directory.person(team_id, user_id, since=since)

    async def asker(self, team_id: str, user_id: str, *, since: int | None = None) -> Person:
        """Return the same of who asks. Raises Forbidden for somebody deactivated, NotFound, ServiceUnavailable."""
        person = await self.person(team_id, user_id, since=since)
        if person.is_deactivated:
            raise Forbidden(f"{user_id} is deactivated", user_message=DEACTIVATED)
        return person

    async def refresh(self, team_id: str, channel_ids: Collection[str], *, perhaps: Collection[str] = ()) -> set[str]:
        """Read these channels and their members anew; one that Slack doesn't show us any more is forgotten.

        Those in `perhaps` can only add to what may be read: when Slack doesn't answer about one, it is left as it was.
        Returns those of which now is known what holds: not the ones that Slack told a change of meanwhile.
        Raises ServiceUnavailable: what may not be read is then not known, and nothing should be.
        """
        wanted = [*channel_ids, *perhaps]
        if not wanted:
            return set()
        async with self._sessions.tenant(team_id) as session:
            seen = await ChannelRepository(session).get_changes(team_id, wanted)
        needed = (self._refresh_one(team_id, channel_id, seen) for channel_id in channel_ids)
        hoped_for = (self._try_one(team_id, channel_id, seen) for channel_id in perhaps)
        done = await asyncio.gather(*needed, *hoped_for)
        return {channel_id for channel_id, is_done in zip(wanted, done, strict=True) if is_done}

    async def _try_one(self, team_id: str, channel_id: str, seen: Changes) -> bool:
        try:
            return await self._refresh_one(team_id, channel_id, seen)
        except ServiceUnavailable as error:
            log.info("channel.left_unread", channel_id=channel_id, reason=str(error))
            return False

    async def _refresh_one(self, team_id: str, channel_id: str, seen: Changes) -> bool:
        try:
            channel = await self._directory.channel(team_id, channel_id, since=seen.people)
        except NotFound:
            log.info("channel.lost", channel_id=channel_id)
            async with self._sessions.tenant(team_id) as session:
                await ChannelRepository(session).delete(team_id, channel_id)
            return True
        async with self._sessions.tenant(team_id) as session:
            return await ChannelRepository(session).record_channel(team_id, channel, seen=seen)

    async def of(self, team_id: str, *, channel_id: str, user_id: str, private: bool) -> Audience:
        """Return what an answer to `user_id` in this channel may use; `private` when nobody else will see it.

        Raises Forbidden for somebody deactivated, ServiceUnavailable when what is known is too old and Slack can't be
        asked.
        """
        person = await self.asker(team_id, user_id)
        async with self._sessions.tenant(team_id) as session:
            await UserRepository(session).record_person(team_id, person)  # who isn't known may read nothing

        async def look(session: Session) -> Audience:
            return await ChannelRepository(session).get_audience(
                team_id, channel_id=channel_id, slack_user_id=user_id, kind=person.kind, private=private
            )

        return await self._settled(team_id, look, place=channel_id)

    async def still_alone(self, question: Question, channel_ids: Collection[str], *, kind: UserKind) -> frozenset[str]:
        """Return those of these channels that who asks, as far as they belong here, may surely read by themselves, now.

        Raises ServiceUnavailable when what is known is too old and Slack can't be asked.
        """
        team_id, wanted = question.team_id, frozenset(channel_ids)

        async def look(session: Session) -> Audience:
            audience = await ChannelRepository(session).get_audience(
                team_id, channel_id=question.channel_id, slack_user_id=question.user_id, kind=kind, private=True
            )
            return Audience(team_id, audience.channel_ids & wanted)

        return (await self._settled(team_id, look)).channel_ids

    async def of_user(self, team_id: str, user_id: UUID) -> Audience:
        """Return what one person may read by themselves: their personal place, and the channels open to them in Slack.

        Raises Forbidden for somebody deactivated, ServiceUnavailable when what is known is too old and Slack can't be
        asked.
        """
        async with self._sessions.tenant(team_id) as session:
            user = await UserRepository(session).get(team_id, user_id)
        kind: UserKind | None = None
        if user is not None and user.slack_user_id is not None:
            person = await self.asker(team_id, user.slack_user_id)
            kind = person.kind
            async with self._sessions.tenant(team_id) as session:
                await UserRepository(session).record_person(team_id, person)

        async def look(session: Session) -> Audience:
            return await ChannelRepository(session).get_audience_of(team_id, user_id, kind=kind)

        return await self._settled(team_id, look)

    async def unread(self, team_id: str, stale: Collection[str], read: Collection[str]) -> set[str]:
        """Return those of `stale` channels to be read: not `read` yet, or since then Slack told a change of them."""
        wanted, again = set(stale) - set(read), set(stale) & set(read)
        if not again:
            return wanted
        async with self._sessions.tenant(team_id) as session:
            return wanted | set(await ChannelRepository(session).list_changed(team_id, again))

    async def known_of_user(self, team_id: str, user_id: UUID) -> Audience:
        """Return the same by what is stored, however old: for the command line, whose user has the database anyway."""
        async with self._sessions.tenant(team_id) as session:
            return await ChannelRepository(session).get_audience_of(team_id, user_id)

    async def _settled(
        self, team_id: str, look: Callable[[Session], Awaitable[Audience]], *, place: str | None = None
    ) -> Audience:
        """Return the audience that `look` finds, once nothing of it, or that may belong to it, must be read again.

        What was read here isn't read again for its age alone, but for what Slack told since. Raises ServiceUnavailable.
        """
        read: set[str] = set()
        for reading in range(READINGS):
            async with self._sessions.tenant(team_id) as session:
                audience = await look(session)
                stale = await ChannelRepository(session).list_stale(
                    team_id, audience.channel_ids, max_age_s=self.max_age_s, place=place
                )
                marked = await ChannelRepository(session).list_marked(team_id, audience.channel_ids)
            unread = await self.unread(team_id, stale, read)
            perhaps = set(marked) if reading == 0 else set[str]()  # these only add: once
            if not unread and not perhaps:
                return audience
            read |= await self.refresh(team_id, unread, perhaps=perhaps)
        raise unsettled()


def unsettled() -> ServiceUnavailable:
    """Return the error for channels that change faster than they can be read: then nothing is known."""
    return ServiceUnavailable(f"memberships changed {READINGS} times while they were read")
