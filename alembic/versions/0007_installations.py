"""What a process has to know of a workspace to serve it without asking Slack, and a list of all of them.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from bot.db.protection import lock_tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REGISTER = "(SELECT current_setting('app.team', true)) = 'installations'"
"""A transaction of no workspace's (`values.INSTALLATIONS`) may read the list, and still writes nothing of anybody's."""


def upgrade() -> None:
    lock_tables(["installations"])
    for name in ("name", "url", "bot_id"):
        op.add_column("installations", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("installations", sa.Column("changes", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("installations", sa.Column("refreshing_until", sa.DateTime(timezone=True), nullable=True))
    op.execute(f"CREATE POLICY register ON installations FOR SELECT USING ({REGISTER})")


def downgrade() -> None:
    op.execute("DROP POLICY register ON installations")
    for name in ("refreshing_until", "changes", "bot_id", "url", "name"):
        op.drop_column("installations", name)
