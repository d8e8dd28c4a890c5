"""Proves on a workspace's own data that nobody is shown what Slack wouldn't show them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from bot.db.engine import Sessions
from bot.errors import NotFound
from bot.repositories.audience import PERSONAL_PREFIX
from bot.repositories.channels import personal_channel_id
from bot.repositories.users import UserRepository
from bot.repositories.visibility import VisibilityRepository
from bot.services.audience import AudienceService
from bot.services.ports import Directory
from bot.services.search import SearchService
from bot.values import Audience, Channel, ChannelKind, Person, UserKind

SEARCHES = 5
"""Searches under each audience, each for words of some document, whether the audience may read that one or not."""

PASSAGES = 50
_WORDS_CHARS = 200

T = TypeVar("T", str, UUID)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who sees an answer: one person alone, or everybody in the channel it is posted in, where that person asked."""

    person: Person
    channel: Channel
    private: bool

    def __str__(self) -> str:
        return (
            f"{self.person.user_id} alone"
            if self.private
            else f"{self.channel.channel_id}, {self.person.user_id} asking"
        )


@dataclass(frozen=True, slots=True)
class Leak:
    """A document shown to who may not read it by Slack's word. `way`: `search`, or the table that showed it."""

    viewer: Viewer
    document_id: UUID
    way: str


@dataclass(slots=True)
class LeakReport:
    """What was looked at, and what was found. `changed` counts what Slack had changed so lately that we may not know."""

    people: int = 0
    channels: int = 0
    audiences: int = 0
    searches: int = 0
    passages: int = 0
    documents: int = 0
    changed: int = 0
    leaks: list[Leak] = field(default_factory=list)


class LeakTest:
    """Samples people and channels, and sets what each is shown beside what Slack, asked now, says they may read.

    Shown is what search finds, and, without any condition of ours, what PostgreSQL lets through under the audience's
    scope. Slack's word is turned into an answer here a second time, apart from the rule that the bot goes by.
    """

    def __init__(
        self, sessions: Sessions, directory: Directory, audiences: AudienceService, search: SearchService
    ) -> None:
        self._sessions = sessions
        self._directory = directory
        self._audiences = audiences
        self._search = search

    async def run(self, team_id: str, *, sample: int, seed: int | None = None) -> LeakReport:
        """Look at `sample` channels and as many people at most, in an order that `seed` fixes.

        Raises ServiceUnavailable when Slack doesn't answer: nothing is proven then.
        """
        chance, report = random.Random(seed), LeakReport()  # noqa: S311  # a sample, no secret
        async with self._sessions.tenant(team_id) as session:
            places = await VisibilityRepository(session).list_shares(team_id)
        truth = _Truth(self._directory, team_id, places)
        viewers = await self._viewers(truth, chance, sample=sample, report=report)
        for viewer in viewers:
            await self._examine(truth, viewer, chance, report)
        return report

    async def _viewers(self, truth: _Truth, chance: random.Random, *, sample: int, report: LeakReport) -> list[Viewer]:
        """Return each sampled channel as seen by all in it, and each sampled person as alone with the bot."""
        asked = [await truth.channel(channel_id) for channel_id in _shuffled(truth.channel_ids, chance)[:sample]]
        channels = [channel for channel in asked if channel is not None and channel.member_ids]
        seats = {user_id: channel for channel in channels for user_id in _shuffled(channel.member_ids, chance)}
        people = [await truth.person(user_id) for user_id in _shuffled(seats, chance)[:sample]]
        known = [person for person in people if person is not None]
        askers = [await truth.person(_shuffled(channel.member_ids, chance)[0]) for channel in channels]
        report.channels, report.people = len(channels), len(known)
        return [
            *(
                Viewer(asker, channel, private=channel.kind is ChannelKind.IM)
                for asker, channel in zip(askers, channels, strict=True)
                if asker is not None
            ),
            *(Viewer(person, seats[person.user_id], private=True) for person in known),
        ]

    async def _examine(self, truth: _Truth, viewer: Viewer, chance: random.Random, report: LeakReport) -> None:
        audience = await self._audience(truth.team_id, viewer)
        async with self._sessions.tenant(truth.team_id) as session:
            user_id = await UserRepository(session).record_person(truth.team_id, viewer.person)
        report.audiences += 1
        seen = await self._let_through(audience)
        report.documents += len(seen)
        shown = {**seen, **dict.fromkeys(await self._found(truth, audience, chance, report), "search")}
        outside = {one: way for one, way in shown.items() if not await truth.may_read(viewer, user_id, one)}
        if outside:
            still = await self._look_again(truth, viewer, user_id, outside)
            report.leaks += [Leak(viewer, one, outside[one]) for one in sorted(still)]
            report.changed += len(outside) - len(still)

    async def _look_again(self, truth: _Truth, viewer: Viewer, user_id: UUID, outside: Iterable[UUID]) -> set[UUID]:
        """Return those still shown, and not to be read, when both sides have asked Slack once more."""
        channel_ids = {channel_id for one in outside for channel_id in truth.asked_of(one)}
        channel_ids.add(viewer.channel.channel_id)
        truth.forget(channel_ids)
        place = await truth.channel(viewer.channel.channel_id)
        await self._audiences.refresh(truth.team_id, channel_ids)
        viewer = replace(viewer, channel=place or viewer.channel)
        shown = await self._let_through(await self._audience(truth.team_id, viewer))
        return {one for one in outside if one in shown and not await truth.may_read(viewer, user_id, one)}

    async def _audience(self, team_id: str, viewer: Viewer) -> Audience:
        return await self._audiences.of(
            team_id,
            channel_id=viewer.channel.channel_id,
            user_id=viewer.person.user_id,
            private=viewer.private,
        )

    async def _let_through(self, audience: Audience) -> dict[UUID, str]:
        async with self._sessions.reading(audience) as session:
            return await VisibilityRepository(session).list_documents(audience.team_id)

    async def _found(self, truth: _Truth, audience: Audience, chance: random.Random, report: LeakReport) -> set[UUID]:
        """Return the documents of what is found by words of some, read here as the bot itself."""
        found: set[UUID] = set()
        for document_id in _shuffled(truth.places, chance)[:SEARCHES]:
            async with self._sessions.tenant(truth.team_id) as session:
                words = await VisibilityRepository(session).get_words(
                    truth.team_id, document_id, characters=_WORDS_CHARS
                )
            if words is not None:
                result = await self._search.search(words, audience=audience, limit=PASSAGES, by_words=True)
                found |= {passage.document_id for passage in result.nearest}
                report.searches += 1
                report.passages += len(result.nearest)
        return found


