"""What one person sees of the workspace, as JSON for the page."""

from __future__ import annotations

from bot.playground.shapes import channel_json
from bot.playground.state import Channel, Json, Store, User
from bot.playground.workspace import Workspace
from bot.values import ChannelKind, UserKind


def snapshot(workspace: Workspace, user: User) -> Json:
    """Everything the page shows to `user`; other people's private places and ephemeral messages are left out."""
    store = workspace.store
    store.direct_channel(user.id)
    channels = [channel for channel in store.channels.values() if sees(store, user, channel)]
    return {
        "team": {"id": store.team_id, "name": store.team_name},
        "me": user.id,
        "bot": store.bot.id,
        "users": [_person(person) for person in store.users.values()],
        "channels": [_place(store, channel) for channel in channels],
        "messages": {channel.id: _messages(workspace, channel, user) for channel in channels},
        "statuses": [
            {"channel": channel_id, "thread_ts": thread_ts, **status}
            for (channel_id, thread_ts), status in workspace.statuses.items()
        ],
        "prompts": {
            channel.id: workspace.prompts[channel.id] for channel in channels if channel.id in workspace.prompts
        },
        "home": store.homes[user.id].content | {"id": store.homes[user.id].id} if user.id in store.homes else None,
    }


def sees(store: Store, user: User, channel: Channel) -> bool:
    """True when the page lists this channel for this person: members always, guests nothing else."""
    if user.id in channel.members:
        return True
    return channel.kind is ChannelKind.PUBLIC and user.kind is UserKind.MEMBER and user.id in store.users


def concerns(workspace: Workspace, change: Json, user: User) -> bool:
    """True when this change is for this person's eyes."""
    if change.get("seen_by") not in (None, user.id) or change.get("user") not in (None, user.id):
        return False
    if "channel" not in change:
        return True
    channel = workspace.store.channels.get(str(change["channel"]))
    return channel is not None and sees(workspace.store, user, channel)


def _person(user: User) -> Json:
    return {
        "id": user.id,
        "name": user.name,
        "kind": user.kind.value,
        "is_admin": user.is_admin,
        "is_bot": user.is_bot,
        "deleted": user.deleted,
    }


def _place(store: Store, channel: Channel) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind.value,
        "topic": channel.topic,
        "members": channel.members,
        "archived": channel.archived,
        "outsiders": channel_json(store, channel).get("is_ext_shared", False),
    }


def _messages(workspace: Workspace, channel: Channel, user: User) -> list[Json]:
    store = workspace.store
    private = [m for m in store.ephemerals.values() if m.channel_id == channel.id and m.seen_by == user.id]
    messages = sorted([*store.messages[channel.id].values(), *private], key=lambda message: message.ts)
    return [workspace.events.shown(message) | workspace.extras(message) for message in messages]
