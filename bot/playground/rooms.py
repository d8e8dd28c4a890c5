"""What can happen to channels and people. Each thing is done first, then told to the app and to whoever watches."""

from __future__ import annotations

from bot.playground.delivery import Deliveries
from bot.playground.events import Events
from bot.playground.state import Channel, Json, Store, User
from bot.playground.watch import Watchers
from bot.values import ChannelKind


class Rooms:
    """Who is where, and what sort of place it is. Of a channel, the app hears as long as it is in it."""

    def __init__(self, store: Store, events: Events, deliveries: Deliveries, watchers: Watchers) -> None:
        self.store = store
        self.events = events
        self.deliveries = deliveries
        self.watchers = watchers

    def join(self, user: User, channel: Channel, *, inviter: User | None = None) -> None:
        """Bring somebody into a channel; doing it twice is nothing."""
        if user.id in channel.members:
            return
        channel.members.append(user.id)
        self._send(channel.id, self.events.member("joined", user, channel, inviter=inviter.id if inviter else None))
        self.watchers.tell("channels")

    def leave(self, user: User, channel: Channel) -> None:
        """Take somebody out of a channel; the app hears, last of all, that it was taken out itself."""
        if user.id not in channel.members:
            return
        channel.members.remove(user.id)
        left = self.events.member("left", user, channel)
        if user.id == self.store.bot.id:
            self.deliveries.send(left)
            self.deliveries.send(self.events.app_left(channel))
        else:
            self._send(channel.id, left)
        self.watchers.tell("channels")

    def archive(self, channel: Channel, by: User, *, archived: bool) -> None:
        """Put a channel away, or bring it back."""
        channel.archived = archived
        self._send(channel.id, self.events.channel_fate("archive" if archived else "unarchive", channel, by))
        self.watchers.tell("channels")

    def remove_channel(self, channel: Channel, by: User) -> None:
        """Delete a channel with all its messages."""
        event = self.events.channel_fate("deleted", channel, by)
        is_heard = self._hears(channel.id)
        self.store.drop_channel(channel.id)
        if is_heard:
            self.deliveries.send(event)
        self.watchers.tell("channels")

    def rename(self, channel: Channel, name: str) -> None:
        """Give a channel another name."""
        channel.name = name
        self._send(channel.id, self.events.channel_renamed(channel))
        self.watchers.tell("channels")

    def convert(self, channel: Channel, by: User, kind: ChannelKind) -> None:
        """Make a public channel private, or the other way round: Slack tells it by a notice in the channel alone."""
        channel.kind = kind
        self._send(channel.id, self.events.channel_converted(channel, by))
        self.watchers.tell("channels")

    def connect(self, channel: Channel, team_id: str) -> None:
        """Share a channel with another company; its people come when they join."""
        channel.connected.append(team_id)
        self._send(channel.id, self.events.channel_connected(channel, team_id))

    def disconnect(self, channel: Channel, team_id: str) -> None:
        """End the sharing of a channel with another company; whoever of it was in the channel is out."""
        channel.connected.remove(team_id)
        channel.members = [member for member in channel.members if self.store.users[member].team_id != team_id]
        self._send(channel.id, self.events.channel_disconnected(channel, team_id))
        self.watchers.tell("channels")

    def uninstall(self) -> None:
        """Remove the app: its token is dead when it hears of it, and it hears of nothing else."""
        if not self.store.is_installed:
            return
        self.store.is_installed = False
        self.deliveries.send(self.events.tokens_revoked())
        self.deliveries.send(self.events.app_uninstalled())

    def _hears(self, channel_id: str) -> bool:
        channel = self.store.channels.get(channel_id)
        return channel is not None and self.store.bot.id in channel.members

    def _send(self, channel_id: str, event: Json) -> None:
        if self._hears(channel_id):
            self.deliveries.send(event)
