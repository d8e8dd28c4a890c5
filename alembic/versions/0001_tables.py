"""The tables of the first release, with the tenant wall around each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bot.db.protection import APPEND_ONLY, EVERYTHING, grant, protect
from bot.db.types import HalfVec, SparseVec

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "workspaces",
    "users",
    "api_keys",
    "installations",
    "oauth_states",
    "audit_log",
    "channels",
    "channel_members",
    "conversations",
    "messages",
    "feedback",
    "usage_events",
    "memories",
    "documents",
    "document_shares",
    "conversation_documents",
    "document_chunks",
    "embedding_models",
    "chunk_embeddings",
    "term_statistics",
    "inbox",
    "work",
    "deliveries",
    "tombstones",
)
"""In the order of their foreign keys."""


def upgrade() -> None:
    _create_people()
    _create_places()
    _create_conversations()
    _create_documents()
    _create_search()
    _create_work()
    for table in TABLES:
        if table != "embedding_models":
            protect(table, rights=APPEND_ONLY if table == "audit_log" else EVERYTHING)
    grant("embedding_models", APPEND_ONLY)
    grant("alembic_version", "SELECT")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_people() -> None:
    op.create_table(
        "workspaces",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("plan", sa.Text(), server_default="free", nullable=False),
        sa.Column("settings", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("embedding_model_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", name="pk_workspaces"),
    )
    op.create_table(
        "users",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slack_user_id", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("plan", sa.Text(), server_default="free", nullable=False),
        sa.Column("kind", sa.Text(), server_default="member", nullable=False),
        sa.Column("is_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("preferences", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_users"),
        sa.UniqueConstraint("team_id", "email", name="uq_users_team_id_email"),
        sa.UniqueConstraint("team_id", "slack_user_id", name="uq_users_team_id_slack_user_id"),
    )
    op.create_table(
        "api_keys",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "user_id"],
            ["users.team_id", "users.id"],
            name="fk_api_keys_team_id_user_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_api_keys"),
    )
    op.create_table(
        "installations",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("bot_user_id", sa.Text(), nullable=True),
        sa.Column("bot_token", sa.LargeBinary(), nullable=True),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=True),
        sa.Column("is_enterprise", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("installed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "app_id", name="pk_installations"),
    )
    op.create_table(
        "oauth_states",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "state", name="pk_oauth_states"),
    )
    op.create_table(
        "audit_log",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_team_id_created_at", "audit_log", ["team_id", "created_at"])


def _create_places() -> None:
    op.create_table(
        "channels",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="private", nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("has_outsiders", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("settings", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("team_id", "channel_id", name="pk_channels"),
    )
    op.create_table(
        "channel_members",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("slack_user_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "channel_id"],
            ["channels.team_id", "channels.channel_id"],
            name="fk_channel_members_team_id_channel_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "channel_id", "slack_user_id", name="pk_channel_members"),
    )
    op.create_index("ix_channel_members_team_id_slack_user_id", "channel_members", ["team_id", "slack_user_id"])


def _create_conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("thread_ts", sa.Text(), nullable=False),
        sa.Column("started_by", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("summary_until_ts", sa.Text(), nullable=True),
        sa.Column("thread_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "started_by"],
            ["users.team_id", "users.id"],
            name="fk_conversations_team_id_started_by",
            ondelete="SET NULL (started_by)",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_conversations"),
        sa.UniqueConstraint("team_id", "channel_id", "thread_ts", name="uq_conversations_team_id_channel_id_thread_ts"),
    )
    op.create_table(
        "messages",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("slack_ts", sa.Text(), nullable=True),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("reply_to", sa.Text(), nullable=True),
        sa.Column("sources", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("token_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("state", sa.Text(), server_default="final", nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "author_id"],
            ["users.team_id", "users.id"],
            name="fk_messages_team_id_author_id",
            ondelete="SET NULL (author_id)",
        ),
        sa.ForeignKeyConstraint(
            ["team_id", "conversation_id"],
            ["conversations.team_id", "conversations.id"],
            name="fk_messages_team_id_conversation_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_messages"),
        sa.UniqueConstraint("team_id", "channel_id", "slack_ts", name="uq_messages_team_id_channel_id_slack_ts"),
    )
    op.create_index(
        "ix_messages_team_id_conversation_id_slack_ts", "messages", ["team_id", "conversation_id", "slack_ts"]
    )
    op.create_table(
        "feedback",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("thumb", sa.SmallInteger(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "message_id"],
            ["messages.team_id", "messages.id"],
            name="fk_feedback_team_id_message_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id", "user_id"],
            ["users.team_id", "users.id"],
            name="fk_feedback_team_id_user_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_feedback"),
        sa.UniqueConstraint("team_id", "message_id", "user_id", name="uq_feedback_team_id_message_id_user_id"),
    )
    # ### end Alembic commands ###

    op.create_table(
        "usage_events",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_usage_events"),
    )
    op.create_index("ix_usage_events_team_id_created_at", "usage_events", ["team_id", "created_at"])
    op.create_table(
        "memories",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("channel_id", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("source_ts", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "user_id"],
            ["users.team_id", "users.id"],
            name="fk_memories_team_id_user_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_memories"),
    )
    op.create_index("ix_memories_team_id_channel_id", "memories", ["team_id", "channel_id"])


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("uploader_id", sa.Uuid(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("file_type", sa.Text(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), server_default="processing", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "uploader_id"],
            ["users.team_id", "users.id"],
            name="fk_documents_team_id_uploader_id",
            ondelete="SET NULL (uploader_id)",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_documents"),
        sa.UniqueConstraint("team_id", "sha256", name="uq_documents_team_id_sha256"),
    )
    op.create_index("ix_documents_team_id_status_id", "documents", ["team_id", "status", "id"])
    op.create_index(
        "ix_documents_team_id_uploader_id_status_id", "documents", ["team_id", "uploader_id", "status", "id"]
    )
    op.create_table(
        "document_shares",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=True),
        sa.Column("shared_by", sa.Uuid(), nullable=True),
        sa.Column("message_ts", sa.Text(), nullable=True),
        sa.Column("thread_ts", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "document_id"],
            ["documents.team_id", "documents.id"],
            name="fk_document_shares_team_id_document_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id", "shared_by"],
            ["users.team_id", "users.id"],
            name="fk_document_shares_team_id_shared_by",
            ondelete="SET NULL (shared_by)",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_document_shares"),
        sa.UniqueConstraint(
            "team_id",
            "document_id",
            "channel_id",
            "file_id",
            name="uq_document_shares_team_id_document_id_channel_id_file_id",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_document_shares_team_id_channel_id_document_id", "document_shares", ["team_id", "channel_id", "document_id"]
    )
    op.create_index("ix_document_shares_team_id_file_id", "document_shares", ["team_id", "file_id"])
    op.create_table(
        "conversation_documents",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "conversation_id"],
            ["conversations.team_id", "conversations.id"],
            name="fk_conversation_documents_team_id_conversation_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id", "document_id"],
            ["documents.team_id", "documents.id"],
            name="fk_conversation_documents_team_id_document_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "conversation_id", "document_id", name="pk_conversation_documents"),
    )
    op.create_index(
        "ix_conversation_documents_team_id_document_id", "conversation_documents", ["team_id", "document_id"]
    )
    op.create_table(
        "document_chunks",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("chunk_index", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("token_count", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("char_start", sa.Integer(), nullable=False),
        sa.Column("char_end", sa.Integer(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "document_id"],
            ["documents.team_id", "documents.id"],
            name="fk_document_chunks_team_id_document_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_document_chunks"),
        sa.UniqueConstraint(
            "team_id", "document_id", "chunk_index", name="uq_document_chunks_team_id_document_id_chunk_index"
        ),
    )


def _create_search() -> None:
    op.create_table(
        "embedding_models",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_embedding_models"),
        sa.UniqueConstraint("name", "dimensions", name="uq_embedding_models_name_dimensions"),
    )
    op.create_table(
        "chunk_embeddings",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.SmallInteger(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("chunk_id", sa.Uuid(), nullable=False),
        sa.Column("embedding", HalfVec(), nullable=False),
        sa.Column("lexical", SparseVec(), nullable=False),
        sa.Column("lexical_version", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["embedding_models.id"], name="fk_chunk_embeddings_model_id"),
        sa.ForeignKeyConstraint(
            ["team_id", "chunk_id"],
            ["document_chunks.team_id", "document_chunks.id"],
            name="fk_chunk_embeddings_team_id_chunk_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id", "document_id"],
            ["documents.team_id", "documents.id"],
            name="fk_chunk_embeddings_team_id_document_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("team_id", "model_id", "document_id", "chunk_id", name="pk_chunk_embeddings"),
    )
    op.create_index("ix_chunk_embeddings_team_id_chunk_id", "chunk_embeddings", ["team_id", "chunk_id"])
    for column in ("embedding", "lexical"):  # in the row itself: search reads them all
        op.execute(f"ALTER TABLE chunk_embeddings ALTER COLUMN {column} SET STORAGE PLAIN")
    op.create_table(
        "term_statistics",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("lexical_version", sa.SmallInteger(), nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("chunk_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "lexical_version", "term", name="pk_term_statistics"),
    )


def _create_work() -> None:
    op.create_table(
        "inbox",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_inbox"),
        sa.UniqueConstraint("team_id", "event_id", name="uq_inbox_team_id_event_id"),
    )
    op.create_table(
        "work",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("ids", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("inbox_id", sa.Uuid(), nullable=True),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("epoch", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_id", sa.Text(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id", "inbox_id"],
            ["inbox.team_id", "inbox.id"],
            name="fk_work_team_id_inbox_id",
            ondelete="SET NULL (inbox_id)",
        ),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_work"),
        sa.UniqueConstraint("team_id", "task", "key", name="uq_work_team_id_task_key"),
    )
    op.create_index(
        "ix_work_waiting",
        "work",
        ["team_id", "run_at", "id"],
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "deliveries",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("thread_ts", sa.Text(), nullable=True),
        sa.Column("ts", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="posting", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "id", name="pk_deliveries"),
        sa.UniqueConstraint("team_id", "kind", "key", name="uq_deliveries_team_id_kind_key"),
    )
    op.create_table(
        "tombstones",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "kind", "key", name="pk_tombstones"),
    )
