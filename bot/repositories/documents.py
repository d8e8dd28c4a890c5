"""Documents: the files people shared, from their first bytes to their last share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Subquery, Text, any_, func, literal, select, text, true, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from bot.db.models import Document, DocumentShare
from bot.errors import NotFound
from bot.repositories import shares, versions
from bot.repositories.statistics import subtract_statistics
from bot.repositories.tombstones import ChannelTombstones, MessageTombstones, TombstoneRepository
from bot.repositories.versions import RecordedDocument
from bot.text.clean import clean, clean_or_none, clean_tree
from bot.values import Audience, DocumentStatus, Share

__all__ = ["DocumentChanges", "DocumentRepository", "RecordedDocument"]

FILE = "file"
"""The kind of tombstone that a deleted Slack file leaves."""


class DocumentChanges(TypedDict, total=False):
    """Fields of a document that may be changed."""

    file_type: str | None
    details: dict[str, Any]


class DocumentRepository:
    """Keeps the documents of a workspace."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record_document(
        self,
        team_id: str,
        *,
        sha256: bytes,
        filename: str,
        file_type: str | None,
        size: int,
        uploader_id: UUID | None,
        share: Share,
        conversation_id: UUID | None = None,
    ) -> RecordedDocument:
        """Store that a file was shared. Bytes the workspace has already are the same document, with one more share.

        Other bytes under the same name by the same person in the same channel are its next version. A former one that
        can be read stays until this one can (`replace_former`). Raises NotFound when the file was deleted meanwhile; nothing is stored then.
        """
        await self._refuse_gone(team_id, share)
        values = {
            "team": team_id,
            "sha256": sha256,
            "filename": clean(filename),
            "file_type": clean_or_none(file_type),
            "size": size,
            "uploader": uploader_id,
        }
        document_id, created = await versions.get_or_insert(self._session, values)
        replaced, version = await versions.list_replaced(
            self._session, team_id, document_id, clean(filename), share, ready=False
        )
        recorded = await versions.raise_version(
            self._session, team_id, document_id, version=version + 1, created=created
        )
        await self._place(team_id, document_id, share, conversation_id, filename=clean(filename))
        await shares.delete_shares(self._session, team_id, replaced)
        if recorded.status is DocumentStatus.READY:
            await self.replace_former(team_id, document_id, filename=filename, share=share)
        return recorded

    async def replace_former(self, team_id: str, document_id: UUID, *, filename: str, share: Share) -> int:
        """Take the former versions of a document that is ready now out of its channel; return how many shares went."""
        replaced, _ = await versions.list_replaced(
            self._session, team_id, document_id, clean(filename), share, ready=True
        )
        await shares.delete_shares(self._session, team_id, replaced)
        return len(replaced)

    async def record_rejected(
        self,
        team_id: str,
        *,
        filename: str,
        size: int,
        uploader_id: UUID | None,
        share: Share,
        reason: str,
        conversation_id: UUID | None = None,
    ) -> UUID:
        """Store that a file was shared whose bytes can't be had, with the reason; return the document's id.

        What couldn't be read before it is replaced; what can be read stays. Raises NotFound when it was deleted.
        """
        await self._refuse_gone(team_id, share)
        document = Document(
            team_id=team_id,
            filename=clean(filename),
            file_size=size,
            uploader_id=uploader_id,
            status=DocumentStatus.ERROR,
            error=clean(reason),
        )
        self._session.add(document)
        await self._session.flush()
        replaced, _ = await versions.list_replaced(
            self._session, team_id, document.id, clean(filename), share, ready=False
        )
        await self._place(team_id, document.id, share, conversation_id, filename=document.filename)
        await shares.delete_shares(self._session, team_id, replaced)
        return document.id

    async def set_status(
        self,
        team_id: str,
        document_id: UUID,
        status: DocumentStatus,
        *,
        reason: str | None = None,
        file_type: str | None = None,
    ) -> bool:
        """Say where a document stands; `reason` is for people. False when it is gone."""
        values: dict[str, Any] = {"status": status, "error": clean_or_none(reason)}
        if file_type is not None:
            values["file_type"] = clean(file_type)
        return await self._update(team_id, [document_id], values) == 1

    async def get(self, team_id: str, document_id: UUID) -> Document | None:
        """Return one document with all its shares, whoever may read it: for jobs."""
        return await self._session.scalar(_documents(team_id, true()).where(Document.id == document_id))

    async def get_for(self, team_id: str, document_id: UUID, audience: Audience) -> Document | None:
        """Return one document with those of its shares that the audience knows, and who shared it there."""
        known = _known_to(audience)
        documents = _documents(team_id, known).where(Document.id == document_id, Document.shares.any(known))
        return await self._session.scalar(documents)

    async def list_recent(
        self,
        team_id: str,
        *,
        audience: Audience | None,
        uploader_id: UUID | None = None,
        status: DocumentStatus | None = None,
        after: UUID | None = None,
        limit: int = 20,
    ) -> list[Document]:
        """Return documents by the shares that tell of them, newest first, from the one after the share `after`.

        Each comes with the shares that its list is made of: those that the audience knows, and that `uploader_id` made.
        `audience` None: all of one person's own. Raises ValueError when neither narrows the list.
        """
        if audience is None and uploader_id is None:
            raise ValueError("a list of documents needs an audience or an uploader")
        known = true() if audience is None else _known_to(audience)
        if uploader_id is not None:
            known &= DocumentShare.shared_by == uploader_id
        shown = _shown(team_id, known)
        page = _documents(team_id, known).join(shown, shown.c.document_id == Document.id)
        if status is not None:
            page = page.where(Document.status == status)
        if after is not None:
            page = page.where(shown.c.id < after)
        return list(await self._session.scalars(page.order_by(shown.c.id.desc()).limit(limit)))

    async def update(self, team_id: str, document_id: UUID, **changes: Unpack[DocumentChanges]) -> bool:
        """Change one document; False when it is gone."""
        return await self._update(team_id, [document_id], clean_tree(dict(changes))) == 1

    async def update_many(self, team_id: str, document_ids: Sequence[UUID], **changes: Unpack[DocumentChanges]) -> int:
        """Change several documents alike, in one statement; return how many there were."""
        return await self._update(team_id, document_ids, clean_tree(dict(changes)))

    async def transfer(self, team_id: str, *, from_user_id: UUID, to_user_id: UUID) -> int:
        """Make one person's documents and shares another's; return how many documents changed hands.

        Raises NotFound when there is nobody to take them; all stays as it was then.
        """
        users = {"team": team_id, "giver": from_user_id, "taker": to_user_id}
        if await self._session.scalar(_LOCK_TAKER, users) is None:
            raise NotFound(f"no user {to_user_id}", user_message="I don't know the person who should take these over.")
        return len((await self._session.execute(_TRANSFER, users)).all())

    async def delete(self, team_id: str, document_id: UUID) -> int:
        """Delete a document everywhere, with its chunks, vectors and shares; return 0 or 1."""
        return await shares.delete_documents(self._session, team_id, [document_id])

    async def delete_shares_by(self, team_id: str, document_id: UUID, user_id: UUID) -> int:
        """Take away what one person shared of a document, and it with its last share; return how many shares went."""
        return await shares.delete_shares_by(self._session, team_id, user_id, document_id=document_id)

    async def delete_share(self, team_id: str, document_id: UUID, *, channel_id: str) -> int:
        """Take a document out of one channel, and away with its last share; return how many shares went."""
        return await shares.delete_shares_in(self._session, team_id, channel_id, document_id=document_id)

    async def delete_shares_in(self, team_id: str, channel_id: str) -> int:
        """Take every document out of a channel; return how many shares went."""
        return await shares.delete_shares_in(self._session, team_id, channel_id)

    async def delete_shares_of_file(self, team_id: str, file_id: str) -> list[UUID]:
        """Take back all that a deleted Slack file shared, for good; return the document of each share that went."""
        await TombstoneRepository(self._session).record(team_id, FILE, file_id)
        return await shares.delete_shares_of_file(self._session, team_id, file_id)

    async def is_file_known(self, team_id: str, file_id: str) -> bool:
        """Tell whether a file is read here, or about to be."""
        return bool(await self._session.scalar(_IS_FILE_KNOWN, {"team": team_id, "file": file_id}))

    async def delete_shares_of_message(self, team_id: str, channel_id: str, message_ts: str) -> list[UUID]:
        """Take back all that a deleted message shared; return the document of each share that went.

        Its tombstone comes first: then none is shared by it again.
        """
        return await shares.delete_shares_of_message(self._session, team_id, channel_id, message_ts)

    async def delete_old_chunks(self, team_id: str, *, before: datetime) -> int:
        """Delete the chunks stored before a moment; return how many went. Their documents stay."""
        parameters = {"team": team_id, "before": before}
        await subtract_statistics(self._session, f"e.chunk_id IN ({_OLD_CHUNKS})", parameters)
        statement = text(f"DELETE FROM document_chunks WHERE team_id = :team AND id IN ({_OLD_CHUNKS}) RETURNING id")
        return len((await self._session.execute(statement, parameters)).all())

    async def _place(
        self, team_id: str, document_id: UUID, share: Share, conversation_id: UUID | None, *, filename: str
    ) -> None:
        await shares.record_share(self._session, team_id, document_id, share, filename=filename)
        if conversation_id is not None:
            link = {"team": team_id, "document": document_id, "conversation": conversation_id}
            await self._session.execute(_LINK, link)

    async def _refuse_gone(self, team_id: str, share: Share) -> None:
        file_id = share.file_id
        if file_id is not None and await TombstoneRepository(self._session).is_gone(team_id, FILE, file_id):
            raise NotFound(f"file {file_id} was deleted", user_message="This file was deleted.")
        message = share.message_ts and f"{share.channel_id}:{share.message_ts}"
        if message and await MessageTombstones(self._session).is_gone(team_id, message):
            raise NotFound(f"message {message} was deleted", user_message="The message that shared it was deleted.")
        if await ChannelTombstones(self._session).is_gone(team_id, share.channel_id):
            raise NotFound(f"channel {share.channel_id} was deleted", user_message="That channel was deleted.")

    async def _update(self, team_id: str, document_ids: Sequence[UUID], values: dict[str, Any]) -> int:
        statement = (
            update(Document)
            .where(Document.team_id == team_id, Document.id.in_(document_ids))
            .values(**values, updated_at=func.now())
            .returning(Document.id)
        )
        return len((await self._session.scalars(statement)).all())