class _Truth:
    """Who may read what, by Slack's word alone; each channel and person is asked about once."""

    def __init__(self, directory: Directory, team_id: str, places: Mapping[UUID, set[str]]) -> None:
        self.team_id = team_id
        self.places = places
        self._directory = directory
        self._channels: dict[str, Channel | None] = {}
        self._people: dict[str, Person | None] = {}

    @property
    def channel_ids(self) -> set[str]:
        """The channels of Slack's in which anything is shared."""
        return {channel_id for document_id in self.places for channel_id in self.asked_of(document_id)}

    def asked_of(self, document_id: UUID) -> set[str]:
        """Return the channels of Slack's in which a document is shared."""
        return {one for one in self.places.get(document_id, ()) if not one.startswith(PERSONAL_PREFIX)}

    async def channel(self, channel_id: str) -> Channel | None:
        """Return a channel as it is now; None when Slack doesn't show it to us, so that nobody is known to read it."""
        if channel_id not in self._channels:
            try:
                self._channels[channel_id] = await self._directory.channel(self.team_id, channel_id)
            except NotFound:
                self._channels[channel_id] = None
        return self._channels[channel_id]

    def forget(self, channel_ids: Iterable[str]) -> None:
        """Ask about these channels anew."""
        for channel_id in channel_ids:
            self._channels.pop(channel_id, None)

    async def person(self, user_id: str) -> Person | None:
        """Return a person; None for whom Slack doesn't know."""
        if user_id not in self._people:
            try:
                self._people[user_id] = await self._directory.person(self.team_id, user_id)
            except NotFound:
                self._people[user_id] = None
        return self._people[user_id]

    async def may_read(self, viewer: Viewer, user_id: UUID, document_id: UUID) -> bool:
        """True when everybody who sees the answer may read the document; `user_id` is the asker's own row."""
        if viewer.private and personal_channel_id(user_id) in self.places.get(document_id, ()):
            return True
        channels = [await self.channel(channel_id) for channel_id in self.asked_of(document_id)]
        return any(channel is not None and _may_all_read(viewer, channel) for channel in channels)


def _may_all_read(viewer: Viewer, channel: Channel) -> bool:
    is_public = channel.kind is ChannelKind.PUBLIC
    if viewer.private:
        is_member = viewer.person.kind is UserKind.MEMBER
        return viewer.person.user_id in channel.member_ids or (is_public and is_member)
    if channel.channel_id == viewer.channel.channel_id or (is_public and not viewer.channel.has_outsiders):
        return True
    return viewer.channel.member_ids <= channel.member_ids


def _shuffled(things: Iterable[T], chance: random.Random) -> list[T]:
    ordered = sorted(things)
    chance.shuffle(ordered)
    return ordered
