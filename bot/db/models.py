"""The tables. `team_id` begins every key: it is the tenant wall, and what a distributed PostgreSQL shards by.

Exempt by name, and nothing else: `embedding_models` (a reference table) and Alembic's own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from bot.db.types import HalfVec, SparseVec
from bot.values import ChannelKind, DocumentStatus, Plan, UserKind, Vector, new_id

EXEMPT_TABLES = frozenset({"alembic_version", "embedding_models"})
"""Tables without a tenant."""

UNFINISHED = "state IN ('queued', 'running', 'stopping')"
"""Rows of `work` that somebody still has to do something about."""

COUNTS = "state NOT IN ('copy', 'stopping', 'stopped')"
"""Rows of `work` of which a gesture has one: a copy waits in case it is withdrawn."""


class Base(DeclarativeBase):
    """Declarative base: constraint names are fixed, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it from the class
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        bytes: LargeBinary,
    }


def _tenant() -> Mapped[str]:
    return mapped_column(primary_key=True, sort_order=-2)


def _key() -> Mapped[UUID]:
    return mapped_column(primary_key=True, default=new_id, sort_order=-1)


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def _refers(local: str, target: str, *, ondelete: str = "CASCADE") -> ForeignKeyConstraint:
    """Return the foreign key (team_id, local) → target(team_id, id). SET NULL clears the second column alone."""
    if ondelete == "SET NULL":
        ondelete = f"SET NULL ({local})"
    return ForeignKeyConstraint(["team_id", local], [f"{target}.team_id", f"{target}.id"], ondelete=ondelete)


class Workspace(Base):
    """A Slack team (or Enterprise organisation). `heard_at`: up to when we surely missed none of its events.

    `people_changes` counts how often Slack told that somebody isn't what they were: a guest, deactivated.
    """

    __tablename__ = "workspaces"

    team_id: Mapped[str] = _tenant()
    name: Mapped[str | None]
    plan: Mapped[str] = mapped_column(server_default=Plan.FREE)
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    embedding_model_id: Mapped[int | None]
    heard_at: Mapped[datetime | None]
    people_changes: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = _now()


class User(Base):
    """A person: somebody in Slack, or somebody with an API key alone (`slack_user_id` null).

    `is_deactivated` is what Slack told last by an event; before a question it is asked itself.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("team_id", "slack_user_id"), UniqueConstraint("team_id", "email"))

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    slack_user_id: Mapped[str | None]
    email: Mapped[str | None]
    name: Mapped[str | None]
    plan: Mapped[str] = mapped_column(server_default=Plan.FREE)
    kind: Mapped[str] = mapped_column(server_default=UserKind.MEMBER)
    is_admin: Mapped[bool] = mapped_column(server_default=text("false"))
    is_deactivated: Mapped[bool] = mapped_column(server_default=text("false"))
    preferences: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()

    documents: Mapped[list[Document]] = relationship(
        back_populates="uploader", lazy="raise", order_by="Document.id", passive_deletes=True
    )
    conversations: Mapped[list[Conversation]] = relationship(
        back_populates="starter", lazy="raise", order_by="Conversation.id", viewonly=True
    )


class ApiKey(Base):
    """A key of the HTTP API. Only its hash is kept; `id` stands in the key itself, after the team."""

    __tablename__ = "api_keys"
    __table_args__ = (_refers("user_id", "users"),)

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    user_id: Mapped[UUID]
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()


class ChannelRow(Base):
    """A place in Slack, or somebody's `personal` place for uploads that come past Slack.

    `synced_at`: when it was read from Slack; null when that doesn't hold any more. `changes` counts how often Slack told
    that it, or who is in it, changed: what was read before the last of them is not stored.
    """

    __tablename__ = "channels"

    team_id: Mapped[str] = _tenant()
    channel_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(server_default=ChannelKind.PRIVATE)
    name: Mapped[str | None]
    has_outsiders: Mapped[bool] = mapped_column(server_default=text("true"))
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    synced_at: Mapped[datetime | None]
    changes: Mapped[int] = mapped_column(server_default=text("0"))


class ChannelMember(Base):
    """Who is in a channel, by Slack's id: people are known here before they ever speak to us."""

    __tablename__ = "channel_members"
    __table_args__ = (
        ForeignKeyConstraint(
            ["team_id", "channel_id"], ["channels.team_id", "channels.channel_id"], ondelete="CASCADE"
        ),
        Index(None, "team_id", "slack_user_id"),
    )

    team_id: Mapped[str] = _tenant()
    channel_id: Mapped[str] = mapped_column(primary_key=True)
    slack_user_id: Mapped[str] = mapped_column(primary_key=True)


