"""Where documents may be read: shares come and go, and a document goes with its last one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.repositories.naming import UNNAMED
from bot.repositories.statistics import subtract_statistics
from bot.values import Share, new_id


async def record_share(session: AsyncSession, team_id: str, document_id: UUID, share: Share, *, filename: str) -> None:
    """Let a document be read in one more place, by a name; when it can be already by this file, it gets one if it has none."""
    parameters = {
        "team": team_id,
        "id": new_id(),
        "document": document_id,
        "channel": share.channel_id,
        "file": share.file_id,
        "filename": filename,
        "shared_by": share.shared_by,
        "message_ts": share.message_ts,
        "thread_ts": share.thread_ts,
    }
    await session.execute(_RECORD, parameters)


async def delete_shares(session: AsyncSession, team_id: str, share_ids: Collection[UUID]) -> int:
    """Delete these shares, and the documents that have none left; return how many shares went."""
    if not share_ids:
        return 0
    return len(await _delete(session, "id = ANY(:ids)", {"team": team_id, "ids": list(share_ids)}))


async def delete_shares_in(
    session: AsyncSession, team_id: str, channel_id: str, *, document_id: UUID | None = None
) -> int:
    """Delete the shares of a channel, of one document or of all; return how many went."""
    condition = "channel_id = :channel AND (CAST(:document AS uuid) IS NULL OR document_id = :document)"
    return len(await _delete(session, condition, {"team": team_id, "channel": channel_id, "document": document_id}))


async def delete_shares_of_file(session: AsyncSession, team_id: str, file_id: str) -> list[UUID]:
    """Delete the shares that one Slack file made, in every channel; return each one's document."""
    return await _delete(session, "file_id = :file", {"team": team_id, "file": file_id})


async def delete_shares_of_message(session: AsyncSession, team_id: str, channel_id: str, message_ts: str) -> list[UUID]:
    """Delete the shares that one message made; return each one's document."""
    parameters = {"team": team_id, "channel": channel_id, "ts": message_ts}
    return await _delete(session, "channel_id = :channel AND message_ts = :ts", parameters)


async def delete_oldest_shares(session: AsyncSession, team_id: str, *, before: datetime, limit: int) -> list[UUID]:
    """Delete some of the oldest shares made before; return each one's document."""
    oldest = """id IN (SELECT id FROM document_shares WHERE team_id = :team AND created_at < :before
                        ORDER BY created_at, id LIMIT :limit)"""
    return await _delete(session, oldest, {"team": team_id, "before": before, "limit": limit})


async def delete_some_shares_in(session: AsyncSession, team_id: str, channel_id: str, *, limit: int) -> list[UUID]:
    """Delete some of a channel's shares; return each one's document."""
    some = "id IN (SELECT id FROM document_shares WHERE team_id = :team AND channel_id = :channel ORDER BY id LIMIT :limit)"
    return await _delete(session, some, {"team": team_id, "channel": channel_id, "limit": limit})


async def delete_shares_by(
    session: AsyncSession, team_id: str, user_id: UUID, *, document_id: UUID | None = None
) -> int:
    """Delete the shares that one person made, in every channel, of one document or of all; return how many went."""
    condition = "shared_by = :user AND (CAST(:document AS uuid) IS NULL OR document_id = :document)"
    return len(await _delete(session, condition, {"team": team_id, "user": user_id, "document": document_id}))


async def delete_documents(session: AsyncSession, team_id: str, document_ids: Collection[UUID]) -> int:
    """Delete documents with all that hangs on them, their terms leaving the statistics; return how many went."""
    parameters = {"team": team_id, "ids": list(document_ids)}
    await session.execute(_LOCK, parameters)
    await subtract_statistics(session, "e.document_id = ANY(:ids)", parameters)
    return len((await session.execute(_DELETE, parameters)).all())


async def _delete(session: AsyncSession, condition: str, parameters: Mapping[str, object]) -> list[UUID]:
    statement = text(f"DELETE FROM document_shares WHERE team_id = :team AND {condition} RETURNING document_id")
    document_ids = list(await session.scalars(statement, parameters))
    touched = sorted(set(document_ids))
    orphans = {"team": parameters["team"], "ids": touched}
    # Locked first: whoever is adding a share to one of them has finished then, and the next statement sees it.
    await session.execute(_LOCK, orphans)
    gone = list(await session.scalars(_ORPHANS, orphans))
    if gone:
        await delete_documents(session, str(parameters["team"]), gone)
    if len(gone) < len(touched):
        await session.execute(_HAND_ON, orphans)
    return document_ids


_RECORD = text("""
    INSERT INTO document_shares AS s
           (team_id, id, document_id, channel_id, file_id, filename, shared_by, message_ts, thread_ts)
    VALUES (:team, :id, :document, :channel, :file, :filename, :shared_by, :message_ts, :thread_ts)
    ON CONFLICT (team_id, document_id, channel_id, file_id) DO UPDATE SET filename = excluded.filename
     WHERE s.filename IS NULL
""")

_LOCK = text("SELECT id FROM documents WHERE team_id = :team AND id = ANY(:ids) ORDER BY id FOR UPDATE")

_ORPHANS = text("""
    SELECT d.id FROM documents d
     WHERE d.team_id = :team AND d.id = ANY(:ids)
       AND NOT EXISTS (SELECT 1 FROM document_shares s WHERE s.team_id = :team AND s.document_id = d.id)
""")

_HAND_ON = text(f"""
    UPDATE documents d SET filename = coalesce(s.filename, '{UNNAMED}'), uploader_id = s.shared_by
      FROM (SELECT DISTINCT ON (document_id) document_id, filename, shared_by FROM document_shares
             WHERE team_id = :team AND document_id = ANY(:ids) ORDER BY document_id, id) AS s
     WHERE d.team_id = :team AND d.id = s.document_id
       AND NOT EXISTS (SELECT FROM document_shares f
                        WHERE f.team_id = :team AND f.document_id = d.id AND f.created_at = d.created_at)
""")
"""What a document has of its first share goes with it; the oldest one left gives it its own."""

_DELETE = text("DELETE FROM documents WHERE team_id = :team AND id = ANY(:ids) RETURNING id")
"""The foreign keys take chunks, vectors and links along."""
