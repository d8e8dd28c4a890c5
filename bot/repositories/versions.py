"""Which document some bytes are: one the workspace has already, or the next version of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.repositories.naming import KNOWN_NAME
from bot.values import DocumentStatus, Share, new_id


@dataclass(frozen=True, slots=True)
class RecordedDocument:
    """What became of bytes that were shared. `created` is False when the workspace had them already.

    `stored` counts the chunks that are stored, all of them or a former attempt's part.
    """

    id: UUID
    created: bool
    status: DocumentStatus
    version: int
    error: str | None = None
    stored: int = 0


async def get_or_insert(session: AsyncSession, values: Mapping[str, Any]) -> tuple[UUID, bool]:
    """Return the document with these bytes, held so that nobody deletes it, and whether it is new."""
    while True:
        inserted: UUID | None = await session.scalar(_INSERT, {**values, "id": new_id()})
        if inserted is not None:
            return inserted, True
        known: UUID | None = await session.scalar(_HOLD, values)
        if known is not None:  # None: its last share was just deleted, and the document with it
            return known, False


async def list_replaced(
    session: AsyncSession, team_id: str, document_id: UUID, filename: str, share: Share, *, ready: bool
) -> tuple[list[UUID], int]:
    """Return the shares that this one replaces in its channel, and the highest version among their documents (0: none).

    `ready` says that this document can be read: until then it replaces nothing that can. Considered is what the same person shared there under the same name before, in an earlier message, and what the same
    Slack file gave before: files of one message don't replace each other, nor does a late job what came after it.
    """
    parameters = {
        "team": team_id,
        "document": document_id,
        "filename": filename,
        "channel": share.channel_id,
        "file": share.file_id,
        "shared_by": share.shared_by,
        "message_ts": share.message_ts,
    }
    rows = (await session.execute(_REPLACED, parameters)).all()
    return [row.id for row in rows if ready or not row.is_ready], max((row.version for row in rows), default=0)


async def raise_version(
    session: AsyncSession, team_id: str, document_id: UUID, *, version: int, created: bool
) -> RecordedDocument:
    """Give a document at least this version; return how it stands."""
    parameters = {"team": team_id, "id": document_id, "version": version}
    row = (await session.execute(_RAISE_VERSION, parameters)).one()
    return RecordedDocument(document_id, created, DocumentStatus(row.status), row.version, row.error, row.chunks_stored)


_INSERT = text("""
    INSERT INTO documents (team_id, id, uploader_id, filename, file_type, file_size, sha256)
    VALUES (:team, :id, :uploader, :filename, :file_type, :size, :sha256)
    ON CONFLICT DO NOTHING RETURNING id
""")

_HOLD = text("SELECT id FROM documents WHERE team_id = :team AND sha256 = :sha256 FOR KEY SHARE")

_RAISE_VERSION = text("""
    UPDATE documents SET version = greatest(version, :version) WHERE team_id = :team AND id = :id
    RETURNING status, version, error, chunks_stored
""")

_REPLACED = text(f"""
    SELECT s.id, d.status = 'ready' AS is_ready, CASE WHEN d.sha256 IS NULL THEN 0 ELSE d.version END AS version
      FROM document_shares s JOIN documents d ON d.team_id = s.team_id AND d.id = s.document_id
     WHERE s.team_id = :team AND s.channel_id = :channel AND s.document_id <> :document
       AND (s.file_id = CAST(:file AS text)
            OR s.shared_by = :shared_by AND {KNOWN_NAME} = :filename
               AND coalesce(s.message_ts < CAST(:message_ts AS text), true))
""")
