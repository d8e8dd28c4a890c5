"""Who and what is in the workspace, asked of Slack, and threads that began without us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import NotFound
from bot.slack.client import ask
from bot.slack.payloads import person_from
from bot.text.mrkdwn import mentioned_ids, plain_from
from bot.values import Channel, ChannelKind, Person, Role, SharedFile, Turn, UserKind

log = structlog.get_logger()

PAGE = 200

ONE_BY_ONE, ROLL_PAGE, ROLL_PAGES = 50, 1000, 15
"""Unknown members that are asked for one by one, users.info being tier 4 (100 a minute). For more than that everybody is
read, users.list being tier 2 (20 pages a minute, of 1,000 people at most).
"""
THREAD_LIMIT = 5000
"""Messages of a thread that are read at most, its oldest: Slack gives them in that order."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A person as Slack described them at a time (monotonic seconds), when it had told of so many changes of people."""

    person: Person
    asked_at: float
    changes: int


class SlackDirectory:
    """People and channels, by Slack's word.

    A person's description is kept for `max_age_s`, and no longer than until Slack tells, to any process of ours, that
    somebody isn't what they were: `since` says how often it has.

    In a whole organisation a public channel is open to the people of its own workspace, not to those of all others, and
    Slack doesn't tell us here who is in which: so there it is what a private one is, its members'.
    """

    def __init__(self, client: AsyncWebClient, *, max_age_s: float, is_organisation: bool = False) -> None:
        self._is_organisation = is_organisation
        self._client = client
        self._max_age_s = max_age_s
        self._people: dict[tuple[str, str], _Known] = {}
        self._changes: dict[str, int] = {}
        self._reading_roll = asyncio.Lock()

    async def person(self, team_id: str, user_id: str, *, since: int = 0) -> Person:
        """Return the person. Raises NotFound, ServiceUnavailable."""
        changes, now = self._changes_since(team_id, since), time.monotonic()
        if known := self._known(team_id, user_id, changes):
            return known
        response = await ask(self._client.users_info(user=user_id))
        return self._keep(team_id, _Known(person_from(response["user"], team_id=team_id), now, changes))

    def _changes_since(self, team_id: str, since: int) -> int:
        changes = self._changes[team_id] = max(since, self._changes.get(team_id, 0))
        return changes

    def _known(self, team_id: str, user_id: str, changes: int) -> Person | None:
        known = self._people.get((team_id, user_id))
        if known and known.changes == changes and time.monotonic() - known.asked_at < self._max_age_s:
            return known.person
        return None

    def _keep(self, team_id: str, known: _Known) -> Person:
        if not known.person.is_deactivated:  # who comes back is let in at once
            self._people[team_id, known.person.user_id] = known
        return known.person

    async def channel(self, team_id: str, channel_id: str, *, since: int = 0) -> Channel:
        """Return the channel with its members, outsiders found among them. Raises NotFound, ServiceUnavailable.

        Of a public channel that we aren't in Slack doesn't tell who leaves, so nobody counts as a member there: full
        members may read it anyway, guests and other companies' people may not any more.
        """
        info = (await ask(self._client.conversations_info(channel=channel_id)))["channel"]
        kind = kind_of(info)
        if kind is ChannelKind.IM:
            members = [info["user"]] if info.get("user") else []
        else:
            members = [member async for member in self._members(channel_id)]
        if kind is ChannelKind.PUBLIC and self._is_organisation:
            kind = ChannelKind.PRIVATE
        outside = bool(info.get("is_ext_shared") or info.get("is_pending_ext_shared") or info.get("is_org_shared"))
        if not outside:
            async with self._reading_roll:  # who waits finds most of it read
                await self._read_roll(team_id, members, since)
        outside = outside or any([await self._is_outsider(team_id, member, since) for member in members])
        if kind is ChannelKind.PUBLIC and not info.get("is_member"):
            members = []
        return Channel(channel_id, kind, info.get("name") or "", outside, frozenset(members))

    async def names(self, team_id: str, markup: str) -> dict[str, str]:
        """Return the names of the people a message mentions; whom Slack doesn't know has none."""
        names: dict[str, str] = {}
        for user_id in set(mentioned_ids(markup)):
            try:
                names[user_id] = (await self.person(team_id, user_id)).name
            except NotFound:
                log.info("person.unknown", user_id=user_id)
        return names

    async def _is_outsider(self, team_id: str, user_id: str, since: int) -> bool:
        """True for whoever isn't surely a full member, or somebody who sees nothing of Slack any more."""
        try:
            person = await self.person(team_id, user_id, since=since)
        except NotFound:
            return True
        return person.kind is not UserKind.MEMBER and not person.is_deactivated

    async def _read_roll(self, team_id: str, members: Collection[str], since: int) -> None:
        """Read everybody, page by page, where too many of a channel's members aren't known to ask for each of them."""
        changes, cursor = self._changes_since(team_id, since), None
        unknown = {member for member in members if self._known(team_id, member, changes) is None}
        if len(unknown) <= ONE_BY_ONE:
            return
        for _ in range(ROLL_PAGES):
            asked_at = time.monotonic()
            page = await ask(self._client.users_list(cursor=cursor, limit=ROLL_PAGE))
            for user in page["members"]:
                if user["id"] in unknown:
                    unknown.discard(
                        self._keep(team_id, _Known(person_from(user, team_id=team_id), asked_at, changes)).user_id
                    )
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor or not unknown:
                return

    async def _members(self, channel_id: str) -> AsyncIterator[str]:
        cursor = None
        while True:
            page = await ask(self._client.conversations_members(channel=channel_id, cursor=cursor, limit=PAGE))
            for member in page["members"]:
                yield member
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return


