"""The values that cross a layer. Frozen: whoever receives one may keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import numpy as np
import uuid_utils.compat
from numpy.typing import NDArray

LOCAL_TEAM_ID = "T0LOCAL"
"""The workspace used where no Slack names one: the playground's, and the command line's without a token."""

INSTALLATIONS = "installations"
"""Whose transactions may list the workspaces of this installation, and whose the sign-ins under way are: a tenant that
no workspace can be, for Slack's ids are capitals and digits."""

Vector = NDArray[np.float32]
"""One embedding, shape (dimensions,), or a batch of them, shape (n, dimensions); unit length."""

TermWeights = Mapping[int, float]
"""A sparse lexical vector: hashed term (1 … 2**29) → weight."""

ModelId = NewType("ModelId", int)
"""The row of `embedding_models` that a vector belongs to; vectors of two models are never compared."""


def new_id() -> UUID:
    """Return a fresh UUID version 7: unique, and ordered by the time it was made."""
    return uuid_utils.compat.uuid7()


def first_id(moment: datetime) -> UUID:
    """Return the lowest id that can have been made at this moment: ids of later ones are greater."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62))


class Role(StrEnum):
    """Who speaks in a conversation."""

    USER = "user"
    ASSISTANT = "assistant"


class Plan(StrEnum):
    """What a workspace or person pays for."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class DocumentStatus(StrEnum):
    """Where a document stands on its way from bytes to passages."""

    PROCESSING = "processing"
    READY = "ready"
    ERROR = "error"


class ChannelKind(StrEnum):
    """What sort of place a channel is; `personal` is ours, for uploads that come past Slack."""

    PUBLIC = "public"
    PRIVATE = "private"
    IM = "im"
    MPIM = "mpim"
    PERSONAL = "personal"


class UserKind(StrEnum):
    """How far a person belongs to the workspace."""

    MEMBER = "member"
    GUEST = "guest"
    EXTERNAL = "external"


BOT, SLACK = "bot", "slack"
"""Actors in the audit log that are nobody in particular: ourselves, and Slack, which doesn't say who it was."""


class Deed(StrEnum):
    """What the audit log tells of: `thing.what_was_done`."""

    DOCUMENT_UPLOADED = "document.uploaded"
    DOCUMENT_DELETED = "document.deleted"
    DOCUMENT_DELETION_REFUSED = "document.deletion_refused"
    DOCUMENT_RETRIED = "document.retried"
    FILE_DELETED = "file.deleted"
    CHANNEL_DELETED = "channel.deleted"
    MESSAGE_DELETED = "message.deleted"
    DOCUMENTS_EXPIRED = "document.expired"
    RETENTION_CHANGED = "retention.changed"
    WORKSPACE_PURGED = "workspace.purged"
    KEY_CREATED = "key.created"
    KEY_FIRST_USED = "key.first_used"
    KEY_REFUSED = "key.refused"
    KEY_REVOKED = "key.revoked"
    PERSON_CREATED = "person.created"
    PERSON_RAISED = "person.raised"
    PERSON_EXPORTED = "person.exported"
    PERSON_ERASED = "person.erased"
    WORKSPACE_INSTALLED = "workspace.installed"
    TOKENS_RESEALED = "tokens.resealed"
    TOKENS_DISCARDED = "tokens.discarded"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what: `actor` and `target` are a kind and an id, `user:UUID`, `key:UUID`, `cli:OSUSER`, `slack`.

    `details` holds ids, numbers and names of ours: never what somebody wrote, named or shared.
    """

    actor: str
    deed: Deed
    target: str
    details: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Token:
    """What Slack lets us in with. One that rotates has a `refresh_token`, good for once, and ends after `lasts_s`."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    lasts_s: float | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody let us into: a workspace, or a whole Enterprise organisation, whose id is the `team_id` then."""

    team_id: str
    app_id: str
    token: Token
    bot_user_id: str
    installer_id: str
    name: str = ""
    url: str = ""
    bot_id: str = ""
    scopes: str = ""
    is_enterprise: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """A workspace that let us in, without its tokens. `version` is another one as soon as anything of it is."""

    team_id: str
    app_id: str
    name: str
    url: str
    bot_user_id: str
    bot_id: str
    scopes: str
    is_enterprise: bool
    installed_at: datetime
    expires_at: datetime | None
    changes: int

    @property
    def version(self) -> tuple[datetime, int]:
        """When it was installed, and how many tokens it has had since."""
        return self.installed_at, self.changes

    @property
    def title(self) -> str:
        """What people call the workspace, and its id."""
        return f"{self.name} ({self.team_id})" if self.name else self.team_id


