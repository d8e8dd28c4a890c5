"""What people do with documents: share, list, look at, delete, try again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from bot.db.engine import Session, Sessions
from bot.db.models import Document, User
from bot.errors import Forbidden, InvalidRequest, NotFound, UnreadableFile
from bot.repositories.audit import AuditRepository
from bot.repositories.channels import ChannelRepository
from bot.repositories.documents import DocumentRepository
from bot.repositories.naming import name_of, shown_of
from bot.repositories.tombstones import TombstoneRepository
from bot.repositories.users import UserRepository
from bot.repositories.work import WorkRepository
from bot.services.audience import AudienceService
from bot.services.errands import reread_errand, retract_errands
from bot.services.ingest import IngestService, Upload
from bot.services.ports import Claim, Enqueue, FileSource, Unclaimed
from bot.services.storing import Progress
from bot.values import (
    BOT,
    SLACK,
    Audience,
    AuditEntry,
    Deed,
    DocumentStatus,
    IngestOutcome,
    Share,
    SharedFile,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document as a person sees it: its name, who shared it and when are told by one share that they know of.

    `share_id` is that share.
    """

    id: UUID
    share_id: UUID
    filename: str
    status: DocumentStatus
    error: str | None
    file_type: str | None
    size_bytes: int
    version: int
    shared_at: datetime
    uploader: str | None
    channel_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page of a list, newest first; the share `after` continues it, None at its end."""

    documents: tuple[DocumentView, ...]
    after: UUID | None


class DocumentService:
    """Keeps what a team shares."""

    def __init__(
        self,
        sessions: Sessions,
        ingest: IngestService,
        audiences: AudienceService,
        files: FileSource,
        enqueue: Enqueue,
        *,
        max_file_bytes: int,
    ) -> None:
        self._sessions = sessions
        self._ingest = ingest
        self._audiences = audiences
        self._files = files
        self._enqueue = enqueue
        self._max_file_bytes = max_file_bytes

    async def ingest_shared(self, file: SharedFile, *, claim: Claim) -> IngestOutcome | None:
        """Read a file shared in Slack; None when it was deleted meanwhile.

        Raises Superseded when the claim is lost, and ServiceUnavailable when Slack, the model or the database doesn't answer: try again later.
        """
        person = await self._audiences.person(file.team_id, file.user_id)
        await self._audiences.refresh(file.team_id, [file.channel_id])
        async with self._sessions.tenant(file.team_id) as session:
            if await TombstoneRepository(session).is_gone(file.team_id, "file", file.file_id):
                return None
            uploader_id = await UserRepository(session).record_person(file.team_id, person)
        share = Share(file.channel_id, uploader_id, file.file_id, file.message_ts, file.thread_ts)
        try:
            data = await self._files.fetch(file, max_bytes=self._max_file_bytes)
        except UnreadableFile as error:
            log.info("document.rejected", file_id=file.file_id, reason=str(error))
            return await self._ingest.reject(
                Upload(file.team_id, file.filename, b"", share), error.user_message, claim=claim
            )
        return await self._ingest.ingest(Upload(file.team_id, file.filename, data, share), claim=claim)

    async def ingest_upload(
        self,
        team_id: str,
        user_id: UUID,
        filename: str,
        data: bytes,
        *,
        channel_id: str | None = None,
        by: str | None = None,
        progress: Progress | None = None,
    ) -> IngestOutcome:
        """Read a file that came past Slack into a channel, or else into its owner's personal place.

        `by`: who stands for it in the audit log; none: its owner.
        """
        async with self._sessions.tenant(team_id) as session:
            channels = ChannelRepository(session)
            if channel_id is None:
                channel_id = await channels.record_personal(team_id, user_id)
            elif await channels.get(team_id, channel_id) is None:
                raise NotFound(channel_id, user_message=f"I don't know a channel {channel_id}.")
        upload = Upload(team_id, filename, data, Share(channel_id, user_id), by=by or f"user:{user_id}")
        return await self._ingest.ingest(upload, claim=Unclaimed(), progress=progress)

    async def list_page(
        self, audience: Audience, *, status: DocumentStatus | None = None, after: UUID | None = None, limit: int = 10
    ) -> DocumentPage:
        """Return the documents that may be seen here, newest first."""
        async with self._sessions.reading(audience) as session:
            rows = await DocumentRepository(session).list_recent(
                audience.team_id, audience=audience, status=status, after=after, limit=limit + 1
            )
        views = tuple(_view(row) for row in rows[:limit])
        return DocumentPage(views, after=views[-1].share_id if len(rows) > limit else None)

    async def get(self, audience: Audience, document_id: UUID) -> DocumentView:
        """Return one document. Raises NotFound when it isn't there for this audience."""
        return _view(await self._visible(audience, document_id))

    async def delete(
        self, audience: Audience, document_id: UUID, *, user_id: UUID, is_admin: bool, by: str | None = None
    ) -> str:
        """Delete a document: what the asker shared of it, wherever, or all of it for an admin; return its name.

        Where others shared the same bytes, they stay shared, and whoever deleted theirs isn't told of it. `by`: who stands
        for it in the audit log; none: the user. Raises NotFound when the asker can't see it, Forbidden when they didn't
        share it: the attempt is in the audit log then.
        """
        document = await self._visible(audience, document_id)
        async with self._sessions.tenant(audience.team_id) as session:
            owner_id = None if is_admin else user_id
            is_done = await self._take_away(session, audience.team_id, document_id, owner_id=owner_id)
            if not is_done and (is_admin or any(share.shared_by == user_id for share in document.shares)):
                raise _unknown(document_id)  # somebody else was a moment earlier
            deed = Deed.DOCUMENT_DELETED if is_done else Deed.DOCUMENT_DELETION_REFUSED
            entry = _about(document, deed, by=by or f"user:{user_id}", details={"is_admin": is_admin})
            await AuditRepository(session).record(audience.team_id, entry)
        if not is_done:
            message = "Only the person who shared a document, or an admin, can delete it."
            raise Forbidden("not theirs", user_message=message)
        log.info("document.deleted", document_id=str(document_id))
        return _view(document).filename

    async def retry(self, audience: Audience, document_id: UUID, *, by: str = BOT) -> str:
        """Read a document in error once more, later; return its filename."""
        document = await self._visible(audience, document_id)
        name = _view(document).filename
        if document.status == DocumentStatus.READY:
            raise InvalidRequest("ready", user_message=f"{name} is read already.")
        share = next((s for s in document.shares if s.file_id and s.channel_id in audience.channel_ids), None)
        if share is None:
            message = f"I don't keep files: please upload {name} again."
            raise InvalidRequest("no Slack file", user_message=message)
        errand = reread_errand(
            audience.team_id,
            share.file_id or "",
            channel_id=share.channel_id,
            message_ts=share.message_ts or "",
            thread_ts=share.thread_ts or "",
        )
        async with self._sessions.tenant(audience.team_id) as session:
            await self._enqueue(session, errand)
            entry = _about(document, Deed.DOCUMENT_RETRIED, by=by, details={"file_id": share.file_id})
            await AuditRepository(session).record(audience.team_id, entry)
        return name

    async def give_up(self, file: SharedFile, reason: str, *, claim: Claim) -> None:
        """Record that a file can't be read, with the reason a person will see."""
        person = await self._audiences.person(file.team_id, file.user_id)
        async with self._sessions.tenant(file.team_id) as session:
            uploader_id = await UserRepository(session).record_person(file.team_id, person)
        share = Share(file.channel_id, uploader_id, file.file_id, file.message_ts, file.thread_ts)
        await self._ingest.reject(Upload(file.team_id, file.filename, b"", share), reason, claim=claim)

    async def forget_file(self, team_id: str, file_id: str) -> int:
        """Take a deleted Slack file's shares away, and with the last share the document; return how many went."""
        async with self._sessions.tenant(team_id) as session:
            document_ids = await DocumentRepository(session).delete_shares_of_file(team_id, file_id)
            await self._retract(session, team_id, document_ids)
            if document_ids:
                entry = AuditEntry(SLACK, Deed.FILE_DELETED, f"file:{file_id}", {"shares": len(document_ids)})
                await AuditRepository(session).record(team_id, entry)
        log.info("file.forgotten", file_id=file_id, documents=len(document_ids))
        return len(document_ids)

    async def viewer(self, team_id: str, slack_user_id: str) -> User:
        """Return the asker's own row, made when it isn't there."""
        person = await self._audiences.asker(team_id, slack_user_id)
        async with self._sessions.tenant(team_id) as session:
            users = UserRepository(session)
            await users.record_person(team_id, person)
            user = await users.get_by(team_id, slack_user_id=slack_user_id)
        if user is None:
            raise NotFound(slack_user_id)
        return user

    async def _take_away(self, session: Session, team_id: str, document_id: UUID, *, owner_id: UUID | None) -> bool:
        """Delete what `owner_id` shared of a document, None: all of it; tell whether there was anything."""
        documents = DocumentRepository(session)
        await WorkRepository(session).stop_readings(team_id, document_id, user_id=owner_id)
        if owner_id is None:
            count = await documents.delete(team_id, document_id)
        else:
            count = await documents.delete_shares_by(team_id, document_id, owner_id)
        if count:
            await self._retract(session, team_id, [document_id])
        return count > 0

    async def _retract(self, session: Session, team_id: str, document_ids: Sequence[UUID]) -> None:
        for errand in retract_errands(team_id, document_ids):
            await self._enqueue(session, errand)

    async def _visible(self, audience: Audience, document_id: UUID) -> Document:
        async with self._sessions.reading(audience) as session:
            document = await DocumentRepository(session).get_for(audience.team_id, document_id, audience)
        if document is None:
            raise _unknown(document_id)
        return document


def _unknown(document_id: UUID) -> NotFound:
    return NotFound(str(document_id), user_message="I don't know that document, or you can't see it here.")


def _about(document: Document, deed: Deed, *, by: str, details: dict[str, str | int | None]) -> AuditEntry:
    return AuditEntry(by, deed, f"document:{document.id}", details)


def _view(row: Document) -> DocumentView:
    share = shown_of(row.shares)
    return DocumentView(
        id=row.id,
        share_id=share.id,
        filename=name_of(row, share),
        status=DocumentStatus(row.status),
        error=row.error,
        file_type=row.file_type,
        size_bytes=row.file_size,
        version=row.version,
        shared_at=share.created_at,
        uploader=share.sharer.name if share.sharer else None,
        channel_ids=tuple(share.channel_id for share in row.shares),
    )