class SlackThreads:
    """Reads threads, page by page."""

    def __init__(self, client: AsyncWebClient, directory: SlackDirectory, *, bot_user_id: str) -> None:
        self._client = client
        self._directory = directory
        self._bot_user_id = bot_user_id

    async def read_thread(self, team_id: str, channel_id: str, thread_ts: str) -> tuple[list[Turn], list[SharedFile]]:
        """Return a thread's messages, oldest first, as plain text with names, and the files shared in it."""
        turns: list[Turn] = []
        files: list[SharedFile] = []
        async for message in self._messages(channel_id, thread_ts):
            files += [
                file_from(file, team_id=team_id, channel_id=channel_id, message_ts=message["ts"], thread_ts=thread_ts)
                for file in message.get("files", [])
                if message.get("user") and message.get("user") != self._bot_user_id
            ]
            if message.get("text") and message.get("user") != self._bot_user_id:  # ours are stored when they are posted
                turns.append(await self._turn(team_id, message))
        return turns, files

    async def _messages(self, channel_id: str, thread_ts: str) -> AsyncIterator[dict[str, Any]]:
        """Yield each message once: Slack puts the root before every page."""
        cursor, seen = None, set[str]()
        while len(seen) < THREAD_LIMIT:
            page = await ask(
                self._client.conversations_replies(channel=channel_id, ts=thread_ts, cursor=cursor, limit=PAGE)
            )
            for message in page["messages"]:
                if message["ts"] not in seen:
                    seen.add(message["ts"])
                    yield message
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    async def _turn(self, team_id: str, message: dict[str, Any]) -> Turn:
        text = message["text"]
        author_id = message.get("user") or ""
        names = await self._directory.names(team_id, f"{text}<@{author_id}>")
        author = names.get(author_id) or message.get("username") or "somebody"
        return Turn(
            Role.USER,
            plain_from(text, {**names, self._bot_user_id: "Recollect"}),
            author=author,
            ts=message["ts"],
            author_id=author_id or None,
        )


def kind_of(channel: dict[str, Any]) -> ChannelKind:
    """Return what sort of place Slack's channel object describes; private when in doubt."""
    if channel.get("is_im"):
        return ChannelKind.IM
    if channel.get("is_mpim"):
        return ChannelKind.MPIM
    if channel.get("is_private", True) or channel.get("is_group"):
        return ChannelKind.PRIVATE
    return ChannelKind.PUBLIC


def file_from(file: dict[str, Any], *, team_id: str, channel_id: str, message_ts: str, thread_ts: str) -> SharedFile:
    """Return a file from Slack's file object; stubs carry little more than an id."""
    return SharedFile(
        team_id=team_id,
        file_id=file["id"],
        filename=file.get("name") or file.get("title") or file["id"],
        mimetype=file.get("mimetype") or "",
        size_bytes=int(file.get("size") or 0),
        channel_id=channel_id,
        message_ts=message_ts,
        thread_ts=thread_ts,
        user_id=file.get("user") or "",
        url=file.get("url_private_download") or file.get("url_private"),
        is_external=bool(file.get("is_external")) or file.get("mode") == "external",
    )
