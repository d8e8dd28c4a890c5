"""Who is in the workspace and where, and what becomes of its channels."""

from __future__ import annotations

from collections.abc import Sequence

from bot.playground.copies import Copies
from bot.playground.delivery import Delivery
from bot.playground.state import Channel, User
from bot.values import ChannelKind, UserKind

PREFIXES = {ChannelKind.PUBLIC: "C", ChannelKind.PRIVATE: "C", ChannelKind.MPIM: "G", ChannelKind.IM: "D"}

ELSEWHERE = "T0ELSEWHERE"
"""The other company that people from outside belong to."""


class Places(Copies):
    """People and channels, and what changes about them. `who` and `where` are ids, names or the things themselves."""

    def add_user(
        self,
        name: str,
        *,
        email: str | None = None,
        kind: UserKind | str = UserKind.MEMBER,
        is_admin: bool = False,
        is_told: bool = False,
    ) -> User:
        """Let somebody into the workspace; they are in no channel yet. The app hears `team_join` when it `is_told`."""
        kind = UserKind(kind)
        team_id = ELSEWHERE if kind is UserKind.EXTERNAL else self.store.team_id
        user = User(self.store.ids.new("U"), name, team_id, email, kind, is_admin)
        self.store.users[user.id] = user
        if is_told:
            self.workspace.deliveries.send(self.workspace.events.person("team_join", user))
        self.workspace.watchers.tell("people")
        return user

    def add_channel(
        self,
        name: str,
        *,
        kind: ChannelKind | str = ChannelKind.PUBLIC,
        members: Sequence[User | str] = (),
        with_bot: bool = True,
        topic: str = "",
    ) -> Channel:
        """Make a channel with these people in it, and the bot unless told otherwise; no events are sent."""
        kind = ChannelKind(kind)
        people = [self.store.user(member).id for member in members]
        inside = [*people, *([self.store.bot.id] if with_bot else [])]
        creator = people[0] if people else self.store.bot.id
        channel_id = self.store.ids.new(PREFIXES[kind])
        channel = self.store.add_channel(channel_id, kind, name, creator_id=creator, members=inside, topic=topic)
        self.workspace.watchers.tell("channels")
        return channel

    def direct(self, who: User | str) -> Channel:
        """Return this person's direct messages with the bot."""
        return self.store.direct_channel(self.store.user(who).id)

    def open_app(self, who: User | str, *, tab: str = "messages") -> Delivery | None:
        """Let somebody open the app's messages or its Home."""
        user = self.store.user(who)
        event = self.workspace.events.app_home_opened(user, self.direct(user), tab=tab)
        return self.workspace.deliveries.send(event)

    def join(self, who: User | str, where: Channel | str) -> None:
        """Bring somebody (or the bot) into a channel."""
        self.workspace.join(self.store.user(who), self.store.channel(where))

    def leave(self, who: User | str, where: Channel | str) -> None:
        """Take somebody out of a channel."""
        self.workspace.leave(self.store.user(who), self.store.channel(where))

    def archive(self, where: Channel | str, *, archived: bool = True) -> None:
        """Put a channel away, or bring it back."""
        channel = self.store.channel(where)
        self.workspace.archive(channel, self._owner(channel), archived=archived)

    def remove_channel(self, where: Channel | str) -> None:
        """Delete a channel with all that was said in it."""
        channel = self.store.channel(where)
        self.workspace.remove_channel(channel, self._owner(channel))

    def rename(self, where: Channel | str, name: str) -> None:
        """Give a channel another name."""
        self.workspace.rename(self.store.channel(where), name)

    def convert(self, where: Channel | str, kind: ChannelKind | str) -> None:
        """Make a channel private, or public."""
        channel = self.store.channel(where)
        self.workspace.convert(channel, self._owner(channel), ChannelKind(kind))

    def connect(self, where: Channel | str, *, team_id: str = ELSEWHERE) -> None:
        """Share a channel with another company."""
        self.workspace.connect(self.store.channel(where), team_id)

    def disconnect(self, where: Channel | str, *, team_id: str = ELSEWHERE) -> None:
        """End the sharing of a channel with another company."""
        self.workspace.disconnect(self.store.channel(where), team_id)

    def change_user(
        self,
        who: User | str,
        *,
        kind: UserKind | str | None = None,
        is_admin: bool | None = None,
        deleted: bool | None = None,
    ) -> None:
        """Change somebody's standing, or deactivate them; the app hears `user_change`."""
        user = self.store.user(who)
        user.kind = user.kind if kind is None else UserKind(kind)
        user.is_admin = user.is_admin if is_admin is None else is_admin
        user.deleted = user.deleted if deleted is None else deleted
        self.workspace.deliveries.send(self.workspace.events.person("user_change", user))

    def uninstall(self) -> None:
        """Remove the app from the workspace."""
        self.workspace.uninstall()

    def _owner(self, channel: Channel) -> User:
        return self.store.users[channel.creator_id]