class Conversation(Base):
    """A Slack thread. `thread_read_at` says when what was there before us was read; null means not yet."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("team_id", "channel_id", "thread_ts"),
        _refers("started_by", "users", ondelete="SET NULL"),
    )

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    channel_id: Mapped[str]
    thread_ts: Mapped[str]
    started_by: Mapped[UUID | None]
    title: Mapped[str | None]
    summary: Mapped[str | None]
    summary_until_ts: Mapped[str | None]
    thread_read_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()

    starter: Mapped[User | None] = relationship(back_populates="conversations", lazy="raise", viewonly=True)
    messages: Mapped[list[Message]] = relationship(
        back_populates="conversation", lazy="raise", order_by="Message.slack_ts, Message.id", passive_deletes=True
    )
    documents: Mapped[list[Document]] = relationship(
        secondary="conversation_documents", lazy="raise", order_by="Document.id", viewonly=True
    )


class Message(Base):
    """Something said in a conversation. `author_id` is null for ours, and for people who never spoke to us.

    Of those, whose messages were read with a thread, `author_slack_id` is known. `reply_to` is the ts of the message
    that an answer answers; of a question that repeats others' messages, these (`CHANNEL:TS`, one or more).
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("team_id", "channel_id", "slack_ts"),
        _refers("conversation_id", "conversations"),
        _refers("author_id", "users", ondelete="SET NULL"),
        Index(None, "team_id", "conversation_id", "slack_ts"),
    )

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    conversation_id: Mapped[UUID]
    channel_id: Mapped[str]
    slack_ts: Mapped[str | None]
    author_id: Mapped[UUID | None]
    author_name: Mapped[str | None]
    author_slack_id: Mapped[str | None]
    role: Mapped[str]
    content: Mapped[str]
    reply_to: Mapped[str | None]
    sources: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    model: Mapped[str | None]
    token_count: Mapped[int] = mapped_column(server_default=text("0"))
    prompt_tokens: Mapped[int] = mapped_column(server_default=text("0"))
    completion_tokens: Mapped[int] = mapped_column(server_default=text("0"))
    state: Mapped[str] = mapped_column(server_default="final")
    latency_ms: Mapped[int | None]
    created_at: Mapped[datetime] = _now()

    conversation: Mapped[Conversation] = relationship(back_populates="messages", lazy="raise")


class Document(Base):
    """A file somebody shared. `sha256` is null while its bytes were never seen (external, too large, gone).

    `filename` and `uploader_id` are those of its first share, and for nobody's eyes: each share has its own.
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("team_id", "sha256"),
        _refers("uploader_id", "users", ondelete="SET NULL"),
        Index(None, "team_id", "uploader_id", "status", "id"),
        Index(None, "team_id", "status", "id"),
    )

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    uploader_id: Mapped[UUID | None]
    filename: Mapped[str]
    file_type: Mapped[str | None]
    file_size: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    sha256: Mapped[bytes | None]
    status: Mapped[str] = mapped_column(server_default=DocumentStatus.PROCESSING)
    error: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    chunk_total: Mapped[int | None]
    chunks_stored: Mapped[int] = mapped_column(server_default=text("0"))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()

    uploader: Mapped[User | None] = relationship(back_populates="documents", lazy="raise")
    shares: Mapped[list[DocumentShare]] = relationship(
        back_populates="document", lazy="raise", order_by="DocumentShare.id", passive_deletes=True
    )
    chunks: Mapped[list[DocumentChunk]] = relationship(
        back_populates="document", lazy="raise", order_by="DocumentChunk.chunk_index", passive_deletes=True
    )


class DocumentShare(Base):
    """Where a document may be read, and what it was called there. A document without a share is readable by nobody, and goes.

    `filename` is null where a former release shared it (`repositories/naming.py`).
    """

    __tablename__ = "document_shares"
    __table_args__ = (
        UniqueConstraint("team_id", "document_id", "channel_id", "file_id", postgresql_nulls_not_distinct=True),
        _refers("document_id", "documents"),
        _refers("shared_by", "users", ondelete="SET NULL"),
        Index(None, "team_id", "channel_id", "document_id"),
        Index(None, "team_id", "file_id"),
    )

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    document_id: Mapped[UUID]
    channel_id: Mapped[str]
    file_id: Mapped[str | None]
    filename: Mapped[str | None]
    shared_by: Mapped[UUID | None]
    message_ts: Mapped[str | None]
    thread_ts: Mapped[str | None]
    created_at: Mapped[datetime] = _now()

    document: Mapped[Document] = relationship(back_populates="shares", lazy="raise")
    sharer: Mapped[User | None] = relationship(lazy="raise", viewonly=True)


class ConversationDocument(Base):
    """A document shared in, or pinned to, a conversation."""

    __tablename__ = "conversation_documents"
    __table_args__ = (
        _refers("conversation_id", "conversations"),
        _refers("document_id", "documents"),
        Index(None, "team_id", "document_id"),
    )

    team_id: Mapped[str] = _tenant()
    conversation_id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = _now()


class DocumentChunk(Base):
    """A piece of a document's text, with its exact offsets."""

    __tablename__ = "document_chunks"
    __table_args__ = (UniqueConstraint("team_id", "document_id", "chunk_index"), _refers("document_id", "documents"))

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    document_id: Mapped[UUID]
    chunk_index: Mapped[int]
    content: Mapped[str]
    token_count: Mapped[int]
    page: Mapped[int | None]
    char_start: Mapped[int]
    char_end: Mapped[int]
    heading: Mapped[str | None]
    language: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    created_at: Mapped[datetime] = _now()

    document: Mapped[Document] = relationship(back_populates="chunks", lazy="raise")


