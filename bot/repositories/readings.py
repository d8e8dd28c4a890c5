"""Readings: how far the text of a document is stored, batch by batch, and by what a former attempt's part is known again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import NotFound
from bot.text.clean import clean
from bot.values import DocumentStatus


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a document's text is stored: its first `stored` chunks of `total`.

    `mark` is the same for the same chunks by the same model, and for nothing else; None before any was cut.
    """

    status: DocumentStatus
    stored: int = 0
    total: int | None = None
    mark: str | None = None


class ReadingRepository:
    """Keeps track of how far documents are read. A part is always the first chunks: none is missing in between."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def hold(self, team_id: str, document_id: UUID) -> Reading:
        """Return how far it is, and keep it so until the transaction ends: nobody deletes it, or stores its chunks.

        Raises NotFound when the document was deleted.
        """
        return await self._get(_HOLD, team_id, document_id)

    async def get(self, team_id: str, document_id: UUID) -> Reading:
        """Return how far it is now. Raises NotFound when the document was deleted."""
        return await self._get(_GET, team_id, document_id)

    async def begin(self, team_id: str, document_id: UUID, *, total: int, mark: str) -> None:
        """Say what is about to be stored, none of it yet."""
        parameters = {"team": team_id, "document": document_id, "stored": 0, "total": total, "mark": mark}
        await self._session.execute(_MOVE, {**parameters, "status": DocumentStatus.PROCESSING, "file_type": None})

    async def move(
        self, team_id: str, document_id: UUID, *, stored: int, total: int, mark: str, file_type: str
    ) -> None:
        """Say that the first `stored` chunks are there; with the last one the document is ready."""
        status = DocumentStatus.READY if stored == total else DocumentStatus.PROCESSING
        parameters = {"team": team_id, "document": document_id, "stored": stored, "total": total, "mark": mark}
        await self._session.execute(_MOVE, {**parameters, "status": status, "file_type": clean(file_type)})

    async def fail(self, team_id: str, document_id: UUID, *, reason: str) -> None:
        """Say that the document can't be read; `reason` is for people. What was stored of it must be deleted before."""
        parameters = {"team": team_id, "document": document_id, "reason": clean(reason)}
        await self._session.execute(_FAIL, parameters)

    async def _get(self, statement: Any, team_id: str, document_id: UUID) -> Reading:
        row = (await self._session.execute(statement, {"team": team_id, "document": document_id})).one_or_none()
        if row is None:
            raise NotFound(f"document {document_id} is gone", user_message="This document was deleted.")
        return Reading(DocumentStatus(row.status), row.chunks_stored, row.chunk_total, row.mark)


_SELECT = """
    SELECT status, chunks_stored, chunk_total, metadata->>'reading' AS mark{settings}
      FROM documents WHERE team_id = :team AND id = :document
"""

_GET = text(_SELECT.format(settings=""))

# The engine asks for a fresh plan each time, for searches' sake; the checks of foreign keys, four a row, would each be
# planned anew too, and take thrice as long.
_HOLD = text(_SELECT.format(settings=", set_config('plan_cache_mode', 'auto', true) AS planned") + "FOR NO KEY UPDATE")

_MOVE = text("""
    UPDATE documents
       SET chunks_stored = :stored, chunk_total = :total, status = :status, error = NULL,
           file_type = coalesce(CAST(:file_type AS text), file_type),
           metadata = metadata || jsonb_build_object('reading', CAST(:mark AS text)), updated_at = now()
     WHERE team_id = :team AND id = :document
""")

_FAIL = text("""
    UPDATE documents SET status = 'error', error = :reason, chunks_stored = 0, chunk_total = NULL, updated_at = now()
     WHERE team_id = :team AND id = :document
""")