def _documents(team_id: str, known: ColumnElement[bool]) -> Select[Document]:
    """Return the selection of documents with those of their shares that are known."""
    shown = selectinload(Document.shares.and_(known)).selectinload(DocumentShare.sharer)
    return select(Document).where(Document.team_id == team_id).options(shown).execution_options(populate_existing=True)


def _known_to(audience: Audience) -> ColumnElement[bool]:
    return DocumentShare.channel_id == any_(literal(sorted(audience.channel_ids), ARRAY(Text)))


def _shown(team_id: str, known: ColumnElement[bool]) -> Subquery:
    """Return, of each document with a known share, the one that tells of it."""
    document = DocumentShare.document_id
    told = select(document, DocumentShare.id).where(DocumentShare.team_id == team_id, known).ext(distinct_on(document))
    return told.order_by(document, DocumentShare.message_ts.is_(None), DocumentShare.id.desc()).subquery()


_IS_FILE_KNOWN = text("""
    SELECT EXISTS (SELECT FROM document_shares WHERE team_id = :team AND file_id = :file)
        OR EXISTS (SELECT FROM work WHERE team_id = :team AND task = 'ingest' AND ids ->> 'file_id' = :file)
""")

_LINK = text("""
    INSERT INTO conversation_documents (team_id, conversation_id, document_id)
    VALUES (:team, :conversation, :document) ON CONFLICT DO NOTHING
""")

_LOCK_TAKER = text("SELECT id FROM users WHERE team_id = :team AND id = :taker FOR KEY SHARE")

_TRANSFER = text("""
    WITH moved AS (
        UPDATE document_shares SET shared_by = :taker WHERE team_id = :team AND shared_by = :giver
    )
    UPDATE documents SET uploader_id = :taker, updated_at = now() WHERE team_id = :team AND uploader_id = :giver
    RETURNING id
""")

_OLD_CHUNKS = "SELECT c.id FROM document_chunks c WHERE c.team_id = :team AND c.created_at < :before"