class EmbeddingModel(Base):
    """A model whose vectors are stored here. A reference table: the same for every tenant."""

    __tablename__ = "embedding_models"
    __table_args__ = (UniqueConstraint("name", "dimensions"),)

    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    name: Mapped[str]
    dimensions: Mapped[int]
    created_at: Mapped[datetime] = _now()


class ChunkEmbedding(Base):
    """What search scans: narrow, both vectors in the row itself (STORAGE PLAIN), no text."""

    __tablename__ = "chunk_embeddings"
    __table_args__ = (
        _refers("document_id", "documents"),
        _refers("chunk_id", "document_chunks"),
        ForeignKeyConstraint(["model_id"], ["embedding_models.id"]),
        Index(None, "team_id", "chunk_id"),
        Index(None, "team_id", "document_id"),
    )

    team_id: Mapped[str] = _tenant()
    model_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, sort_order=-1)
    document_id: Mapped[UUID] = mapped_column(primary_key=True)
    chunk_id: Mapped[UUID] = mapped_column(primary_key=True)
    embedding: Mapped[Vector] = mapped_column(HalfVec(), deferred=True)
    lexical: Mapped[dict[int, float]] = mapped_column(SparseVec(), deferred=True)
    lexical_version: Mapped[int] = mapped_column(SmallInteger)


class TermStatistic(Base):
    """How many chunks of the workspace hold a term. Term 0 counts the chunks themselves."""

    __tablename__ = "term_statistics"

    team_id: Mapped[str] = _tenant()
    lexical_version: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    term: Mapped[int] = mapped_column(Integer, primary_key=True)
    chunk_count: Mapped[int] = mapped_column(Integer)


class Memory(Base):
    """What a person or a channel asked to be remembered."""

    __tablename__ = "memories"
    __table_args__ = (_refers("user_id", "users"), Index(None, "team_id", "channel_id"))

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    user_id: Mapped[UUID | None]
    channel_id: Mapped[str | None]
    content: Mapped[str]
    source_ts: Mapped[str | None]
    created_at: Mapped[datetime] = _now()


class Feedback(Base):
    """A thumb, up (1) or down (-1), on one of our answers."""

    __tablename__ = "feedback"
    __table_args__ = (
        _refers("message_id", "messages"),
        _refers("user_id", "users"),
        UniqueConstraint("team_id", "message_id", "user_id"),
    )

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    message_id: Mapped[UUID]
    user_id: Mapped[UUID]
    thumb: Mapped[int] = mapped_column(SmallInteger)
    comment: Mapped[str | None]
    created_at: Mapped[datetime] = _now()


class UsageEvent(Base):
    """Tokens and cost of one call of a model."""

    __tablename__ = "usage_events"
    __table_args__ = (Index(None, "team_id", "created_at"),)

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    user_id: Mapped[UUID | None]
    model: Mapped[str]
    prompt_tokens: Mapped[int] = mapped_column(server_default=text("0"))
    completion_tokens: Mapped[int] = mapped_column(server_default=text("0"))
    cost_usd: Mapped[float | None]
    created_at: Mapped[datetime] = _now()


