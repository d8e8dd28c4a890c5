"""What a document is called belongs to each of its shares; and whether one is shared somewhere is asked afresh.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from bot.db.protection import current_schema, grant_function, lock_tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("document_shares", "documents")

NAME = """
    UPDATE document_shares s SET filename = d.filename
      FROM documents d
     WHERE d.team_id = s.team_id AND d.id = s.document_id
       AND (s.created_at = d.created_at
            OR EXISTS (SELECT FROM document_shares f
                        WHERE f.team_id = s.team_id AND f.document_id = s.document_id AND f.file_id = s.file_id
                          AND f.created_at = d.created_at))
"""
"""A document was stored in one transaction with its first share, so at the same moment: its name is what that share
called it. So do the other shares of the same Slack file. What the rest called it, nobody kept."""

IS_SHARED = """
    CREATE FUNCTION is_shared(team text, document uuid, channels text[]) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM {schema}.document_shares s
                        WHERE s.team_id = team AND s.document_id = document AND s.channel_id = ANY (channels));
    END $$
"""
"""Volatile: it looks with a snapshot of its own. So a statement that locks a document, and waits there for somebody who
takes it out of a channel, sees by this that they did."""


def upgrade() -> None:
    lock_tables(TABLES)
    op.add_column("document_shares", sa.Column("filename", sa.Text(), nullable=True))
    for (
        table
    ) in TABLES:  # the owner sees the rows of all workspaces for as long as this transaction alone sees the tables
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(NAME)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(IS_SHARED.format(schema=current_schema()))
    grant_function("is_shared(text, uuid, text[])")


def downgrade() -> None:
    op.execute("DROP FUNCTION is_shared(text, uuid, text[])")
    op.drop_column("document_shares", "filename")
