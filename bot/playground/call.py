"""One call of a Web API method: who asks, with what, and what the method may use to answer."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from bot.playground.files import Uploads
from bot.playground.interactions import Interactions
from bot.playground.limits import PostLimiter
from bot.playground.refusal import ApiRefusal
from bot.playground.shapes import CHANNEL_TYPES
from bot.playground.sockets import Sockets
from bot.playground.state import Channel, Json, Message, Store, User
from bot.playground.workspace import Workspace
from bot.values import ChannelKind

SCOPE_PREFIXES = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


@dataclass(slots=True)
class Backstage:
    """Everything behind the Web API that a method may need."""

    workspace: Workspace
    sockets: Sockets
    uploads: Uploads
    interactions: Interactions
    limiter: PostLimiter
    scopes: set[str]


@dataclass(slots=True)
class Call:
    """The arguments of one call, decoded, with the checks most methods make of them."""

    args: Json
    backstage: Backstage
    used: set[str] = field(default_factory=set)

    @property
    def workspace(self) -> Workspace:
        """Where things happen."""
        return self.backstage.workspace

    @property
    def store(self) -> Store:
        """What there is."""
        return self.backstage.workspace.store

    @property
    def bot(self) -> User:
        """Who calls."""
        return self.store.bot

    def text(self, name: str) -> str:
        """Return this argument, "" when it is missing. Raises `invalid_arguments` when it is no string."""
        value = self.args.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse_argument(name)
        return value

    def required(self, name: str) -> str:
        """Return this argument; raises `invalid_arguments` when it is missing or empty."""
        return self.text(name) or self.refuse_argument(name)

    def items(self, name: str) -> list[Json]:
        """Return this list, [] when it is missing; raises `invalid_arguments` for anything else."""
        value = self.args.get(name) or []
        return value if isinstance(value, list) else self.refuse_argument(name)

    def refuse_argument(self, name: str) -> NoReturn:
        """Raise `invalid_arguments` for this one."""
        raise ApiRefusal("invalid_arguments", messages=[f"[ERROR] missing required field: {name}"])

    def need(self, scope: str) -> None:
        """Raise `missing_scope` unless the app was granted this scope."""
        if scope not in self.backstage.scopes:
            provided = ",".join(sorted(self.backstage.scopes))
            raise ApiRefusal("missing_scope", needed=scope, provided=provided)

    def need_for(self, channel: Channel, verb: str) -> None:
        """Raise `missing_scope` unless the app may `read` this kind of channel, or its `history`."""
        self.need(f"{SCOPE_PREFIXES[CHANNEL_TYPES[channel.kind]]}:{verb}")

    def channel(self, name: str = "channel") -> Channel:
        """Return the channel this argument names, a person's DM for a user id.

        Raises `channel_not_found` when there is none the bot may know of.
        """
        where = self.required(name)
        if where in self.store.users and where != self.bot.id:
            return self.store.direct_channel(where)
        channel = self.store.channels.get(where)
        if channel is None or (channel.kind is not ChannelKind.PUBLIC and self.bot.id not in channel.members):
            raise ApiRefusal("channel_not_found")
        return channel

    def joined_channel(self, name: str = "channel") -> Channel:
        """Return the channel this argument names; raises `not_in_channel` when the bot isn't in it."""
        channel = self.channel(name)
        if self.bot.id not in channel.members:
            raise ApiRefusal("not_in_channel")
        return channel

    def open_channel(self, name: str = "channel") -> Channel:
        """Return a channel the bot can post into; raises `is_archived` for one put away."""
        channel = self.joined_channel(name)
        if channel.archived:
            raise ApiRefusal("is_archived")
        return channel

    def message(self, channel: Channel, ts: str, *, error: str = "message_not_found") -> Message:
        """Return this message of the channel; raises `error` when it isn't there."""
        found = self.store.message(channel.id, ts)
        if found is None:
            raise ApiRefusal(error)
        return found

    def thread_ts(self, channel: Channel) -> str | None:
        """Return the thread to post into, None for the channel itself; raises `thread_not_found`."""
        thread_ts = self.text("thread_ts")
        if not thread_ts:
            return None
        if thread_ts in self.store.tombstones[channel.id]:
            return thread_ts
        return self.message(channel, thread_ts, error="thread_not_found").root_ts

    def page(self, items: Sequence[Any], *, default: int, most: int = 1000) -> tuple[list[Any], Json]:
        """Cut the page that `cursor` and `limit` ask for; the second value goes into the reply."""
        limit = int(self.args.get("limit") or default)
        if not 1 <= limit <= most:
            raise ApiRefusal("invalid_limit")
        start = _position(self.text("cursor"))
        end = start + limit
        cursor = base64.b64encode(f"next:{end}".encode()).decode() if end < len(items) else ""
        return list(items[start:end]), {"response_metadata": {"next_cursor": cursor}}


@dataclass(frozen=True, slots=True)
class Method:
    """A Web API method: what runs, and the scope and kind of token it asks for."""

    run: Callable[[Call], Json]
    scope: str | None = None
    token: str = "bot"  # noqa: S105 - a kind of token, not one


Methods = Mapping[str, Method]

JSON_ARGUMENTS = {"blocks", "chunks", "metadata", "view", "attachments", "prompts", "loading_messages", "files"}
NUMBERS = {"limit", "count", "page", "length"}
FLAGS = {
    *("inclusive", "include_all_metadata", "include_locale", "include_num_members", "exclude_archived", "return_im"),
    *("prevent_creation", "unfurl_links", "unfurl_media", "mrkdwn", "reply_broadcast", "link_names", "as_user"),
}


def decoded(raw: Json) -> Json:
    """Return a call's arguments with numbers, flags and JSON as what they stand for, and without nulls and the token."""
    args: Json = {}
    for name, value in raw.items():
        if value is None or name == "token":
            continue
        args[name] = _decode(name, value) if isinstance(value, str) else value
    return args


def _decode(name: str, value: str) -> object:
    if name in JSON_ARGUMENTS and value:
        try:
            return json.loads(value)
        except ValueError as error:
            raise ApiRefusal("invalid_blocks_format" if name == "blocks" else "invalid_json") from error
    if name in NUMBERS:
        if not value.isdecimal():
            raise ApiRefusal("invalid_arguments", messages=[f"[ERROR] must be an integer: {name}"])
        return int(value)
    if name in FLAGS:
        return value.lower() in {"1", "true"}
    return value


def _position(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
    except (binascii.Error, ValueError) as error:
        raise ApiRefusal("invalid_cursor") from error
