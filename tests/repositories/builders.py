"""Things to store, and ways to look at what was stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

import numpy as np
from sqlalchemy import event
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository
from bot.repositories.documents import DocumentRepository, RecordedDocument
from bot.repositories.passages import PassageRepository
from bot.repositories.readings import ReadingRepository
from bot.repositories.statistics import StatisticsRepository
from bot.repositories.users import UserRepository
from bot.text.lexical import document_weights
from bot.values import (
    Audience,
    Channel,
    ChannelKind,
    Chunk,
    IndexedChunk,
    Person,
    Question,
    Share,
    UserKind,
    Vector,
)
from tests.conftest import TEAM

DIMENSIONS = 16
MODEL = "test-model"

A = TypeVar("A")
B = TypeVar("B")


def person(user_id: str = "U1", name: str = "Ada", *, kind: UserKind = UserKind.MEMBER) -> Person:
    return Person(user_id, name, kind=kind)


def question(
    text: str = "When do we open?", *, ts: str = "1700000100.000000", thread_ts: str | None = None, channel: str = "C1"
) -> Question:
    return Question(TEAM, channel, "U1", ts, thread_ts or ts, text)


def channel(
    channel_id: str,
    members: Iterable[str] = (),
    *,
    kind: ChannelKind = ChannelKind.PUBLIC,
    has_outsiders: bool = False,
) -> Channel:
    return Channel(channel_id, kind, channel_id.lower(), has_outsiders, frozenset(members))


def audience(*channel_ids: str, team_id: str = TEAM) -> Audience:
    return Audience(team_id, frozenset(channel_ids))


def unit(seed: int, dimensions: int = DIMENSIONS) -> Vector:
    vector = np.random.default_rng(seed).normal(size=dimensions)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def halved(vectors: Vector) -> Vector:
    """Return vectors as a column of 16-bit floats keeps them."""
    return vectors.astype(np.float16).astype(np.float32)


def indexed(texts: Sequence[str], *, vectors: Sequence[Vector] | None = None) -> list[IndexedChunk]:
    """Return chunks of a document whose text is `texts` joined by line breaks, a page each."""
    chunks, start = [], 0
    for index, text in enumerate(texts):
        vector = unit(hash_of(text)) if vectors is None else vectors[index]
        chunk = Chunk(index, text, start, start + len(text), len(text.split()), page=index + 1, heading="Opening")
        chunks.append(IndexedChunk(chunk, vector, document_weights(text)))
        start += len(text) + 1
    return chunks


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big")


async def record_user(session: AsyncSession, user_id: str = "U1", *, team_id: str = TEAM) -> UUID:
    return await UserRepository(session).record_person(team_id, person(user_id))


async def share_bytes(
    session: AsyncSession,
    data: bytes = b"bytes",
    *,
    user: UUID,
    filename: str = "handbook.pdf",
    channel_id: str = "C1",
    file_id: str | None = None,
    ts: str | None = None,
    thread_ts: str | None = None,
    team_id: str = TEAM,
) -> RecordedDocument:
    return await DocumentRepository(session).record_document(
        team_id,
        sha256=hashlib.sha256(data).digest(),
        filename=filename,
        file_type="application/pdf",
        size=len(data),
        uploader_id=user,
        share=Share(channel_id, user, file_id, ts, thread_ts),
    )


async def store_texts(
    session: AsyncSession,
    texts: Sequence[str],
    *,
    channel_id: str = "C1",
    filename: str = "handbook.pdf",
    vectors: Sequence[Vector] | None = None,
    team_id: str = TEAM,
    ts: str | None = None,
) -> UUID:
    """Share, store and count a document of these chunks; return its id."""
    user = await record_user(session, team_id=team_id)
    data = "\n".join([filename, *texts]).encode("utf-8", "replace")
    recorded = await share_bytes(
        session, data, user=user, filename=filename, channel_id=channel_id, team_id=team_id, ts=ts
    )
    chunks = indexed(texts, vectors=vectors)
    dimensions = len(chunks[0].embedding) if chunks else DIMENSIONS
    model = await ChannelRepository(session).record_embedding_model(team_id, MODEL, dimensions)
    await ReadingRepository(session).hold(team_id, recorded.id)
    await PassageRepository(session).store(team_id, recorded.id, model, chunks)
    count = len(chunks)
    await ReadingRepository(session).move(
        team_id, recorded.id, stored=count, total=count, mark="test", file_type="application/pdf"
    )
    await StatisticsRepository(session).add(team_id, chunks)
    return recorded.id


async def overlap(
    sessions: Sessions, first: Callable[[AsyncSession], Awaitable[A]], second: Callable[[AsyncSession], Awaitable[B]]
) -> tuple[A, B]:
    """Run `second` in a transaction of its own while `first` is done but not committed."""

    async def in_its_own() -> B:
        async with sessions.tenant(TEAM) as session:
            return await second(session)

    async with sessions.tenant(TEAM) as session:
        done = await first(session)
        task = asyncio.create_task(in_its_own())
        await asyncio.wait([task], timeout=0.15)
    return done, await task


@contextmanager
def counted_statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """Collect the statements sent meanwhile, but for the tenant scope's."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "enter_workspace(" not in statement:
            statements.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def exhaust(sessions: Sessions, bucket: str, *, team_id: str = TEAM) -> None:
    """Let so much be taken from a bucket that an hour brings nothing back that could be taken."""
    statement = """
        INSERT INTO rate_buckets (team_id, name, full_at) VALUES (:team, :name, now() + interval '2 hours')
        ON CONFLICT (team_id, name) DO UPDATE SET full_at = excluded.full_at
    """
    async with sessions.tenant(team_id) as session:
        await session.execute(sql(statement), {"team": team_id, "name": bucket})
