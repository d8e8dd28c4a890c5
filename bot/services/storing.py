"""The chunks of one document, embedded and stored batch by batch, so that whoever comes after a crash goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

import structlog

from bot.db.engine import Sessions
from bot.errors import ModelUnavailable, ServiceUnavailable
from bot.llm import Embedder
from bot.repositories.channels import ChannelRepository
from bot.repositories.passages import PassageRepository
from bot.repositories.readings import ReadingRepository
from bot.repositories.statistics import StatisticsRepository
from bot.services.ports import Claim
from bot.text.chunk import chunk
from bot.text.headings import headed
from bot.text.languages import language_of
from bot.text.lexical import LEXICAL_VERSION, document_weights
from bot.values import Chunk, DocumentStatus, IndexedChunk, ModelId, ParsedDocument

log = structlog.get_logger()

BATCH = 256
"""Chunks in one transaction: some 3 MB with their vectors, and two or three seconds of the local model's work."""

FOLLOW_S = 30.0
"""How long another who reads the same bytes may take over a batch before we think them dead."""

_FOLLOW_POLL_S = 0.5
_OTHER_MODEL = "This workspace's documents are embedded with another model by now. Please restart me, so that I use it."

Progress = Callable[[int, int], None]
"""Told (chunks stored, chunks in all)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A document's chunks as they are to be stored; `mark` is the same for the same chunks by the same model."""

    document_id: UUID
    chunks: Sequence[Chunk]
    mark: str
    file_type: str
    language: str
    claim: Claim
    progress: Progress

    @property
    def total(self) -> int:
        """How many chunks there are."""
        return len(self.chunks)


class Storing:
    """Stores what was read. Everything is safe to repeat, and to be done by two at once: there is one set of chunks."""

    def __init__(
        self, sessions: Sessions, embedder: Embedder, *, batch: int = BATCH, follow_s: float = FOLLOW_S
    ) -> None:
        self._sessions = sessions
        self._embedder = embedder
        self._batch = batch
        self._follow_s = follow_s

    async def cut(self, document_id: UUID, parsed: ParsedDocument, *, claim: Claim, progress: Progress) -> Cut:
        """Return the chunks of a document; the same document always gives the same."""

        def work() -> tuple[list[Chunk], str, str]:
            chunks = chunk(parsed, count_tokens=self._embedder.count_tokens, max_tokens=self._embedder.max_tokens)
            return chunks, _mark_of(chunks, self._embedder), language_of(parsed.text)

        chunks, mark, language = await asyncio.to_thread(work)
        return Cut(document_id, chunks, mark, parsed.file_type, language, claim, progress)

    async def store(self, team_id: str, cut: Cut, *, stored: int) -> None:
        """Store what isn't stored yet; the last batch makes the document ready. `stored` is what a former attempt left.

        Raises ModelUnavailable, DatabaseUnavailable (what is stored stays, and the next attempt goes on from there),
        NotFound when the document was deleted meanwhile, and Superseded.
        """
        place: int | None = 0
        if stored or cut.total > self._batch:
            place = await self._begin(team_id, cut)
            cut.progress(cut.total if place is None else place, cut.total)
        while place is not None:
            place = await self._advance(team_id, cut, place)

    async def _begin(self, team_id: str, cut: Cut) -> int | None:
        """Return how many of these chunks are stored already; others are deleted. None: the document is ready."""
        async with self._sessions.tenant(team_id) as session:
            await cut.claim.hold(session)
            readings = ReadingRepository(session)
            held = await readings.hold(team_id, cut.document_id)
            if held.status is DocumentStatus.READY:
                return None
            if held.mark == cut.mark:
                log.info("document.resumed", document_id=str(cut.document_id), stored=held.stored, total=cut.total)
                return held.stored
            if held.stored:
                await self._model_id(
                    ChannelRepository(session), team_id
                )  # with the wrong model, leave what others stored
                await PassageRepository(session).delete(team_id, cut.document_id)
            await readings.begin(team_id, cut.document_id, total=cut.total, mark=cut.mark)
        return 0

    async def _advance(self, team_id: str, cut: Cut, place: int) -> int | None:
        """Embed and store the batch that begins at `place`; return where to go on, None when the document is ready."""
        batch = await self._index(cut.chunks[place : place + self._batch], cut.language)
        stored = place + len(batch)
        async with self._sessions.tenant(team_id) as session:
            await cut.claim.hold(session)
            readings = ReadingRepository(session)
            held = await readings.hold(team_id, cut.document_id)
            if held.status is DocumentStatus.READY:
                return None
            if held.mark not in {None, cut.mark}:
                raise ServiceUnavailable(f"document {cut.document_id} is being read in another way", retry_after_s=30)
            if is_next := held.stored == place:
                model_id = await self._model_id(ChannelRepository(session), team_id)
                await PassageRepository(session).store(team_id, cut.document_id, model_id, batch, language=cut.language)
                await readings.move(
                    team_id, cut.document_id, stored=stored, total=cut.total, mark=cut.mark, file_type=cut.file_type
                )
                await StatisticsRepository(session).add(team_id, batch)
        if not is_next:
            return await self._follow(team_id, cut, place)
        cut.progress(stored, cut.total)
        return stored if stored < cut.total else None

    async def _follow(self, team_id: str, cut: Cut, place: int) -> int | None:
        """Let the other who reads the same bytes go ahead; return where to go on should they stop, None when it is ready."""
        seen = time.monotonic()
        while time.monotonic() - seen < self._follow_s:
            async with self._sessions.tenant(team_id) as session:
                reading = await ReadingRepository(session).get(team_id, cut.document_id)
            if reading.status is DocumentStatus.READY:
                return None
            if reading.stored != place:
                place, seen = reading.stored, time.monotonic()
                cut.progress(place, cut.total)
            await asyncio.sleep(_FOLLOW_POLL_S)
        return place

    async def _index(self, chunks: Sequence[Chunk], language: str) -> list[IndexedChunk]:
        vectors = await self._embedder.embed([headed(piece.text, piece.heading) for piece in chunks])
        weights = await asyncio.to_thread(
            lambda: [document_weights(piece.text, language, heading=piece.heading) for piece in chunks]
        )
        return [IndexedChunk(*row) for row in zip(chunks, vectors, weights, strict=True)]

    async def _model_id(self, channels: ChannelRepository, team_id: str) -> ModelId:
        """Return the workspace's model, which ours becomes when it has none. Raises ModelUnavailable for another."""
        model_id = await channels.record_embedding_model(team_id, self._embedder.name, self._embedder.dimensions)
        active = await channels.get_active_model(team_id)
        if active is None or active.model_id != model_id:  # chosen by another process since ours began
            raise ModelUnavailable(f"{self._embedder.name} isn't the workspace's model", user_message=_OTHER_MODEL)
        return model_id


def _mark_of(chunks: Sequence[Chunk], embedder: Embedder) -> str:
    digest = blake2b(f"{embedder.name} {embedder.dimensions} {LEXICAL_VERSION}".encode(), digest_size=16)
    for piece in chunks:
        digest.update(f"\0{piece.char_start} {piece.char_end} {piece.page}\0{piece.heading}\0".encode())
        digest.update(piece.text.encode())
    return digest.hexdigest()
