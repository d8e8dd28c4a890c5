"""The queue's own schema, and what work, deliveries and documents need to survive a crash.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import procrastinate
import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager

from bot.db.protection import grant_schema, protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

QUEUE_VERSION = "3.10.0"
"""The release whose schema this is; a newer one needs a revision of its own, made of that release's migrations."""

UNFINISHED = "state IN ('queued', 'running', 'stopping')"


def upgrade() -> None:
    _widen_work()
    op.create_table(
        "channel_paces",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("next_post_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("next_start_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_until", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", name="pk_channel_paces"),
    )
    protect("channel_paces")
    op.add_column("workspaces", sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("documents", sa.Column("chunk_total", sa.Integer(), nullable=True))
    op.add_column("documents", sa.Column("chunks_stored", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_index("ix_chunk_embeddings_team_id_document_id", "chunk_embeddings", ["team_id", "document_id"])
    _create_queue()


def downgrade() -> None:
    op.execute("DROP SCHEMA procrastinate CASCADE")
    op.drop_index("ix_chunk_embeddings_team_id_document_id", "chunk_embeddings")
    op.drop_column("documents", "chunks_stored")
    op.drop_column("documents", "chunk_total")
    op.drop_column("workspaces", "heard_at")
    op.drop_table("channel_paces")
    op.drop_index("ix_work_waiting", "work")
    op.drop_index("uq_work_team_id_task_gesture", "work")
    for column in ("attempts", "lock", "pool", "priority", "gesture", "asker", "blocked_since"):
        op.drop_column("work", column)
    op.create_index(
        "ix_work_waiting",
        "work",
        ["team_id", "run_at", "id"],
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )


def _widen_work() -> None:
    op.add_column("work", sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("work", sa.Column("lock", sa.Text(), nullable=True))
    op.add_column("work", sa.Column("pool", sa.Text(), server_default="chore", nullable=False))
    op.add_column("work", sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("work", sa.Column("gesture", sa.Text(), nullable=True))
    op.add_column("work", sa.Column("asker", sa.Text(), nullable=True))
    op.add_column("work", sa.Column("blocked_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "uq_work_team_id_task_gesture",
        "work",
        ["team_id", "task", "gesture"],
        unique=True,
        postgresql_where=sa.text("gesture IS NOT NULL"),
    )
    op.drop_index("ix_work_waiting", "work")
    op.create_index("ix_work_waiting", "work", ["team_id", "run_at", "id"], postgresql_where=sa.text(UNFINISHED))


def _create_queue() -> None:
    """Make procrastinate's tables and functions. Their text is many statements: the driver itself takes it."""
    if procrastinate.__version__ != QUEUE_VERSION:
        raise RuntimeError(f"revision {revision} is made for procrastinate {QUEUE_VERSION}")
    connection = op.get_bind()
    path = connection.execute(sa.text("SHOW search_path")).scalar_one()
    op.execute("CREATE SCHEMA procrastinate")
    op.execute("SET LOCAL search_path TO procrastinate, public")
    driver = connection.connection.dbapi_connection
    assert driver is not None  # noqa: S101  # a connection in use has its driver's
    driver.run_async(lambda raw: raw.execute(SchemaManager.get_schema()))
    op.execute(f"SET LOCAL search_path TO {path}")
    grant_schema("procrastinate")
