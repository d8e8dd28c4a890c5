"""What a transaction's scope lets through when nothing else is asked: for proving that it is no more than it should be."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

TABLES = {
    "documents": "id",
    "document_shares": "document_id",
    "document_chunks": "document_id",
    "chunk_embeddings": "document_id",
    "conversation_documents": "document_id",
}
"""What belongs to documents, and by which column."""


class VisibilityRepository:
    """Looks at documents without an audience's condition, on purpose."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list_shares(self, team_id: str) -> dict[UUID, set[str]]:
        """Return every document that is shared somewhere, with the ids of the channels it is shared in."""
        statement = text("SELECT DISTINCT document_id, channel_id FROM document_shares WHERE team_id = :team")
        places = defaultdict[UUID, set[str]](set)
        for document_id, channel_id in await self._session.execute(statement, {"team": team_id}):
            places[document_id].add(channel_id)
        return dict(places)

    async def list_documents(self, team_id: str) -> dict[UUID, str]:
        """Return the documents of which anything is to be seen, each with the first table that shows it."""
        rows = await self._session.execute(_LIST_DOCUMENTS, {"team": team_id})
        return {row.document_id: row.table_name for row in rows}

    async def get_words(self, team_id: str, document_id: UUID, *, characters: int) -> str | None:
        """Return the beginning of some chunk of a document; None when it has none."""
        statement = text("""
            SELECT left(content, :characters) FROM document_chunks
             WHERE team_id = :team AND document_id = :document ORDER BY random() LIMIT 1
        """)
        parameters = {"team": team_id, "document": document_id, "characters": characters}
        words: str | None = await self._session.scalar(statement, parameters)
        return words


_LIST_DOCUMENTS = text(
    "SELECT DISTINCT ON (document_id) document_id, table_name FROM ("
    + " UNION ALL ".join(
        f"SELECT DISTINCT {column} AS document_id, '{table}' AS table_name FROM {table} WHERE team_id = :team"
        for table, column in TABLES.items()
    )
    + ") AS seen ORDER BY document_id, table_name"
)
