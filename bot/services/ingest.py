"""From bytes to passages: parse, chunk, embed, store; every file ends ready, or in error with a reason."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from uuid import UUID

import structlog

from bot.db.engine import Session, Sessions
from bot.errors import UnreadableFile
from bot.llm import Embedder
from bot.parsing.sandbox import parse_in_sandbox
from bot.repositories.audit import AuditRepository
from bot.repositories.conversations import ConversationRepository
from bot.repositories.documents import DocumentRepository, RecordedDocument
from bot.repositories.passages import PassageRepository
from bot.repositories.readings import ReadingRepository
from bot.services.ports import Claim
from bot.services.storing import BATCH, FOLLOW_S, Progress, Storing
from bot.values import AuditEntry, Deed, DocumentStatus, IngestOutcome, Share

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Upload:
    """A file at hand: its bytes, and where and by whom it was shared.

    `by` is who stands in the audit log for what came past Slack; None for what Slack itself tells of.
    """

    team_id: str
    filename: str
    data: bytes
    share: Share
    by: str | None = None


class IngestService:
    """Reads files into memory."""

    def __init__(
        self,
        sessions: Sessions,
        embedder: Embedder,
        *,
        max_file_bytes: int,
        batch: int = BATCH,
        follow_s: float = FOLLOW_S,
    ) -> None:
        self._sessions = sessions
        self._storing = Storing(sessions, embedder, batch=batch, follow_s=follow_s)
        self._max_file_bytes = max_file_bytes

    async def ingest(self, upload: Upload, *, claim: Claim, progress: Progress | None = None) -> IngestOutcome:
        """Read one file; the outcome says whether it is ready, or why not. The same bytes are read once a workspace.

        Raises ModelUnavailable and DatabaseUnavailable: the document then stays `processing`, and ingesting the
        same bytes again goes on after the last batch stored. Raises Superseded when the claim is lost.
        """
        if len(upload.data) > self._max_file_bytes:
            return await self.reject(upload, too_large(self._max_file_bytes), claim=claim)
        recorded = await self._record(upload, claim)
        if recorded.status == DocumentStatus.READY:
            return _outcome(upload, recorded.id, DocumentStatus.READY, already_known=True, version=recorded.version)
        try:
            parsed = await parse_in_sandbox(upload.data, upload.filename)
        except UnreadableFile as error:
            log.info("document.rejected", document_id=str(recorded.id), reason=str(error))
            return await self._fail(upload, recorded, error.user_message, claim)
        cut = await self._storing.cut(
            recorded.id, parsed, claim=claim, progress=progress or (lambda _stored, _all: None)
        )
        await self._storing.store(upload.team_id, cut, stored=recorded.stored)
        await self._finish(upload, recorded.id, claim)
        log.info("document.ingested", document_id=str(recorded.id), chunks=cut.total, pages=len(parsed.pages))
        return _outcome(
            upload,
            recorded.id,
            DocumentStatus.READY,
            chunk_count=cut.total,
            page_count=len(parsed.pages),
            version=recorded.version,
        )

    async def reject(self, upload: Upload, reason: str, *, claim: Claim) -> IngestOutcome:
        """Record a file whose bytes are not read at all, with the reason a person will see."""
        async with self._sessions.tenant(upload.team_id) as session:
            await claim.finish(session)
            document_id = await DocumentRepository(session).record_rejected(
                upload.team_id,
                filename=upload.filename,
                size=len(upload.data),
                uploader_id=upload.share.shared_by,
                share=upload.share,
                reason=reason,
                conversation_id=await _conversation_of(ConversationRepository(session), upload),
            )
            await _note(session, upload, document_id)
        return _outcome(upload, document_id, DocumentStatus.ERROR, error=reason)

    async def _record(self, upload: Upload, claim: Claim) -> RecordedDocument:
        digest = await asyncio.to_thread(lambda: hashlib.sha256(upload.data).digest())
        async with self._sessions.tenant(upload.team_id) as session:
            await claim.hold(session)
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
            await _note(session, upload, recorded.id)
        return recorded

    async def _fail(self, upload: Upload, recorded: RecordedDocument, reason: str, claim: Claim) -> IngestOutcome:
        """Record why the file can't be read, unless somebody else has just read the same bytes."""
        async with self._sessions.tenant(upload.team_id) as session:
            await claim.finish(session)
            readings = ReadingRepository(session)
            held = await readings.hold(upload.team_id, recorded.id)
            if held.status is DocumentStatus.READY:
                await _replace_former(DocumentRepository(session), upload, recorded.id)
                return _outcome(upload, recorded.id, DocumentStatus.READY, already_known=True, version=recorded.version)
            if held.stored:
                await PassageRepository(session).delete(upload.team_id, recorded.id)
            await readings.fail(upload.team_id, recorded.id, reason=reason)
        return _outcome(upload, recorded.id, DocumentStatus.ERROR, error=reason)

    async def _finish(self, upload: Upload, document_id: UUID, claim: Claim) -> None:
        """Let a new version take its former one's place, in a transaction of its own: each counts terms, in their order."""
        async with self._sessions.tenant(upload.team_id) as session:
            await claim.finish(session)
            await _replace_former(DocumentRepository(session), upload, document_id)


async def _note(session: Session, upload: Upload, document_id: UUID) -> None:
    """Tell the audit log of a file that came past Slack; of the others their shares tell."""
    if upload.by is not None:
        details: dict[str, str | int] = {"channel_id": upload.share.channel_id, "size_bytes": len(upload.data)}
        entry = AuditEntry(upload.by, Deed.DOCUMENT_UPLOADED, f"document:{document_id}", details)
        await AuditRepository(session).record(upload.team_id, entry)


async def _replace_former(documents: DocumentRepository, upload: Upload, document_id: UUID) -> None:
    await documents.replace_former(upload.team_id, document_id, filename=upload.filename, share=upload.share)


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
