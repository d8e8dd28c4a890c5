"""The services on the test's own database, with real models, and stand-ins for Slack alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import Sessions
from bot.jobs.queue import Queue
from bot.llm import ChatModel
from bot.llm.extractive import ExtractiveModel
from bot.llm.local import LocalEmbedder
from bot.repositories.channels import ChannelRepository
from bot.repositories.users import UserRepository
from bot.services.answers import AnswerService
from bot.services.audience import AudienceService
from bot.services.documents import DocumentService
from bot.services.ingest import IngestService
from bot.services.limits import Limits
from bot.services.offers import OfferService
from bot.services.ports import Unclaimed
from bot.services.search import SearchService
from bot.services.storing import BATCH, FOLLOW_S
from bot.services.turns import UNLIMITED, TurnService
from bot.services.usage import UsageService
from bot.services.writer import AnswerWriter
from bot.values import ChannelKind, IngestOutcome, Passage, UserKind
from tests.conftest import TEAM
from tests.services.stand_ins import HANDBOOK, KnownFiles, KnownSlack, KnownThreads, WatchedEmbedder, shared_file

MAX_FILE_BYTES = 2**20


@dataclass
class House:
    """Every service, wired as the app wires them, and the stand-ins around them."""

    engine: AsyncEngine
    sessions: Sessions
    queue: Queue
    slack: KnownSlack
    threads: KnownThreads
    files: KnownFiles
    embedder: WatchedEmbedder
    audiences: AudienceService
    search: SearchService
    ingest: IngestService
    documents: DocumentService
    usage: UsageService

    def answers(
        self, chat: ChatModel | None = None, *, file_wait_s: float = 5, limits: Limits = UNLIMITED
    ) -> AnswerService:
        """Return the answering service; the extractive model writes unless another is given."""
        turns = TurnService(
            self.sessions, self.audiences, self.threads, self.queue.enqueue, file_wait_s=file_wait_s, limits=limits
        )
        offers = OfferService(self.search, self.audiences)
        writer = AnswerWriter(self.search, chat or ExtractiveModel(self.embedder), offers, permalink=link_to)
        return AnswerService(self.sessions, turns, writer, self.search, self.audiences, self.usage, self.queue.enqueue)

    async def share(
        self,
        data: bytes = HANDBOOK,
        *,
        file_id: str = "F1",
        filename: str = "handbook.md",
        channel: str = "C1",
        ts: str = "1700000000.000000",
        user: str = "U1",
    ) -> IngestOutcome:
        """Share a file in Slack and read it."""
        file = self.files.add(shared_file(file_id, filename=filename, channel=channel, ts=ts, user=user), data)
        outcome = await self.documents.ingest_shared(file, claim=Unclaimed())
        assert outcome is not None
        return outcome

    async def user_id(self, slack_user_id: str = "U1") -> UUID:
        """Return somebody's row, made when it isn't there."""
        async with self.sessions.tenant(TEAM) as session:
            return await UserRepository(session).record_person(TEAM, self.slack.people[slack_user_id])

    def assert_no_transaction(self) -> None:
        assert self.engine.pool.checkedout() == 0, "a transaction is open while something slow goes on"  # type: ignore[attr-defined]


def link_to(passage: Passage) -> str | None:
    return f"https://slack.test/{passage.channel_id}/{passage.message_ts}" if passage.message_ts else None


@pytest.fixture(scope="session")
async def local_embedder() -> AsyncIterator[LocalEmbedder]:
    """The real model, loaded once."""
    embedder = LocalEmbedder()
    await embedder.warm_up()
    yield embedder
    await embedder.close()


@pytest.fixture
async def house(engine: AsyncEngine, sessions: Sessions, local_embedder: LocalEmbedder) -> AsyncIterator[House]:
    """A workspace with the public channels C1 and C2, the private one G1, and the people in them.

    U1 and U2 are members, U3 is an administrator in C1 alone, U9 a guest in C2 alone; only U1 is in G1.
    """
    house = await make_house(engine, sessions, WatchedEmbedder(local_embedder))
    yield house
    await house.usage.close()


def furnish(slack: KnownSlack) -> None:
    slack.add_person("U9", kind=UserKind.GUEST)
    slack.add_person("U3", is_admin=True)
    slack.add_channel("C1", "U1", "U2", "U3")
    slack.add_channel("C2", "U1", "U2", "U9", has_outsiders=True)
    slack.add_channel("G1", "U1", kind=ChannelKind.PRIVATE)


async def make_house(
    engine: AsyncEngine,
    sessions: Sessions,
    embedder: WatchedEmbedder,
    *,
    batch: int = BATCH,
    follow_s: float = FOLLOW_S,
) -> House:
    slack, threads, files, queue = KnownSlack(), KnownThreads(), KnownFiles(), Queue()
    furnish(slack)
    audiences = AudienceService(sessions, slack, max_age_s=60)
    search = SearchService(sessions, embedder, passage_limit=8, floor=0.2, weight=0.5)
    ingest = IngestService(sessions, embedder, max_file_bytes=MAX_FILE_BYTES, batch=batch, follow_s=follow_s)
    documents = DocumentService(sessions, ingest, audiences, files, queue.enqueue, max_file_bytes=MAX_FILE_BYTES)
    async with sessions.tenant(TEAM) as session:
        await ChannelRepository(session).record_workspace(TEAM)
    usage = UsageService(sessions, retry_s=0.05)
    return House(engine, sessions, queue, slack, threads, files, embedder, audiences, search, ingest, documents, usage)
