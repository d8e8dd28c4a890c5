"""What a Slack workspace holds: people, channels, messages, files. All of it in memory."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bot.errors import NotFound
from bot.values import LOCAL_TEAM_ID, ChannelKind, UserKind

Json: TypeAlias = dict[str, Any]
"""A JSON object as it stands on Slack's wire."""


@dataclass(slots=True)
class User:
    """Somebody in the workspace; `team_id` is another's for an external person."""

    id: str
    name: str
    team_id: str
    email: str | None = None
    kind: UserKind = UserKind.MEMBER
    is_admin: bool = False
    is_bot: bool = False
    deleted: bool = False

    @property
    def handle(self) -> str:
        """The name in lower case, with nothing in it but letters, digits and dots."""
        return "".join(c for c in self.name.lower().replace(" ", ".") if c.isalnum() or c == ".")


@dataclass(slots=True)
class Channel:
    """A place to talk in. `members` keeps the order in which people came; `connected` are companies it is shared with."""

    id: str
    kind: ChannelKind
    name: str
    created: int
    creator_id: str
    topic: str = ""
    members: list[str] = field(default_factory=list)
    archived: bool = False
    connected: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Message:
    """One post. `streaming` is None for an ordinary one, else "in_progress" or "completed".

    `tasks` are a stream's progress cards by id. `seen_by` names the one person an ephemeral message is for.
    `text_at` and `finished_at` are monotonic seconds: when it first held text, when it was whole.
    """

    channel_id: str
    ts: str
    user_id: str
    text: str = ""
    thread_ts: str | None = None
    blocks: list[Json] = field(default_factory=list)
    file_ids: list[str] = field(default_factory=list)
    client_msg_id: str | None = None
    metadata: Json | None = None
    edited_ts: str | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    streaming: str | None = None
    tasks: dict[str, Json] = field(default_factory=dict)
    plan_title: str | None = None
    seen_by: str | None = None
    broadcast: bool = False
    text_at: float | None = None
    finished_at: float | None = None

    @property
    def is_reply(self) -> bool:
        """True inside a thread, except for the message that began it."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def root_ts(self) -> str:
        """The ts of the thread this message belongs to, its own when it stands alone."""
        return self.thread_ts or self.ts


@dataclass(frozen=True, slots=True)
class FileShare:
    """One message that shows a file."""

    channel_id: str
    ts: str
    thread_ts: str | None


@dataclass(slots=True)
class File:
    """Somebody's upload, with its bytes. `is_external` ones live elsewhere, at `external_url`."""

    id: str
    name: str
    mimetype: str
    data: bytes
    user_id: str
    created: int
    title: str
    shares: list[FileShare] = field(default_factory=list)
    external_url: str | None = None


@dataclass(slots=True)
class View:
    """A modal, or the app's Home tab for one person."""

    id: str
    user_id: str
    content: Json
    hash: str


