"""Progress: what the tables say of the files of one message, whoever reads them, and of the receipt that tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import UNFINISHED
from bot.repositories.naming import NAME
from bot.values import DocumentStatus, FileProgress, MessageProgress

RECEIPT = "receipt"
"""The kind of delivery that a receipt is."""


class ProgressRepository:
    """Looks at the reading of files."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of_message(
        self, team_id: str, *, channel_id: str, message_ts: str, thread_ts: str, receipt_key: str
    ) -> MessageProgress:
        """Return how far a message's files are, in the order they were recorded, then those nobody has looked at yet.

        A file that is gone from Slack isn't among them. The same bytes twice are one document, and named once.
        """
        parameters = {
            "team": team_id,
            "channel": channel_id,
            "message_ts": message_ts,
            "thread": f"{channel_id}:{thread_ts}",
            "kind": RECEIPT,
            "receipt": receipt_key,
        }
        rows = (await self._session.execute(_OF_MESSAGE, parameters)).all()
        shown = (await self._session.execute(_SHOWN, parameters)).one_or_none()
        shown_s = None if shown is None or shown.ts is None else shown.seconds
        quiet_s = min((row.quiet_s for row in rows if row.quiet_s is not None), default=0.0)
        return MessageProgress(
            _files(rows),
            shown_s=shown_s,
            is_shown=shown is not None and shown.ts is not None and shown.state == "final",
            quiet_s=quiet_s,
            is_news=shown_s is None or quiet_s <= shown_s,
        )


def _files(rows: Sequence[Row[Any]]) -> tuple[FileProgress, ...]:
    """Return a value for each document and each file without one; a document is done when all its files are."""
    files: dict[Any, FileProgress] = {}
    for row in rows:
        file, known = _file(row), files.get(row.document_id or row.file_id)
        if known is None or not file.is_done:
            files[row.document_id or row.file_id] = file
    return tuple(files.values())


def _file(row: Row[Any]) -> FileProgress:
    return FileProgress(
        file_id=row.file_id,
        filename=row.filename,
        status=DocumentStatus(row.status or DocumentStatus.PROCESSING),
        error=row.error,
        version=row.version or 1,
        stored=row.chunks_stored or 0,
        total=row.chunk_total,
        is_recorded=row.document_id is not None,
        is_waiting=row.is_waiting,
        is_done=row.is_done,
    )


# Work waits for something that doesn't answer when it was put back for that (handed back, it would be due at once), or
# tries once more and its document hasn't moved since.
_OF_MESSAGE = text(f"""
    WITH reading AS (
        SELECT DISTINCT ON (ids ->> 'file_id') id, ids ->> 'file_id' AS file_id, created_at, blocked_since,
               blocked_since IS NOT NULL AND state = 'queued' AND run_at > updated_at AS is_put_back
          FROM work
         WHERE team_id = :team AND task = 'ingest' AND {UNFINISHED}
           AND thread = :thread AND ids ->> 'message_ts' = :message_ts
         ORDER BY ids ->> 'file_id', id
    ), shared AS (
        SELECT d.id AS document_id, first_value({NAME}) OVER (PARTITION BY d.id ORDER BY s.id) AS filename, d.status,
               d.error, d.version, d.chunks_stored, d.chunk_total, d.updated_at, s.file_id
          FROM document_shares s JOIN documents d ON d.team_id = s.team_id AND d.id = s.document_id
         WHERE s.team_id = :team AND s.channel_id = :channel AND s.message_ts = :message_ts
    )
    SELECT s.document_id, file_id, s.filename, s.status, s.error, s.version, s.chunks_stored, s.chunk_total,
           r.id IS NULL AS is_done,
           coalesce(r.is_put_back OR r.blocked_since > coalesce(s.updated_at, '-infinity'), false) AS is_waiting,
           CAST(extract(epoch FROM now() - greatest(s.updated_at, r.blocked_since, r.created_at))
                AS double precision) AS quiet_s
      FROM shared s FULL JOIN reading r USING (file_id)
     ORDER BY s.document_id NULLS LAST, r.id
""")

_SHOWN = text("""
    SELECT ts, state, CAST(extract(epoch FROM now() - updated_at) AS double precision) AS seconds
      FROM deliveries WHERE team_id = :team AND kind = :kind AND key = :receipt
""")