@dataclass(frozen=True, slots=True)
class Installation(Installed):
    """A workspace with its tokens, which are None where `problem` says why they can't be read."""

    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asked, and where.

    `user_id` is Slack's id. `thread_ts` is the thread's root, which is `ts` itself for a new one. `asked_in` is the
    workspace, by Slack's word for it, where `team_id` may be a whole organisation; "" where Slack doesn't say. `repeats`
    names the messages, as `CHANNEL:TS`, whose words it asks again for somebody else: it goes with any of them.
    """

    team_id: str
    channel_id: str
    user_id: str
    ts: str
    thread_ts: str
    text: str
    asked_in: str = ""
    repeats: tuple[str, ...] = ()

    @property
    def opens_thread(self) -> bool:
        """True when the question is the first message of its thread."""
        return self.thread_ts == self.ts


@dataclass(frozen=True, slots=True)
class AskedBefore:
    """A stored question made to stand alone; `repeats` names the messages, as `CHANNEL:TS`, whose words it is."""

    text: str
    repeats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as Slack describes them; `name` is what colleagues see."""

    user_id: str
    name: str
    email: str | None = None
    kind: UserKind = UserKind.MEMBER
    is_admin: bool = False
    is_deactivated: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """A place in Slack, with the people in it as far as they were read."""

    channel_id: str
    kind: ChannelKind
    name: str
    has_outsiders: bool
    member_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """How often Slack had told of changes when we began to ask it something: of people, and of each channel."""

    people: int = 0
    channels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audience:
    """The channels whose documents may be used in one answer.

    Fail closed: an empty set of channels reads nothing.
    """

    team_id: str
    channel_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file as Slack describes it, with the message that shared it. `size_bytes` is Slack's word, not yet checked."""

    team_id: str
    file_id: str
    filename: str
    mimetype: str
    size_bytes: int
    channel_id: str
    message_ts: str
    thread_ts: str
    user_id: str
    url: str | None = None
    is_external: bool = False


@dataclass(frozen=True, slots=True)
class Errand:
    """A piece of work for later. `ids` holds ids only: no text, no secrets.

    `key` is the same for every copy of what means this work, and `gesture` for every message that one gesture of a
    person made. Work with one `lock` is done one at a time, in the order it was written. `thread` is
    `channel:thread_ts` where the work belongs to one; `asker` is who must not crowd out the others.
    """

    task: str
    team_id: str
    key: str
    ids: Mapping[str, str]
    lock: str
    thread: str | None = None
    gesture: str | None = None
    asker: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """Where a document may be read, and how it came there. Uploads past Slack have neither file nor message."""

    channel_id: str
    shared_by: UUID
    file_id: str | None = None
    message_ts: str | None = None
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class PageSpan:
    """One page of a parsed document: `text[start:end]`; `number` counts from 1 (a slide or sheet counts as a page)."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """Bytes turned to text. `pages` is empty for kinds without pages; `is_markdown` lets the chunker see headings."""

    text: str
    file_type: str
    pages: tuple[PageSpan, ...] = ()
    is_markdown: bool = False
    title: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `document.text[char_start:char_end] == text`, exactly."""

    index: int
    text: str
    char_start: int
    char_end: int
    token_count: int
    page: int | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk with both of its vectors, ready to be stored."""

    chunk: Chunk
    embedding: Vector
    lexical: TermWeights


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word of a question: how often it was asked, and the hashed terms by which documents may hold it.

    The first is that of the question's own language; the others are the same word in the other languages.
    """

    count: int
    terms: tuple[int, ...]

    @property
    def own(self) -> int:
        """The term in the question's own language."""
        return self.terms[0]


