"""What happens to people and channels in the histories of the leakage model."""

from __future__ import annotations

from bot.playground.state import Channel, User
from bot.values import ChannelKind, UserKind
from tests.attacks.leakage import SINGLE, House

SELDOM = 0.25
"""How often what shuts much off happens, when it could: most people stay active, most channels within the company."""


class Moves:
    """Lets one thing after another happen in a workspace, at random.

    `told` says what, in words; `touched` is whom and which channel the last one was about.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._slack = house.slack
        self.told: list[str] = []
        self._past: list[tuple[frozenset[str], str]] = []
        self.touched: list[User | Channel] = []

    def one(self, channel: Channel | None = None) -> None:
        """Let one thing happen, in this channel if it has to do with any, or nothing where Slack wouldn't let it."""
        self.touched = []
        user = self._house.dice.choice(self._house.people)
        channel = channel or self._house.dice.choice([channel for channel in self._house.channels if channel.name])
        of_people = (self._leave, self._leave, self._join, self._join, self._regard, self._activate)
        of_channels = (self._convert, self._connect, self._archive, self._bring_bot)
        if self._house.dice.random() < len(of_people) / (len(of_people) + len(of_channels)):
            self._house.dice.choice(of_people)(user, channel)
        else:
            self._house.dice.choice(of_channels)(channel)

    def _leave(self, _: User, channel: Channel) -> None:
        inside = [user for user in self._house.people if user.id in channel.members]
        if inside:
            self._note("left", user := self._house.dice.choice(inside), channel)
            self._slack.leave(user, channel)

    def _join(self, user: User, channel: Channel) -> None:
        is_let_in = user.kind is not UserKind.EXTERNAL or channel.connected
        if is_let_in and user.name != SINGLE and channel.kind is not ChannelKind.MPIM and not user.deleted:
            self._slack.join(user, channel)
            self._note("joined", user, channel)

    def _regard(self, user: User, _: Channel) -> None:
        if user.kind is not UserKind.EXTERNAL and user.name != SINGLE:
            self._slack.change_user(user, kind="guest" if user.kind is UserKind.MEMBER else "member")
            self._note(f"became a {user.kind}", user)

    def _activate(self, user: User, _: Channel) -> None:
        if not user.deleted and self._house.dice.random() > SELDOM:
            return
        self._slack.change_user(user, deleted=not user.deleted)
        self._note("was deactivated" if user.deleted else "came back", user)

    def _convert(self, channel: Channel) -> None:
        if channel.kind is not ChannelKind.MPIM and not channel.connected and self._house.hears(channel):
            self._slack.convert(channel, "private" if channel.kind is ChannelKind.PUBLIC else "public")
            self._note(f"turned {channel.kind}", channel)

    def _connect(self, channel: Channel) -> None:
        if not self._house.hears(channel):
            return
        if channel.connected:
            self._slack.disconnect(channel)
            self._note("is shared no more", channel)
        elif channel.kind is not ChannelKind.MPIM and self._house.dice.random() < SELDOM:
            self._slack.connect(channel)
            self._note("is shared with another company", channel)

    def _archive(self, channel: Channel) -> None:
        self._slack.archive(channel, archived=not channel.archived)
        self._note("was archived" if channel.archived else "was unarchived", channel)

    def _bring_bot(self, channel: Channel) -> None:
        if channel.kind is not ChannelKind.MPIM:
            is_in = self._house.hears(channel)
            if is_in and self._house.dice.random() > SELDOM:
                return
            (self._slack.leave if is_in else self._slack.join)(self._slack.store.bot, channel)
            self._note("lost the bot" if is_in else "has the bot", channel)

    def _note(self, what: str, *whom: User | Channel) -> None:
        self.touched = list(whom)
        self.told.append(f"{' '.join(thing.name for thing in whom)} {what}")
        self._past.append((frozenset(thing.name for thing in whom), f"{len(self._past)} {self.told[-1]}"))

    def past(self, name: str, *, limit: int = 5) -> list[str]:
        """Return the last things that happened to somebody, or in a channel, oldest first, each with its number."""
        return [what for whom, what in self._past if name in whom][-limit:]