class Ids:
    """Makes ids that look like Slack's and are never given out twice."""

    def __init__(self) -> None:
        self._counter = itertools.count(1)
        self._last_us = 0

    def new(self, prefix: str) -> str:
        """Return an id such as `F0LOCAL0007`."""
        return f"{prefix}0LOCAL{next(self._counter):04d}"

    def ts(self) -> str:
        """Return a timestamp as Slack writes it, later than all before."""
        self._last_us = max(time.time_ns() // 1000, self._last_us + 1)
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"


class Store:
    """Everything there is, and how to find it. Look-ups by name are for people; by id, for the wire.

    `base_url` is where this Slack is served, without a slash at its end; "" before it is. `enterprise_id` names the
    organisation that the workspace belongs to, if one: the app is let into all of it then.
    """

    def __init__(
        self, *, team_id: str = LOCAL_TEAM_ID, team_name: str = "Playground", bot_name: str = "Recollect"
    ) -> None:
        self.ids = Ids()
        self.team_id = team_id
        self.team_name = team_name
        self.domain = "playground"
        self.enterprise_id: str | None = None
        self.base_url = ""
        self.app_id = "A0RECOLLECT"
        self.bot_id = "B0RECOLLECT"
        self.is_installed = True
        self.bot = User("U0RECOLLECT", bot_name, team_id, is_bot=True)
        self.users: dict[str, User] = {self.bot.id: self.bot}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[str, dict[str, Message]] = {}
        self.tombstones: dict[str, dict[str, Message]] = {}
        self._threads: dict[str, dict[str, dict[str, Message]]] = {}
        self.ephemerals: dict[str, Message] = {}
        self.files: dict[str, File] = {}
        self.homes: dict[str, View] = {}
        self.modals: dict[str, View] = {}

    def user(self, who: User | str) -> User:
        """Return the person of this id, name or email; raises NotFound."""
        if isinstance(who, User):
            return who
        for user in self.users.values():
            if who in (user.id, user.name, user.email):
                return user
        raise NotFound(f"no user {who}", user_message=f"There is nobody called {who} here.")

    def channel(self, where: Channel | str) -> Channel:
        """Return the channel of this id or name, with or without the #; raises NotFound."""
        if isinstance(where, Channel):
            return where
        for channel in self.channels.values():
            if channel.id == where or (channel.name and channel.name == where.removeprefix("#")):
                return channel
        raise NotFound(f"no channel {where}", user_message=f"There is no channel {where} here.")

    def direct_channel(self, user_id: str) -> Channel:
        """Return the direct messages between this person and the bot, opened when they never talked."""
        members = {user_id, self.bot.id}
        for channel in self.channels.values():
            if channel.kind is ChannelKind.IM and set(channel.members) == members:
                return channel
        return self.add_channel(
            self.ids.new("D"), ChannelKind.IM, "", creator_id=user_id, members=[user_id, self.bot.id]
        )

    def add_channel(
        self, channel_id: str, kind: ChannelKind, name: str, *, creator_id: str, members: list[str], topic: str = ""
    ) -> Channel:
        """Make a channel; nobody is told."""
        channel = Channel(channel_id, kind, name, int(time.time()), creator_id, topic, list(members))
        self.channels[channel.id] = channel
        self.messages[channel.id], self._threads[channel.id], self.tombstones[channel.id] = {}, {}, {}
        return channel

    def drop_channel(self, channel_id: str) -> None:
        """Forget a channel and all that was said in it."""
        del self.channels[channel_id], self.messages[channel_id]
        del self._threads[channel_id], self.tombstones[channel_id]
        for file in self.files.values():
            file.shares = [share for share in file.shares if share.channel_id != channel_id]

    def put(self, message: Message) -> None:
        """Take a message in."""
        self.messages[message.channel_id][message.ts] = message
        self._threads[message.channel_id].setdefault(message.root_ts, {})[message.ts] = message

    def drop(self, message: Message) -> bool:
        """Forget a message; one that isn't there is nothing. Return True when its replies keep a tombstone in its place.

        The last reply takes the tombstone with it.
        """
        self.messages[message.channel_id].pop(message.ts, None)
        thread = self._threads[message.channel_id].get(message.root_ts, {})
        thread.pop(message.ts, None)
        if not thread:
            self.tombstones[message.channel_id].pop(message.root_ts, None)
            return False
        if not message.is_reply:
            self.tombstones[message.channel_id][message.ts] = message
        return not message.is_reply

    def message(self, channel_id: str, ts: str) -> Message | None:
        """Return this message, or None when it isn't (any longer) there."""
        return self.messages.get(channel_id, {}).get(ts)

    def thread(self, channel_id: str, root_ts: str) -> list[Message]:
        """Return the thread's messages, its root first; [] when there is none."""
        return list(self._threads.get(channel_id, {}).get(root_ts, {}).values())

    def top_level(self, channel_id: str) -> list[Message]:
        """Return the channel's own messages and those broadcast to it, oldest first."""
        return [m for m in self.messages.get(channel_id, {}).values() if not m.is_reply or m.broadcast]

    def has_outsiders(self, channel: Channel) -> bool:
        """True when the channel is shared with another company, or somebody of one is in it."""
        return bool(channel.connected) or any(
            self.users[member].kind is UserKind.EXTERNAL for member in channel.members
        )
