"""Inner events and the envelopes around them, shaped as Slack shapes them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from bot.playground.shapes import CHANNEL_TYPES, file_json, message_json, tombstone_json, user_json
from bot.playground.state import Channel, File, Json, Message, Store, User
from bot.values import ChannelKind

VERIFICATION_TOKEN = "local-verification-token"  # noqa: S105 - a field of every payload, of no worth

NOT_IN_MESSAGES = frozenset({"timestamp", "user_team", "media_display_type", "file_access", "ims", "shares"})
NOT_IN_MENTIONS = frozenset({"channels", "groups", "ims", "shares"})
"""What a file's JSON lacks inside a message event, and inside a mention, by Slack's types."""

MESSAGE_SUBSCRIPTIONS = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


def subscription_of(event: Mapping[str, object]) -> str:
    """The name under which an app subscribes to this event: `message.channels` for a message in a channel."""
    if event["type"] != "message":
        return str(event["type"])
    return f"message.{MESSAGE_SUBSCRIPTIONS[str(event['channel_type'])]}"


class Events:
    """Builds inner events. Each returned dict is new: whoever gets it may keep it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def message(self, message: Message) -> Json:
        """A post, as every app in the channel hears it; with files its subtype is `file_share`."""
        channel = self._store.channels[message.channel_id]
        shown = message_json(self._store, message)
        kept = ("type", "user", "ts", "text", "team", "thread_ts", "blocks", "parent_user_id", "edited", "reactions")
        event: Json = {key: shown[key] for key in kept if key in shown}
        event |= {"channel": channel.id, "channel_type": CHANNEL_TYPES[channel.kind], "event_ts": message.ts}
        if self._store.users[message.user_id].is_bot:
            return event | {"bot_id": shown["bot_id"], "bot_profile": shown["bot_profile"]}
        if message.file_ids:
            event |= {"subtype": "file_share", "upload": False, "files": self._files(shown, NOT_IN_MESSAGES)}
            return {key: value for key, value in event.items() if key not in ("team", "edited", "reactions")}
        return event | ({"client_msg_id": message.client_msg_id} if message.client_msg_id else {})

    def app_mention(self, message: Message) -> Json:
        """The second copy of a post that names the bot, or of an edit that does."""
        shown = message_json(self._store, message)
        kept = ("user", "ts", "client_msg_id", "text", "team", "thread_ts", "blocks", "edited")
        event: Json = {"type": "app_mention"} | {key: shown[key] for key in kept if key in shown}
        if message.file_ids:
            event |= {"upload": False, "display_as_bot": False, "files": self._files(shown, NOT_IN_MENTIONS)}
        return event | {"channel": message.channel_id, "event_ts": message.edited_ts or message.ts}

    def message_changed(self, message: Message, previous: Json) -> Json:
        """An edit; `previous` is the `message` event as it stood before."""
        return self._hidden(message, "message_changed") | {
            "message": self.message(message),
            "previous_message": previous,
        }

    def message_deleted(self, message: Message) -> Json:
        """A post is gone."""
        hidden = self._hidden(message, "message_deleted")
        return hidden | {"deleted_ts": message.ts, "previous_message": self.message(message)}

    def message_buried(self, message: Message, previous: Json) -> Json:
        """A post with replies is gone: Slack tells of it as an edit, which leaves a tombstone in its place."""
        stone = tombstone_json(self._store, message)
        return self._hidden(message, "message_changed") | {"message": stone, "previous_message": previous}

    def file_shared(self, file: File, channel: Channel) -> Json:
        """A file now shows in a channel; carries ids only, as Slack's does."""
        return {
            "type": "file_shared",
            "channel_id": channel.id,
            "file_id": file.id,
            "user_id": file.user_id,
            "file": {"id": file.id},
            "event_ts": self._store.ids.ts(),
        }

    def file_deleted(self, file: File) -> Json:
        """A file is gone from the workspace."""
        channels = list(dict.fromkeys(share.channel_id for share in file.shares))
        return {"type": "file_deleted", "file_id": file.id, "channel_ids": channels, "event_ts": self._store.ids.ts()}

    def member(self, verb: str, user: User, channel: Channel, *, inviter: str | None = None) -> Json:
        """Somebody came or went: `verb` is `joined` or `left`."""
        return {
            "type": f"member_{verb}_channel",
            "user": user.id,
            "channel": channel.id,
            "channel_type": "C" if channel.kind is ChannelKind.PUBLIC else "G",
            "team": user.team_id,
            "event_ts": self._store.ids.ts(),
        } | ({"inviter": inviter} if inviter else {})

    def app_home_opened(self, user: User, channel: Channel, *, tab: str) -> Json:
        """Somebody looks at the app: its Home, or its messages."""
        return {
            "type": "app_home_opened",
            "user": user.id,
            "channel": channel.id,
            "tab": tab,
            "event_ts": self._store.ids.ts(),
        }

    def reaction(self, verb: str, user: User, message: Message, name: str) -> Json:
        """An emoji was `added` or `removed`."""
        return {
            "type": f"reaction_{verb}",
            "user": user.id,
            "reaction": name,
            "item_user": message.user_id,
            "item": {"type": "message", "channel": message.channel_id, "ts": message.ts},
            "event_ts": self._store.ids.ts(),
        }

    def channel_fate(self, verb: str, channel: Channel, user: User) -> Json:
        """A channel was put away, brought back or removed: `verb` is `archive`, `unarchive` or `deleted`."""
        ts = self._store.ids.ts()
        if channel.kind is ChannelKind.PUBLIC:
            told: Json = {} if verb == "deleted" else {"user": user.id, "event_ts": ts}
            return {"type": f"channel_{verb}", "channel": channel.id} | told
        told = {"actor_id": user.id, "event_ts": ts}
        if verb == "archive":
            told = {"user": user.id, "is_moved": 0, "event_ts": ts}
        elif verb == "deleted":
            told["date_deleted"] = int(time.time())
        return {"type": f"group_{verb}", "channel": channel.id} | told

    def app_left(self, channel: Channel) -> Json:
        """The app itself was taken out of a channel."""
        side = "channel" if channel.kind is ChannelKind.PUBLIC else "group"
        ts = self._store.ids.ts()
        return {"type": f"{side}_left", "channel": channel.id, "actor_id": channel.creator_id, "event_ts": ts}

    def channel_renamed(self, channel: Channel) -> Json:
        """A channel has another name."""
        is_public = channel.kind is ChannelKind.PUBLIC
        described = {
            "id": channel.id,
            "name": channel.name,
            "name_normalized": channel.name,
            "created": channel.created,
            "is_channel": is_public,
            "is_mpim": channel.kind is ChannelKind.MPIM,
        }
        kind = "channel_rename" if is_public else "group_rename"
        return {"type": kind, "channel": described, "event_ts": self._store.ids.ts()}

    def channel_converted(self, channel: Channel, user: User) -> Json:
        """A notice in a channel that was just made private, or public; Slack's types leave it out."""
        ts = self._store.ids.ts()
        side = "public" if channel.kind is ChannelKind.PUBLIC else "private"
        return {
            "type": "message",
            "subtype": f"channel_convert_to_{side}",
            "user": user.id,
            "text": f"made this channel {side}.",
            "channel": channel.id,
            "channel_type": CHANNEL_TYPES[channel.kind],
            "ts": ts,
            "event_ts": ts,
        }

    def channel_connected(self, channel: Channel, team_id: str) -> Json:
        """A channel is shared with another company now."""
        ts = self._store.ids.ts()
        return {"type": "channel_shared", "channel": channel.id, "connected_team_id": team_id, "event_ts": ts}

    def channel_disconnected(self, channel: Channel, team_id: str) -> Json:
        """A channel isn't shared with that company any more."""
        return {
            "type": "channel_unshared",
            "channel": channel.id,
            "previously_connected_team_id": team_id,
            "is_ext_shared": self._store.has_outsiders(channel),
            "event_ts": self._store.ids.ts(),
        }

    def person(self, kind: str, user: User) -> Json:
        """Somebody's profile or standing changed (`user_change`), or they are new here (`team_join`)."""
        shown = user_json(user, with_email=False)
        return {"type": kind, "user": shown, "cache_ts": int(time.time()), "event_ts": self._store.ids.ts()}

    def app_uninstalled(self) -> Json:
        """The app was removed from the workspace."""
        return {"type": "app_uninstalled"}

    def tokens_revoked(self) -> Json:
        """The bot's token is worth nothing any more; Slack names whose it was."""
        return {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [self._store.bot.id]}}

    def session_stopped(self, user: User, channel_id: str, thread_ts: str, streams: Sequence[str]) -> Json:
        """Somebody pressed Stop while these messages were being written."""
        return {
            "type": "agent_session_stopped",
            "channel": channel_id,
            "user": user.id,
            "thread_ts": thread_ts,
            "streaming_message_ts": list(streams),
            "event_ts": self._store.ids.ts(),
        }

    def envelope(self, event: Json, event_id: str) -> Json:
        """Wrap an inner event as the Events API sends it."""
        store = self._store
        is_enterprise = store.enterprise_id is not None
        authorization = {
            "enterprise_id": store.enterprise_id,
            "team_id": None if is_enterprise else store.team_id,
            "user_id": store.bot.id,
            "is_bot": True,
            "is_enterprise_install": is_enterprise,
        }
        return {
            "token": VERIFICATION_TOKEN,
            "team_id": store.team_id,
            "context_team_id": store.team_id,
            "context_enterprise_id": store.enterprise_id,
            **({"enterprise_id": store.enterprise_id} if is_enterprise else {}),
            "api_app_id": store.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": event_id,
            "event_time": int(time.time()),
            "authorizations": [authorization],
            "is_ext_shared_channel": self._is_shared_outside(event),
            "event_context": f"4-{event_id}",
        }

    def file(self, file: File) -> Json:
        """A file with its addresses, as the Web API shows it."""
        return file_json(self._store, file)

    def shown(self, message: Message) -> Json:
        """A message as the Web API shows it."""
        return message_json(self._store, message)

    def _files(self, shown: Json, left_out: frozenset[str]) -> list[Json]:
        return [{k: v for k, v in file.items() if k not in left_out} for file in shown.get("files", [])]

    def _hidden(self, message: Message, subtype: str) -> Json:
        ts = self._store.ids.ts()
        return {
            "type": "message",
            "subtype": subtype,
            "hidden": True,
            "channel": message.channel_id,
            "channel_type": CHANNEL_TYPES[self._store.channels[message.channel_id].kind],
            "ts": ts,
            "event_ts": ts,
        }

    def _is_shared_outside(self, event: Json) -> bool:
        channel = self._store.channels.get(str(event.get("channel", event.get("channel_id", ""))))
        return channel is not None and self._store.has_outsiders(channel)
