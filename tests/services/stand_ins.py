"""Hand-written stand-ins for what services need from outside, and for a model that says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bot.errors import NotFound, RecollectError, ServiceUnavailable
from bot.llm import Embedder
from bot.values import Answer, Channel, ChannelKind, Citation, Person, Prompt, SharedFile, Turn, Usage, UserKind, Vector
from tests.conftest import TEAM

HANDBOOK = (
    b"# Opening hours\n\nThe office opens at eight in the morning and closes at six.\n\n"
    b"# Holidays\n\nEvery employee has twenty-seven days of holiday a year. Up to five days carry over into March.\n\n"
    b"# Travel\n\nTrain tickets are booked by the travel desk in second class.\n"
)


@dataclass
class KnownSlack:
    """A directory of what a test put into it. `asked` lists what was looked up; `is_down` makes it fail.

    `meanwhile` happens after Slack has looked a channel up, and before we hear of it. Of people it remembers what it told once, as the real one does, until a change is told of.
    """

    channels: dict[str, Channel] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False
    on_ask: Callable[[], None] = lambda: None
    meanwhile: Callable[[], Awaitable[object]] | None = None
    remembered: dict[str, tuple[int, Person]] = field(default_factory=dict)

    def add_channel(
        self,
        channel_id: str,
        *member_ids: str,
        kind: ChannelKind = ChannelKind.PUBLIC,
        has_outsiders: bool = False,
    ) -> None:
        self.channels[channel_id] = Channel(
            channel_id, kind, channel_id.lower(), has_outsiders, members := frozenset(member_ids)
        )
        for member_id in members - self.people.keys():
            self.add_person(member_id)

    def add_person(self, user_id: str, *, kind: UserKind = UserKind.MEMBER, is_admin: bool = False) -> None:
        self.people[user_id] = Person(user_id, f"Name of {user_id}", kind=kind, is_admin=is_admin)

    async def channel(self, team_id: str, channel_id: str, *, since: int = 0) -> Channel:
        self._note(channel_id)
        if channel_id not in self.channels:
            raise NotFound(channel_id)
        found = self.channels[channel_id]
        if self.meanwhile is not None:
            await self.meanwhile()
        return found

    async def person(self, team_id: str, user_id: str, *, since: int = 0) -> Person:
        """Answer also while Slack is down, when nothing has changed: the real directory remembers people."""
        if user_id not in self.people:
            raise NotFound(user_id, user_message="I don't know who you are.")
        changes, person = self.remembered.get(user_id, (-1, self.people[user_id]))
        if changes < since:
            if changes >= 0:
                self._note(user_id)
            person = self.people[user_id]
            self.remembered[user_id] = (since, person)
        return person

    def _note(self, what: str) -> None:
        self.asked.append(what)
        self.on_ask()
        if self.is_down:
            raise ServiceUnavailable("Slack is down")


@dataclass
class KnownThreads:
    """Threads as a test wrote them, by channel and root."""

    turns: list[Turn] = field(default_factory=list)
    files: list[SharedFile] = field(default_factory=list)
    read: list[tuple[str, str]] = field(default_factory=list)

    async def read_thread(self, team_id: str, channel_id: str, thread_ts: str) -> tuple[list[Turn], list[SharedFile]]:
        self.read.append((channel_id, thread_ts))
        return list(self.turns), list(self.files)


@dataclass
class KnownFiles:
    """Slack's files: bytes by file id, or the error that fetching them raises."""

    contents: dict[str, bytes | RecollectError] = field(default_factory=dict)
    described: dict[str, SharedFile] = field(default_factory=dict)
    on_fetch: Callable[[], None] = lambda: None

    def add(self, file: SharedFile, contents: bytes | RecollectError) -> SharedFile:
        self.contents[file.file_id] = contents
        self.described[file.file_id] = file
        return file

    async def describe(
        self, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile:
        if file_id not in self.described:
            raise NotFound(file_id)
        return self.described[file_id]

    def recall(
        self, body: bytes, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile | None:
        return self.described.get(file_id) if file_id.encode() in body else None

    async def fetch(self, file: SharedFile, *, max_bytes: int) -> bytes:
        self.on_fetch()
        contents = self.contents[file.file_id]
        if isinstance(contents, RecollectError):
            raise contents
        return contents


@dataclass
class NotedReply:
    """A reply that notes what happened to it, in order, into `events`, which other stand-ins may share."""

    events: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    streamed: str = ""
    finished: Answer | None = None
    apologies: list[str] = field(default_factory=list)
    sources: list[Citation] = field(default_factory=list)
    ts: str = "1700000999.000000"

    async def show_status(self, status: str) -> None:
        self.events.append("status")
        self.statuses.append(status)

    async def append(self, text: str) -> None:
        self.events.append("append")
        self.streamed += text

    async def finish(self, answer: Answer) -> str:
        self.events.append("finish")
        self.finished = answer
        return self.ts

    async def apologise(self, message: str, *, sources: Sequence[Citation] = ()) -> str:
        self.events.append("apologise")
        self.apologies.append(message)
        self.sources += sources
        return self.ts

    async def withdraw(self) -> None:
        self.events.append("withdraw")


class ScriptedChat:
    """A chat model that says what a test wrote down: texts in order, then usage; an exception among them is raised.

    A Usage among them comes in its place, and none at the end. `prompts` holds what it was given; `meanwhile` is called while it streams.
    """

    name = "scripted"
    prompt_budget = 2_000

    def __init__(self, *script: str | Usage | Exception, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._script = script
        self._meanwhile = meanwhile
        self.prompts: list[Prompt] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        self.prompts.append(prompt)
        for piece in self._script:
            self._meanwhile()
            await asyncio.sleep(0)
            if isinstance(piece, Exception):
                raise piece
            yield piece
        if not any(isinstance(piece, Usage) for piece in self._script):
            yield Usage(self.name, prompt_tokens=120, completion_tokens=7)

    async def problem(self) -> None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


class WatchedEmbedder:
    """A real embedder that notes what it was given; `fails_with` is raised instead, and kept until taken back."""

    def __init__(self, embedder: Embedder, *, name: str | None = None, meanwhile: Callable[[], None] = lambda: None):
        self._embedder = embedder
        self.name = name or embedder.name
        self.dimensions = embedder.dimensions
        self.max_tokens = embedder.max_tokens
        self.texts: list[str] = []
        self.queries: list[str] = []
        self.fails_with: Exception | None = None
        self.meanwhile = meanwhile

    def count_tokens(self, text: str) -> int:
        return self._embedder.count_tokens(text)

    async def embed(self, texts: Sequence[str]) -> Vector:
        self.meanwhile()
        if self.fails_with is not None:
            raise self.fails_with
        self.texts += texts
        return await self._embedder.embed(texts)

    async def embed_query(self, text: str) -> Vector:
        self.meanwhile()
        if self.fails_with is not None:
            raise self.fails_with
        self.queries.append(text)
        return await self._embedder.embed_query(text)

    async def problem(self) -> str | None:
        return await self._embedder.problem()

    async def close(self) -> None:
        """The real one is shared by all tests."""


def shared_file(
    file_id: str = "F1",
    *,
    filename: str = "handbook.md",
    channel: str = "C1",
    ts: str = "1700000000.000000",
    user: str = "U1",
) -> SharedFile:
    return SharedFile(TEAM, file_id, filename, "text/markdown", 1, channel, ts, ts, user, url="https://files/1")
