"""The audience stands in the database: a transaction that reads for people sees what they may read, whatever it asks.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

from bot.db.protection import (
    close_to_readers,
    current_schema,
    grant_function,
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

SHARED = "SELECT id FROM readable_documents() AS readable (id)"
"""The documents of the audience. Nothing in it depends on the row that is looked at, so it is made once a statement."""

READABLE_DOCUMENTS = """
    CREATE FUNCTION readable_documents() RETURNS SETOF uuid LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
        SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
    DECLARE
        team text := current_setting('app.team', true);
        channels text[] := nullif(current_setting('app.channels', true), '');
    BEGIN
        RETURN QUERY SELECT s.document_id FROM {schema}.document_shares s
                      WHERE s.team_id = team AND s.channel_id = ANY (channels);
    END $$
"""
"""A function, because a planner that knows nothing of the channels reads the shares of all, and where it expects too many
makes no hash table of them. So it is told to expect a thousand, and to go by the index; and its plan is made once."""

ROWS = {
    "document_shares": readable_in("channel_id"),
    "documents": f"id IN ({SHARED})",
    "document_chunks": f"document_id IN ({SHARED})",
    "chunk_embeddings": f"document_id IN ({SHARED})",
    "conversation_documents": f"document_id IN ({SHARED})",
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
    op.execute(READABLE_DOCUMENTS.format(schema=current_schema()))
    grant_function("readable_documents()")
    for table, rows in ROWS.items():
        show_readers(table, rows)
    for table in OPEN:
        open_to_readers(table)
    for table in CLOSED:
        close_to_readers(table)


def downgrade() -> None:
    for table in (*ROWS, *OPEN, *CLOSED):
        unprotect_readers(table)
    op.execute("DROP FUNCTION readable_documents()")
