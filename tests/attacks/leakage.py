"""A workspace of the leakage model: people and channels of every kind in a local Slack, a canary in every document.

The bot's services ask this Slack what holds, and hear its events through Bolt, in this process. Whether something leaked is
judged by who sees an answer in Slack, and by nothing of the bot's: `allowed` knows no audience.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from bot.db.engine import Sessions
from bot.jobs.queue import Queue
from bot.playground.call import Backstage, Call
from bot.playground.installed import BOT_SCOPES
from bot.playground.local import LocalSlack
from bot.playground.methods import METHODS
from bot.playground.places import ELSEWHERE
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Channel, Json, User
from bot.repositories.channels import ChannelRepository
from bot.services.audience import AudienceService
from bot.slack import register
from bot.slack.actions import ActionListeners
from bot.slack.commands import CommandListeners
from bot.slack.delivery import Capabilities
from bot.slack.directory import SlackDirectory
from bot.slack.dispatch import dispatch
from bot.slack.events import EventListeners
from bot.slack.identity import authorize_as
from bot.slack.inbox import Inbox
from bot.slack.membership import MembershipListeners
from bot.slack.uninstalling import UninstallListeners
from bot.text.lexical import terms
from bot.values import ChannelKind, Prompt, SharedFile, Turn, Usage, UserKind, Vector
from tests.repositories.builders import store_texts

DIMENSIONS = 64
TOPICS = tuple(
    f"{first}{second}" for first in ("Alder", "Birk", "Cor", "Dun", "Elm") for second in ("ley", "holm", "wick", "by")
)
T = TypeVar("T")
CANARY = re.compile(r"canary[a-z0-9]+")

SINGLE, ONE_CHANNEL = "single", "one-channel"
"""A guest of one channel, and that channel: it has one document, of some 150."""


class Drawn:
    """Choices in the order in which they were drawn, a byte each; when all are used they begin anew."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = itertools.cycle(drawn)

    def random(self) -> float:
        """Return a number from 0 to 1, which it doesn't reach."""
        return next(self._drawn) / 256

    def choice(self, options: Sequence[T]) -> T:
        """Return one of at most 256 things."""
        return options[next(self._drawn) * len(options) // 256]


@dataclass(frozen=True, slots=True)
class Document:
    """One shared document: the only one with this canary."""

    canary: str
    topic: str
    channel_id: str


class WordEmbedder:
    """Makes a text's words its vector: whoever shares words is near. Real embedding is no part of what is asked here."""

    name, dimensions, max_tokens = "test-model", DIMENSIONS, 512

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def embed(self, texts: Sequence[str]) -> Vector:
        return np.stack([vector_of(text) for text in texts])

    async def embed_query(self, text: str) -> Vector:
        return vector_of(text)

    async def problem(self) -> str | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


class TellingModel:
    """Says all that its passages say, and remembers every prompt."""

    name, prompt_budget = "telling", 100_000

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        self.prompts.append(prompt)
        for number, passage in enumerate(prompt.passages, 1):
            yield f"{passage.text} [{number}] "
        yield Usage(self.name, 1, 1)

    async def problem(self) -> str | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


class NoThreads:
    """No thread began without the bot."""

    async def read_thread(self, team_id: str, channel_id: str, thread_ts: str) -> tuple[list[Turn], list[SharedFile]]:
        return [], []


class WebClient:
    """The Web API as far as the directory needs it.

    `meanwhile` happens once, to the channel whose members are asked for: after Slack looked, and before it says.
    """

    def __init__(self, slack: LocalSlack) -> None:
        unused: Any = None
        self._backstage = Backstage(slack.workspace, unused, unused, slack.interactions, slack.limiter, set(BOT_SCOPES))
        self.meanwhile: Callable[[str], Awaitable[None]] | None = None

    async def users_info(self, **args: object) -> Json:
        return self._call("users.info", args)

    async def conversations_info(self, **args: object) -> Json:
        return self._call("conversations.info", args)

    async def conversations_members(self, **args: object) -> Json:
        found = self._call("conversations.members", args)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await happens(str(args["channel"]))
        return found

    def _call(self, method: str, args: Json) -> Json:
        try:
            return METHODS[method].run(Call({k: v for k, v in args.items() if v is not None}, self._backstage))
        except ApiRefusal as refusal:
            raise SlackApiError(refusal.error, {"ok": False, "error": refusal.error}) from refusal  # type: ignore[no-untyped-call]  # the SDK leaves it bare


class InProcess:
    """Brings events to the bot's own listeners, past any socket."""

    def __init__(self, bolt: AsyncApp) -> None:
        self._bolt = bolt

    async def deliver(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Json | None:  # a Transport's
        response = await dispatch(self._bolt, payload, raw=b"{}", headers={})
        assert response.status == 200, f"{kind}: {response.status}"  # an event that isn't taken breaks the test
        return None


@dataclass
class House:
    """One workspace: its Slack, what was shared there, and what the bot knows it by."""

    slack: LocalSlack
    sessions: Sessions
    client: WebClient
    directories: list[SlackDirectory]
    dice: Drawn = field(default_factory=lambda: Drawn(bytes(1)))
    documents: list[Document] = field(default_factory=list)

    @property
    def team_id(self) -> str:
        return self.slack.store.team_id

    @property
    def people(self) -> list[User]:
        return [user for user in self.slack.store.users.values() if not user.is_bot]

    @property
    def channels(self) -> list[Channel]:
        return list(self.slack.store.channels.values())

    def hears(self, channel: Channel) -> bool:
        """Tell whether the bot is in a channel."""
        return self.slack.store.bot.id in channel.members

    async def share(self, channel: Channel, count: int) -> None:
        """Share documents in a channel, each about something, and each with its canary."""
        for _ in range(count):
            number = len(self.documents)
            topic = TOPICS[number % len(TOPICS)]
            document = Document(f"canary{self.team_id.lower()}n{number}x", topic, channel.id)
            words = f"The code word of pier {topic} is {document.canary}."
            async with self.sessions.tenant(self.team_id) as session:
                await store_texts(
                    session,
                    [words],
                    channel_id=channel.id,
                    filename=f"{document.canary}.txt",
                    vectors=[vector_of(words)],
                    team_id=self.team_id,
                )
            self.documents.append(document)

    def documents_of(self, name: str) -> list[Document]:
        """Return what was shared in the channel of this name."""
        channel = self.slack.store.channel(name)
        return [document for document in self.documents if document.channel_id == channel.id]

    def seen_in(self, channel: Channel) -> set[str]:
        """Return the canaries that everybody who sees a message in this channel may read."""
        viewers = [user for user in self.people if self.may_open(user, channel)]
        return {
            document.canary
            for document in self.documents
            if document.channel_id == channel.id
            or (not channel.connected and all(self._may_read(user, document) for user in viewers))
        }

    def seen_by(self, user: User) -> set[str]:
        """Return the canaries that somebody may read by themselves."""
        return {document.canary for document in self.documents if self._may_read(user, document)}

    def owed_in(self, channel: Channel, user: User, topic: str | None = None) -> set[str]:
        """Return the canaries, of all or about a topic, that an answer in this channel is promised to use."""
        inside = [self.slack.store.users[member] for member in channel.members]
        outsiders = bool(channel.connected) or any(
            not is_member(user) for user in inside if not user.is_bot and not user.deleted
        )
        open_too = is_member(user) and not outsiders
        return {
            document.canary
            for document in self.documents
            if topic in {None, document.topic}
            and (document.channel_id == channel.id or (open_too and self._kind_of(document) is ChannelKind.PUBLIC))
        }

    def owed_to(self, user: User, topic: str) -> set[str]:
        """Return the same for an answer to somebody alone: what they may read, where the bot is or may look."""
        return {
            document.canary
            for document in self.documents
            if document.topic == topic
            and self._may_read(user, document)
            and (
                (self._kind_of(document) is ChannelKind.PUBLIC and is_member(user))
                or self.hears(self.slack.store.channels[document.channel_id])
            )
        }

    def may_open(self, user: User, channel: Channel) -> bool:
        """Tell whether somebody can see what is said in a channel: by Slack's own rules."""
        if user.deleted:
            return False
        return user.id in channel.members or (channel.kind is ChannelKind.PUBLIC and is_member(user))

    def _may_read(self, user: User, document: Document) -> bool:
        channel = self.slack.store.channels.get(document.channel_id)
        return channel is not None and self.may_open(user, channel)

    def _kind_of(self, document: Document) -> ChannelKind | None:
        channel = self.slack.store.channels.get(document.channel_id)
        return None if channel is None else channel.kind


def is_member(user: User) -> bool:
    """Tell whether somebody is a full member of the workspace."""
    return user.kind is UserKind.MEMBER and not user.deleted


def vector_of(text: str) -> Vector:
    """Return the sum of a text's words, each a direction of its own, at unit length."""
    total = np.sum([_direction(str(term)) for term in terms(text)], axis=0, dtype=np.float32)
    return np.asarray(total / (np.linalg.norm(total) or 1.0), dtype=np.float32)


@lru_cache(maxsize=10_000)
def _direction(term: str) -> Vector:
    """Return the same direction for the same word in every process."""
    seed = int.from_bytes(term.encode()[-8:], "big")
    return np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)


async def open_house(sessions: Sessions, team_id: str, seed: int) -> House:
    """Furnish a workspace: members, guests, one of a single channel, people from outside, one deactivated, and channels
    public, private, shared with another company, for several and for one.
    """
    slack, dice = LocalSlack(team_id=team_id), random.Random(f"{team_id}/{seed}")
    client = WebClient(slack)
    web: Any = client
    house = House(slack, sessions, client, [SlackDirectory(web, max_age_s=60) for _ in range(2)])
    members = [slack.add_user(f"member {number}") for number in range(6)]
    guests = [slack.add_user(f"guest {number}", kind="guest") for number in range(2)]
    single = slack.add_user(SINGLE, kind="guest")
    outside = [slack.add_user(f"outside {number}", kind="external") for number in range(2)]
    slack.add_user("gone").deleted = True
    for number in range(8):
        slack.add_channel(f"public-{number}", members=dice.sample(members, 3) + dice.sample(guests, number % 4 == 0))
    for number in range(14):
        inside = dice.sample(members, 2) + dice.sample(guests, number % 3 == 0)
        slack.add_channel(f"private-{number}", kind="private", members=inside)
    for number in range(3):
        shared = slack.add_channel(f"shared-{number}", members=[*dice.sample(members, 2), *outside])
        shared.connected.append(ELSEWHERE)
    for number in range(3):
        slack.add_channel(f"mpdm-{number}", kind="mpim", members=dice.sample([*members, *guests], 3))
    slack.add_channel(ONE_CHANNEL, kind="private", members=[single, members[0]])
    for user in (*members, *guests):
        slack.direct(user)
    async with sessions.tenant(team_id) as session:
        await ChannelRepository(session).record_workspace(team_id)
    for channel in house.channels:
        await house.share(channel, 1 if channel.name == ONE_CHANNEL else 5)
    audiences = AudienceService(sessions, house.directories[0], max_age_s=60)
    await audiences.refresh(team_id, [channel.id for channel in house.channels])  # as when a file is read
    _listen(house)
    return house


def _listen(house: House) -> None:
    store, capabilities = house.slack.store, Capabilities()
    unused: Any = object()
    bolt = AsyncApp(
        client=unused_client(),
        authorize=authorize_as(
            team_id=store.team_id, url="", bot_user_id=store.bot.id, bot_id=store.bot_id, token=lambda: "xoxb-none"
        ),
        request_verification_enabled=False,
        process_before_response=True,
    )
    inbox = Inbox(house.sessions, Queue(), timeout_s=60)
    register(
        bolt,
        events=EventListeners(inbox, unused, capabilities),
        membership=MembershipListeners(inbox),
        uninstalling=UninstallListeners(inbox, unused, team_id=store.team_id, bot_user_id=store.bot.id),
        commands=object.__new__(CommandListeners),
        actions=object.__new__(ActionListeners),
        names=("/ask", "/find", "/docs"),
    )
    house.slack.workspace.deliveries.transport = InProcess(bolt)


def unused_client() -> Any:
    """Return a client for Bolt that is never called."""
    from slack_sdk.web.async_client import AsyncWebClient  # noqa: PLC0415  # for this alone

    return AsyncWebClient("xoxb-none")
