"""Copies of a question are kept, so that one of them counts when the question that did is deleted.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEX = "uq_work_team_id_task_gesture"
COUNTS = "state NOT IN ('copy', 'stopping', 'stopped')"


def upgrade() -> None:
    op.drop_index(INDEX, "work")
    _one_of_a_gesture(f"gesture IS NOT NULL AND {COUNTS}")


def downgrade() -> None:
    op.drop_index(INDEX, "work")
    op.execute(f"UPDATE work SET gesture = NULL WHERE NOT ({COUNTS})")
    op.execute("UPDATE work SET state = 'stopped' WHERE state = 'copy'")
    _one_of_a_gesture("gesture IS NOT NULL")


def _one_of_a_gesture(condition: str) -> None:
    op.create_index(INDEX, "work", ["team_id", "task", "gesture"], unique=True, postgresql_where=sa.text(condition))