@dataclass(frozen=True, slots=True)
class Passage:
    """A stored chunk that was found. `score` = w·lexical + (1 − w)·cosine; all three at most 1."""

    chunk_id: UUID
    document_id: UUID
    filename: str
    text: str
    char_start: int
    char_end: int
    page: int | None
    heading: str | None
    cosine: float
    lexical: float
    score: float
    channel_id: str | None = None
    message_ts: str | None = None
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages above the floor, best first; `nearest` are the best regardless of it.

    `term_weights` holds the idf of each term of the query in this workspace.
    """

    passages: tuple[Passage, ...] = ()
    nearest: tuple[Passage, ...] = ()
    term_weights: TermWeights = field(default_factory=dict)

    def cut(self, limit: int) -> SearchResult:
        """Return the first `limit` of both."""
        nearest = self.nearest[:limit]
        kept = {passage.chunk_id for passage in nearest}
        return SearchResult(tuple(p for p in self.passages if p.chunk_id in kept), nearest, self.term_weights)


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of a conversation, as plain text. `author` is a display name; None for ours.

    `author_id` is Slack's id of the author, where the message was read from Slack just now.
    """

    role: Role
    text: str
    author: str | None = None
    ts: str | None = None
    author_id: str | None = None


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What one question needs to be answered, read in one statement.

    `history` is the thread before the question, oldest first. `channel_ids` is the audience; of these,
    `stale_channel_ids` were read from Slack too long ago (or never); `marked_channel_ids` are none of it, but changed
    since they were read. `beyond_channel_ids` are those that the asker, as
    far as we know, could read alone: never for an answer that others see. `asker` is who asks, as far as Slack had told by
    the last of `people_changes`. `pending_files` counts the thread's files not yet read, `processing` names those known
    by name. Without an `embedding_model_id` nothing was ever stored. `debts` says of each bucket that the question takes
    from in how many seconds it will be full again, `tokens_today` what the workspace spent.
    """

    user_id: UUID
    conversation_id: UUID
    history: tuple[Turn, ...]
    thread_read: bool
    channel_ids: frozenset[str]
    channel_synced_at: datetime | None = None
    stale_channel_ids: frozenset[str] = frozenset()
    marked_channel_ids: frozenset[str] = frozenset()
    beyond_channel_ids: frozenset[str] = frozenset()
    asker: Person | None = None
    people_changes: int = 0
    embedding_model_id: ModelId | None = None
    pending_files: int = 0
    processing: tuple[str, ...] = ()
    debts: Mapping[str, float] = field(default_factory=dict)
    tokens_today: int | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """All a chat model is given. Passages are numbered from 1 in their order; `history` is oldest first.

    `search_text` is the question made to stand alone: for a follow-up, with what it refers to.
    """

    question: str
    search_text: str
    passages: tuple[Passage, ...]
    history: tuple[Turn, ...] = ()
    term_weights: TermWeights = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call of a model cost, in tokens, by the provider's word or a real tokenizer's.

    `stated` is False for an estimate of ours, and where no model was asked: that is nobody's bill.
    """

    model: str
    prompt_tokens: int
    completion_tokens: int
    stated: bool = True


@dataclass(frozen=True, slots=True)
class Spending:
    """What a call cost, and for whom; recorded as often as need be, it counts once, by its id."""

    usage: Usage
    user_id: UUID | None = None
    id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Citation:
    """Words an answer relies on: `quote` is cut from the stored chunk, at these offsets of the document's text."""

    number: int
    document_id: UUID
    chunk_id: UUID
    filename: str
    page: int | None
    quote: str
    char_start: int
    char_end: int
    permalink: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the person. Without citations `found` is False and `text` says so.

    `unread` names the thread's files that were not read in time. `offers_more`: the asker alone could be told more.
    """

    text: str
    citations: tuple[Citation, ...]
    found: bool
    usage: Usage
    unread: tuple[str, ...] = ()
    offers_more: bool = False


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """How the reading of one file ended."""

    document_id: UUID
    filename: str
    status: DocumentStatus
    error: str | None = None
    chunk_count: int = 0
    page_count: int = 0
    already_known: bool = False
    version: int = 1


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far the reading of a file that a message shared has come: `stored` of `total` passages, None before they are cut.

    `filename` is None while Slack hasn't told it to us, `is_recorded` True once its bytes were seen. `is_waiting`: for
    something that doesn't answer. `is_done`: nobody is at it any more, however it ended.
    """

    file_id: str
    filename: str | None
    status: DocumentStatus
    error: str | None = None
    version: int = 1
    stored: int = 0
    total: int | None = None
    is_recorded: bool = True
    is_waiting: bool = False
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class MessageProgress:
    """How far the files of one message are, and what its receipt says of it.

    `shown_s`: seconds since the receipt was last changed, None before it is posted; `is_shown` that it says its last
    word. `quiet_s`: seconds since something about the files changed; `is_news` when the receipt doesn't tell yet.
    """

    files: tuple[FileProgress, ...]
    shown_s: float | None = None
    is_shown: bool = False
    quiet_s: float = 0.0
    is_news: bool = True

    @property
    def is_done(self) -> bool:
        """True when nobody is at any of them any more."""
        return all(file.is_done for file in self.files)
