"""The services without Slack: what `bot ask`, `ingest`, `search` and `keys` work with."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.config import Settings
from bot.db.storage import open_storage
from bot.errors import InvalidRequest, NotFound, ServiceUnavailable
from bot.repositories.channels import ChannelRepository
from bot.services.users import Account
from bot.slack.client import Clients
from bot.values import LOCAL_TEAM_ID, Audience, Channel, Passage, Person, SharedFile, Turn
from bot.wiring import Outside, Services, open_services
from bot.workspace import identify

_TEAM = re.compile(r"[A-Z0-9]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Desk:
    """The command line's place in a workspace: its services, and the person who sits there."""

    services: Services
    operator: Account

    @property
    def actor(self) -> str:
        """Return who stands in the audit log for what is done here."""
        return command_line()

    async def audience(self, channel_id: str | None) -> Audience:
        """Return what may be read: one channel's documents, or what the operator may read anywhere.

        Slack isn't asked whether memberships still hold: whoever sits here has the database. Raises NotFound.
        """
        team_id = self.services.team_id
        if channel_id is None:
            return await self.services.audiences.known_of_user(team_id, self.operator.id)
        async with self.services.sessions.tenant(team_id) as session:
            if await ChannelRepository(session).get(team_id, channel_id) is None:
                raise NotFound(channel_id, user_message=f"I don't know a channel {channel_id} in {team_id}.")
        return Audience(team_id, frozenset([channel_id]))


class NoSlack:
    """Stands where Slack would be: says that there is none, and nothing else."""

    async def channel(self, team_id: str, channel_id: str, *, since: int = 0) -> Channel:
        """Raise ServiceUnavailable: a channel that can't be asked for must not count as gone."""
        raise _no_slack(f"channel {channel_id} of {team_id}, change {since}")

    async def person(self, team_id: str, user_id: str, *, since: int = 0) -> Person:
        """Raise ServiceUnavailable."""
        raise _no_slack(f"person {user_id} of {team_id}, change {since}")

    async def read_thread(self, team_id: str, channel_id: str, thread_ts: str) -> tuple[list[Turn], list[SharedFile]]:
        """Raise ServiceUnavailable."""
        raise _no_slack(f"thread {thread_ts} in {channel_id} of {team_id}")

    async def describe(
        self, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile:
        """Raise ServiceUnavailable."""
        raise _no_slack(f"file {file_id} of {team_id}, {channel_id}, {message_ts}, {thread_ts}")

    def recall(
        self, body: bytes, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile | None:
        """Raise ServiceUnavailable: no event was ever stored here."""
        raise _no_slack(f"file {file_id} of {team_id}, {channel_id}, {message_ts}, {thread_ts}, {len(body)} bytes")

    async def fetch(self, file: SharedFile, *, max_bytes: int) -> bytes:
        """Raise ServiceUnavailable."""
        raise _no_slack(f"file {file.file_id}, at most {max_bytes} bytes")


@asynccontextmanager
async def open_desk(settings: Settings, *, team: str | None = None) -> AsyncIterator[Desk]:
    """Open database and services for the workspace `team`; else the Slack token's, else the local one.

    Raises InvalidSettings, InvalidRequest, DatabaseUnavailable, ServiceUnavailable, each with a sentence.
    """
    team_id = await choose_team(settings, team)
    async with (
        open_storage(settings) as storage,
        open_services(settings, storage, nobody_outside(team_id)) as services,
    ):
        async with storage.sessions.tenant(team_id) as session:
            await ChannelRepository(session).record_workspace(team_id)
        yield Desk(services, await services.users.operator(team_id))


def nobody_outside(team_id: str) -> Outside:
    """Return what stands around a workspace's services where there is no Slack."""
    nobody = NoSlack()
    return Outside(team_id, nobody, nobody, nobody, _no_permalink)


async def choose_team(settings: Settings, team: str | None) -> str:
    """Return the workspace to work in."""
    if team is not None:
        if not _TEAM.fullmatch(team):
            message = f"{team} is no workspace id: Slack's begin with T or E, and hold capitals and digits only."
            raise InvalidRequest("team", user_message=message)
        return team
    if settings.slack_bot_token is None:
        return LOCAL_TEAM_ID
    clients = Clients(settings.slack_bot_token.get_secret_value(), base_url=settings.slack_api_url)
    try:
        return (await identify(clients)).team_id
    finally:
        await clients.close()


def command_line() -> str:
    """Return who sits at the command line, as the audit log has it: `cli:` and the system's name for them."""
    return f"cli:{_system_user()}"


def _system_user() -> str:
    """Return whose process this is by the system's own word, not the environment's; a number where it has no name."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run as anybody
        return str(number)


def _no_permalink(_: Passage) -> str | None:
    return None


def _no_slack(what: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"no Slack here: {what}", user_message="This needs Slack, and works in `bot run` alone.")
