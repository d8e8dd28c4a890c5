"""Made-up documents that weigh what real ones weigh: some 900 characters and 47 terms a chunk, 384 dimensions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

import numpy as np

from benchmarks.place import TEAM, Place
from bot.repositories.channels import ChannelRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.passages import PassageRepository
from bot.repositories.readings import ReadingRepository
from bot.repositories.statistics import StatisticsRepository
from bot.repositories.users import UserRepository
from bot.text.lexical import document_weights
from bot.values import Chunk, IndexedChunk, ModelId, Person, Share, Vector, new_id

DIMENSIONS = 384
MODEL = "bench-model"
CHARACTERS = 900
TOPICS = 400


class Maker:
    """Makes chunks; the same seed makes the same."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
        picks = self._random.integers(0, len(syllables), size=(20_000, 4))
        lengths = self._random.integers(2, 5, size=20_000)
        self._words = ["".join(syllables[i] for i in row[:n]) for row, n in zip(picks, lengths, strict=True)]
        shares = 1 / np.arange(1, 20_001) ** 1.35  # so steep that a chunk holds 47 terms, as real text does
        self._shares = shares / shares.sum()
        self._topics = self._random.normal(size=(TOPICS, DIMENSIONS)) + self._random.normal(size=DIMENSIONS)

    def chunks(self, count: int) -> list[IndexedChunk]:
        """Return a document's chunks, both vectors at hand."""
        topic = self._topics[self._random.integers(TOPICS)]
        made, start = [], 0
        for index in range(count):
            text = self.text()
            chunk = Chunk(index, text, start, start + len(text), 210, page=index // 3 + 1, heading="Tides and weather")
            made.append(IndexedChunk(chunk, self._near(topic), document_weights(text)))
            start += len(text) + 1
        return made

    def text(self) -> str:
        """Return some 900 characters of words as unevenly used as real ones."""
        picks = self._random.choice(len(self._words), size=160, p=self._shares)
        return " ".join(self._words[i] for i in picks)[:CHARACTERS]

    def vector(self) -> Vector:
        """Return the vector of a question about one of the topics."""
        return self._near(self._topics[self._random.integers(TOPICS)])

    def _near(self, topic: Vector) -> Vector:
        vector = topic + self._random.normal(size=DIMENSIONS)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


async def prepare_team(place: Place) -> tuple[UUID, ModelId]:
    """Record a workspace, a person and the embedding model; return the person's and the model's ids."""
    async with place.sessions.tenant(TEAM) as session:
        await ChannelRepository(session).record_workspace(TEAM, name="Bench")
        user_id = await UserRepository(session).record_person(TEAM, Person("U1", "Ada"))
        model_id = await ChannelRepository(session).record_embedding_model(TEAM, MODEL, DIMENSIONS)
    return user_id, model_id


async def record_document(place: Place, user_id: UUID, *, channel_id: str = "C1") -> UUID:
    """Share a document nobody has read yet; return its id."""
    mark = new_id()
    async with place.sessions.tenant(TEAM) as session:
        recorded = await DocumentRepository(session).record_document(
            TEAM,
            sha256=hashlib.sha256(mark.bytes).digest(),
            filename=f"{mark}.pdf",
            file_type="application/pdf",
            size=2**20,
            uploader_id=user_id,
            share=Share(channel_id, user_id),
        )
    return recorded.id


async def store(place: Place, document_id: UUID, model_id: ModelId, chunks: Sequence[IndexedChunk]) -> None:
    """Store a document as ingestion does, but for counting its terms."""
    async with place.sessions.tenant(TEAM) as session:
        readings = ReadingRepository(session)
        await readings.hold(TEAM, document_id)
        await PassageRepository(session).store(TEAM, document_id, model_id, chunks)
        count = len(chunks)
        await readings.move(TEAM, document_id, stored=count, total=count, mark="made up", file_type="application/pdf")


async def count_terms(place: Place, chunks: Sequence[IndexedChunk]) -> None:
    """Do what ingestion does last."""
    async with place.sessions.tenant(TEAM) as session:
        await StatisticsRepository(session).add(TEAM, chunks)
