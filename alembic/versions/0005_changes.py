"""Changes that Slack tells of are counted, so that what was read from it before them isn't relied on.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTERS = (("workspaces", "people_changes"), ("channels", "changes"))


def upgrade() -> None:
    for table, counter in COUNTERS:
        op.add_column(table, sa.Column(counter, sa.Integer(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    for table, counter in COUNTERS:
        op.drop_column(table, counter)
