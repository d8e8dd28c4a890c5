"""From bytes to passages: parse, chunk, embed, store; every file ends ready, or in error with a reason."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from bot.db.engine import Sessions
from bot.errors import ModelUnavailable, UnreadableFile
from bot.llm import Embedder
from bot.parsing.sandbox import parse_in_sandbox
from bot.repositories.channels import ChannelRepository
from bot.repositories.conversations import ConversationRepository
from bot.repositories.documents import DocumentRepository, RecordedDocument
from bot.repositories.passages import PassageRepository
from bot.repositories.statistics import StatisticsRepository
from bot.text.chunk import chunk
from bot.text.lexical import document_weights
from bot.values import Chunk, DocumentStatus, IndexedChunk, IngestOutcome, ModelId, ParsedDocument, Share

log = structlog.get_logger()

EMBED_BATCH = 64
"""Chunks embedded between two reports of progress."""

_OTHER_MODEL = "This workspace's documents are embedded with another model by now. Please restart me, so that I use it."

Progress = Callable[[int, int], None]
"""Told (chunks embedded, chunks in all)."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file at hand: its bytes, and where and by whom it was shared."""

    team_id: str
    filename: str
    data: bytes
    share: Share


class IngestService:
    """Reads files into memory."""

    def __init__(self, sessions: Sessions, embedder: Embedder, *, max_file_bytes: int) -> None:
        self._sessions = sessions
        self._embedder = embedder
        self._max_file_bytes = max_file_bytes

    async def ingest(self, upload: Upload, *, progress: Progress | None = None) -> IngestOutcome:
        """Read one file; the outcome says whether it is ready, or why not. The same bytes are read once a workspace.

        Raises ModelUnavailable and DatabaseUnavailable: the document then stays `processing`, and ingesting the
        same bytes again takes it up.
        """
        if len(upload.data) > self._max_file_bytes:
            return await self.reject(upload, too_large(self._max_file_bytes))
        recorded = await self._record(upload)
        if recorded.status == DocumentStatus.READY:
            return _outcome(upload, recorded.id, DocumentStatus.READY, already_known=True, version=recorded.version)
        try:
            parsed = await parse_in_sandbox(upload.data, upload.filename)
        except UnreadableFile as error:
            log.info("document.rejected", document_id=str(recorded.id), reason=str(error))
            await self._settle(upload.team_id, recorded.id, DocumentStatus.ERROR, reason=error.user_message)
            return _outcome(upload, recorded.id, DocumentStatus.ERROR, error=error.user_message)
        count = await self._store(upload, recorded.id, parsed, progress or (lambda _done, _all: None))
        await self._replace_former(upload, recorded.id)
        log.info("document.ingested", document_id=str(recorded.id), chunks=count, pages=len(parsed.pages))
        return _outcome(
            upload,
            recorded.id,
            DocumentStatus.READY,
            chunk_count=count,
            page_count=len(parsed.pages),
            version=recorded.version,
        )

    async def reject(self, upload: Upload, reason: str) -> IngestOutcome:
        """Record a file whose bytes are not read at all, with the reason a person will see."""
        async with self._sessions.tenant(upload.team_id) as session:
            document_id = await DocumentRepository(session).record_rejected(
                upload.team_id,
                filename=upload.filename,
                size=len(upload.data),
                uploader_id=upload.share.shared_by,
                share=upload.share,
                reason=reason,
                conversation_id=await _conversation_of(ConversationRepository(session), upload),
            )
        return _outcome(upload, document_id, DocumentStatus.ERROR, error=reason)

    async def _record(self, upload: Upload) -> RecordedDocument:
        digest = await asyncio.to_thread(lambda: hashlib.sha256(upload.data).digest())
        async with self._sessions.tenant(upload.team_id) as session:
            documents = DocumentRepository(session)
            recorded = await documents.record_document(
                upload.team_id,
                sha256=digest,
                filename=upload.filename,
                file_type=None,
                size=len(upload.data),
                uploader_id=upload.share.shared_by,
                share=upload.share,
                conversation_id=await _conversation_of(ConversationRepository(session), upload),
            )
            if recorded.status == DocumentStatus.ERROR:  # it is read once more: the old reason holds no longer
                await documents.set_status(upload.team_id, recorded.id, DocumentStatus.PROCESSING)
        return recorded

    async def _store(self, upload: Upload, document_id: UUID, parsed: ParsedDocument, progress: Progress) -> int:
        """Chunk, embed and store in one transaction; return the number of chunks."""
        chunks = await asyncio.to_thread(
            chunk, parsed, count_tokens=self._embedder.count_tokens, max_tokens=self._embedder.max_tokens
        )
        indexed: list[IndexedChunk] = []
        for start in range(0, len(chunks), EMBED_BATCH):
            indexed += await self._index(chunks[start : start + EMBED_BATCH])
            progress(len(indexed), len(chunks))
        model_id = await self._model_id(upload.team_id)
        async with self._sessions.tenant(upload.team_id) as session:
            await PassageRepository(session).store(
                upload.team_id, document_id, model_id, indexed, language=parsed.language
            )
            await DocumentRepository(session).set_status(
                upload.team_id, document_id, DocumentStatus.READY, file_type=parsed.file_type
            )
            await StatisticsRepository(session).add(upload.team_id, indexed)
        return len(indexed)

    async def _replace_former(self, upload: Upload, document_id: UUID) -> None:
        """Let a new version take its former one's place, in a transaction of its own: each counts terms, in their order."""
        async with self._sessions.tenant(upload.team_id) as session:
            await DocumentRepository(session).replace_former(
                upload.team_id, document_id, filename=upload.filename, share=upload.share
            )

    async def _index(self, chunks: list[Chunk]) -> list[IndexedChunk]:
        texts = [piece.text for piece in chunks]
        vectors = await self._embedder.embed(texts)
        weights = await asyncio.to_thread(lambda: [document_weights(text) for text in texts])
        return [IndexedChunk(*row) for row in zip(chunks, vectors, weights, strict=True)]

    async def _model_id(self, team_id: str) -> ModelId:
        """Return the workspace's model, which ours becomes when it has none. Raises ModelUnavailable for another."""
        async with self._sessions.tenant(team_id) as session:
            channels = ChannelRepository(session)
            model_id = await channels.record_embedding_model(team_id, self._embedder.name, self._embedder.dimensions)
            active = await channels.get_active_model(team_id)
        if active is None or active.model_id != model_id:  # chosen by another process since ours began
            raise ModelUnavailable(f"{self._embedder.name} isn't the workspace's model", user_message=_OTHER_MODEL)
        return model_id

    async def _settle(self, team_id: str, document_id: UUID, status: DocumentStatus, *, reason: str) -> None:
        async with self._sessions.tenant(team_id) as session:
            await DocumentRepository(session).set_status(team_id, document_id, status, reason=reason)


async def _conversation_of(conversations: ConversationRepository, upload: Upload) -> UUID | None:
    """Return the conversation of the thread the file was shared in, made when it isn't there; None outside Slack."""
    if upload.share.thread_ts is None:
        return None
    return await conversations.record_thread_root(
        upload.team_id, upload.share.channel_id, upload.share.thread_ts, started_by=upload.share.shared_by
    )


def too_large(limit_bytes: int) -> str:
    """Return the sentence for a file over the limit."""
    return f"The file is larger than {limit_bytes // 2**20} MB, the most I read."


def _outcome(
    upload: Upload, document_id: UUID, status: DocumentStatus, *, error: str | None = None, **counts: int
) -> IngestOutcome:
    already_known = bool(counts.pop("already_known", False))
    return IngestOutcome(document_id, upload.filename, status, error=error, already_known=already_known, **counts)
