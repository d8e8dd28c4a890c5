"""Buckets that say how much more somebody may ask for; and who wrote what was read of a thread, by Slack's id.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from bot.db.protection import close_to_readers, protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_buckets",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "name", name="pk_rate_buckets"),
    )
    protect("rate_buckets")
    close_to_readers("rate_buckets")
    op.add_column("messages", sa.Column("author_slack_id", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("messages", "author_slack_id")
    op.drop_table("rate_buckets")
