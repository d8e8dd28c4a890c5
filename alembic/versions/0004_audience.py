"""The audience stands in the database: a transaction that reads for people sees what they may read, whatever it asks.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from bot.db.protection import (
    close_to_readers,
    lock_tables,
    open_to_readers,
    readable_in,
    show_readers,
    unprotect_readers,
)

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SHARED_IN = f"SELECT s.document_id FROM document_shares s WHERE {readable_in('s.channel_id')}"
"""The documents of the audience. Nothing in it depends on the row that is looked at, so it is made once a statement."""

ROWS = {
    "document_shares": readable_in("channel_id"),
    "documents": f"id IN ({SHARED_IN})",
    "document_chunks": f"document_id IN ({SHARED_IN})",
    "chunk_embeddings": f"document_id IN ({SHARED_IN})",
    "conversation_documents": f"document_id IN ({SHARED_IN})",
    "conversations": readable_in("channel_id"),
    "messages": readable_in("channel_id"),
    "memories": readable_in("coalesce(channel_id, 'personal:' || user_id)"),
}
"""What carries text of documents or of what was said, and which of its rows an audience may read."""

OPEN = ("workspaces", "users", "channels", "channel_members", "term_statistics")
"""What a search and its result need beside, and anybody of the workspace may know."""

CLOSED = (
    "api_keys",
    "installations",
    "oauth_states",
    "audit_log",
    "feedback",
    "usage_events",
    "inbox",
    "work",
    "deliveries",
    "channel_paces",
    "tombstones",
)
"""The bot's own, which nobody reads for an audience."""


def upgrade() -> None:
    lock_tables((*ROWS, *OPEN, *CLOSED))
    for table, rows in ROWS.items():
        show_readers(table, rows)
    for table in OPEN:
        open_to_readers(table)
    for table in CLOSED:
        close_to_readers(table)


def downgrade() -> None:
    for table in (*ROWS, *OPEN, *CLOSED):
        unprotect_readers(table)