class InboxEvent(Base):
    """What Slack delivered, byte for byte, before it was acknowledged."""

    __tablename__ = "inbox"
    __table_args__ = (UniqueConstraint("team_id", "event_id"),)

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    event_id: Mapped[str]
    body: Mapped[bytes] = mapped_column(deferred=True)
    received_at: Mapped[datetime] = _now()


class Work(Base):
    """A piece of work: the truth about what is done. `thread` is `channel:thread_ts` where it belongs to one.

    `epoch` goes up with each start, `attempts` with each start that ended badly; `blocked_since` says since when it
    waits for something that doesn't answer. `lock`, `pool` and `priority` are what the queue was told. `gesture` is the
    same for every message that one gesture of a person made; all but one of them are in state `copy`.
    """

    __tablename__ = "work"
    __table_args__ = (
        UniqueConstraint("team_id", "task", "key"),
        _refers("inbox_id", "inbox", ondelete="SET NULL"),
        Index("ix_work_waiting", "team_id", "run_at", "id", postgresql_where=text(UNFINISHED)),
        Index(
            "uq_work_team_id_task_gesture",
            "team_id",
            "task",
            "gesture",
            unique=True,
            postgresql_where=text(f"gesture IS NOT NULL AND {COUNTS}"),
        ),
    )

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    task: Mapped[str]
    key: Mapped[str]
    ids: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    inbox_id: Mapped[UUID | None]
    thread: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="queued")
    epoch: Mapped[int] = mapped_column(server_default=text("0"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    lock: Mapped[str | None]
    pool: Mapped[str] = mapped_column(server_default="chore")
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    gesture: Mapped[str | None]
    asker: Mapped[str | None]
    blocked_since: Mapped[datetime | None]
    error_id: Mapped[str | None]
    run_at: Mapped[datetime] = _now()
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Delivery(Base):
    """A message we posted, or are about to: one per (kind, key)."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("team_id", "kind", "key"),)

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    kind: Mapped[str]
    key: Mapped[str]
    channel_id: Mapped[str]
    thread_ts: Mapped[str | None]
    ts: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="posting")
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class ChannelPace(Base):
    """When a channel takes its next message from us, and its next question may be begun: shared by all processes.

    Until `closed_until` Slack wants to hear nothing, whatever was promised to whom.
    """

    __tablename__ = "channel_paces"

    team_id: Mapped[str] = _tenant()
    channel_id: Mapped[str] = mapped_column(primary_key=True)
    next_post_at: Mapped[datetime] = _now()
    next_start_at: Mapped[datetime] = _now()
    closed_until: Mapped[datetime] = _now()


class RateBucket(Base):
    """A token bucket: when it will be full again, which is in the past for one that is (`repositories/buckets.py`)."""

    __tablename__ = "rate_buckets"

    team_id: Mapped[str] = _tenant()
    name: Mapped[str] = mapped_column(primary_key=True)
    full_at: Mapped[datetime] = _now()


class Tombstone(Base):
    """Something deleted, remembered so that no late job brings it back."""

    __tablename__ = "tombstones"

    team_id: Mapped[str] = _tenant()
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = _now()


class Installation(Base):
    """A workspace's installation through OAuth; tokens are stored encrypted (`bot/vault.py`).

    `changes` counts its tokens. `refreshing_until`: somebody is getting a new one, and nobody else may meanwhile.
    """

    __tablename__ = "installations"

    team_id: Mapped[str] = _tenant()
    app_id: Mapped[str] = mapped_column(primary_key=True)
    bot_user_id: Mapped[str | None]
    bot_token: Mapped[bytes | None] = mapped_column(deferred=True)
    refresh_token: Mapped[bytes | None] = mapped_column(deferred=True)
    scopes: Mapped[str | None]
    is_enterprise: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    token_expires_at: Mapped[datetime | None]
    installed_at: Mapped[datetime] = _now()
    name: Mapped[str | None]
    url: Mapped[str | None]
    bot_id: Mapped[str | None]
    changes: Mapped[int] = mapped_column(server_default=text("0"))
    refreshing_until: Mapped[datetime | None]


class OAuthState(Base):
    """A sign-in under way: single use, short-lived, of no workspace yet: `team_id` is `values.INSTALLATIONS`.

    `state` is a hash of what Slack carries and what the browser's cookie holds.
    """

    __tablename__ = "oauth_states"

    team_id: Mapped[str] = _tenant()
    state: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]


class AuditRow(Base):
    """Who did what to which document, key or person. Append-only: the bot's role may insert and read."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "team_id", "created_at"),)

    team_id: Mapped[str] = _tenant()
    id: Mapped[UUID] = _key()
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    created_at: Mapped[datetime] = _now()
