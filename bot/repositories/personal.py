"""All that is stored of one person: to hand it to them, and to take it away."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import UNFINISHED
from bot.repositories import shares
from bot.repositories.channels import personal_channel_id
from bot.repositories.copies import delete_orphaned_copies
from bot.repositories.documents import FILE
from bot.repositories.naming import NAME, SHOWN_FIRST
from bot.repositories.tombstones import TombstoneRepository
from bot.repositories.users import UserRepository
from bot.text.clean import clean

DOCUMENT_TAKEN_AWAY = "(This answer relied on a document that was taken away.)"
"""What stands in place of an answer whose source is gone."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, by every name under which something of theirs may be stored."""

    user_id: UUID
    slack_user_id: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Erased:
    """How much of a person was taken away. `documents_kept`: others shared the same bytes."""

    messages: int
    documents: int
    documents_kept: int
    answers_marked: int
    events: int
    work_stopped: int


class PersonalDataRepository:
    """Finds and deletes what is stored of one person."""

    def __init__(self, session: AsyncSession, team_id: str, identity: Identity) -> None:
        self._session = session
        self._team_id = team_id
        self._identity = identity

    async def list_all(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row that is theirs, by what it is, as JSON has it; `body` of an event is text."""
        found: dict[str, list[dict[str, Any]]] = {}
        for what, statement in _ROWS.items():
            rows = await self._session.execute(text(statement), self._parameters())
            found[what] = [_plain(row) for row in rows.scalars()]
        return found

    async def erase(self) -> Erased:
        """Delete what is theirs, for good, in this transaction; the audit log stays, which knows them by number alone.

        What they shared goes, unless somebody else shared the same bytes: then it stays as theirs. Answers to them go
        with their questions, and with those that others asked again; answers to others that relied on what is gone are
        emptied.
        """
        file_ids = await self._session.scalars(_FILES, self._parameters())
        for file_id in list(file_ids):  # first: who is storing one of their files has ended when this returns
            await TombstoneRepository(self._session).record(self._team_id, FILE, file_id)
        await self._session.execute(_LOCK_PERSON, self._parameters())  # nothing new becomes theirs from here on
        work_stopped = await self._count(_STOP_WORK)
        await self._session.execute(_CLEAR_SUMMARIES, self._parameters())
        messages = (await self._session.execute(_DELETE_MESSAGES, self._parameters())).scalar_one()
        messages += await delete_orphaned_copies(self._session, self._team_id)
        documents = list(await self._session.scalars(_SHARED_DOCUMENTS, self._parameters()))
        await shares.delete_shares_by(self._session, self._team_id, self._identity.user_id)
        gone = await self._gone(documents)
        marked = await self._count(_EMPTY_ANSWERS, {"gone": [str(each) for each in gone], "words": DOCUMENT_TAKEN_AWAY})
        for statement in _DELETE_REST:
            await self._session.execute(statement, self._parameters())
        events = await self._count(_EMPTY_EVENTS)
        await UserRepository(self._session).delete(self._team_id, self._identity.user_id)
        return Erased(messages, len(gone), len(documents) - len(gone), marked, events, work_stopped)

    async def _gone(self, document_ids: Collection[UUID]) -> list[UUID]:
        parameters = {"team": self._team_id, "ids": list(document_ids)}
        left = set(await self._session.scalars(_LEFT, parameters))
        return [document_id for document_id in document_ids if document_id not in left]

    async def _count(self, statement: Any, more: dict[str, Any] | None = None) -> int:
        return len((await self._session.execute(statement, {**self._parameters(), **(more or {})})).all())

    def _parameters(self) -> dict[str, Any]:
        person = self._identity
        slack = person.slack_user_id
        return {
            "team": self._team_id,
            "user": person.user_id,
            "number": str(person.user_id),
            "slack": slack,
            "name": None if person.name is None else clean(person.name),
            "places": [personal_channel_id(person.user_id), *([f"private:{slack}"] if slack else [])],
            "wrote": rf'"user"\s*:\s*"{slack}"|(^|&)user_id={slack}(&|$)' if slack else None,
            "names": rf"{slack}(?![A-Z0-9])" if slack else None,
        }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the bytes of an event as text: in JSON they stand as hexadecimal digits after a mark."""
    if isinstance(body := row.get("body"), str):
        row["body"] = bytes.fromhex(body.removeprefix("\\x")).decode("utf-8", "replace")
    return row


_THEIR_MESSAGE = """
    m.team_id = :team AND (
        m.author_id = :user OR m.author_slack_id = CAST(:slack AS text) OR m.channel_id = ANY(CAST(:places AS text[]))
        OR m.author_id IS NULL AND m.author_slack_id IS NULL AND m.role = 'user' AND m.author_name = CAST(:name AS text))
"""
"""What they wrote, and all that was said in places of theirs alone.

The last line is for what a former release read of threads, by name alone: a namesake's goes too.
"""

_ANSWER_TO_THEM = f"""
    a.team_id = :team AND a.role = 'assistant'
    AND (a.channel_id, a.reply_to) IN (SELECT m.channel_id, m.slack_ts FROM messages m WHERE {_THEIR_MESSAGE})
"""

_THEIR_EVENT = "i.team_id = :team AND encode(i.body, 'escape') ~ CAST(:names AS text)"
"""Raw events that name them, wherever: as their author, in what an edit replaced, mentioned by others."""

_THEIR_DOCUMENT = """
    d.team_id = :team AND d.id IN (SELECT document_id FROM document_shares WHERE team_id = :team AND shared_by = :user)
"""

_THEIR_NAMES = f"""
    SELECT DISTINCT ON (s.document_id) s.document_id, {NAME} AS filename, s.created_at
      FROM document_shares s JOIN documents d ON d.team_id = s.team_id AND d.id = s.document_id
     WHERE s.team_id = :team AND s.shared_by = :user ORDER BY s.document_id, {SHOWN_FIRST}
"""
"""What they called their documents, and when they shared them: the row itself tells of whoever was first."""

_ROWS = {
    "person": "SELECT to_jsonb(u) FROM users u WHERE u.team_id = :team AND u.id = :user",
    "api_keys": "SELECT to_jsonb(k) - 'secret_hash' FROM api_keys k WHERE k.team_id = :team AND k.user_id = :user "
    "ORDER BY k.id",
    "channels": "SELECT to_jsonb(c) FROM channel_members c WHERE c.team_id = :team AND c.slack_user_id = :slack "
    "ORDER BY c.channel_id",
    "conversations": "SELECT to_jsonb(c) FROM conversations c WHERE c.team_id = :team "
    "AND (c.started_by = :user OR c.channel_id = ANY(CAST(:places AS text[]))) ORDER BY c.id",
    "messages": f"SELECT to_jsonb(m) FROM messages m WHERE {_THEIR_MESSAGE} ORDER BY m.id",
    "answers": f"SELECT to_jsonb(a) FROM messages a WHERE {_ANSWER_TO_THEM} ORDER BY a.id",
    "documents": f"""
        SELECT to_jsonb(d) - '{{uploader_id, updated_at, version}}'::text[]
               || jsonb_build_object('filename', s.filename, 'created_at', s.created_at)
          FROM documents d JOIN ({_THEIR_NAMES}) AS s ON s.document_id = d.id WHERE d.team_id = :team ORDER BY d.id""",
    "shares": "SELECT to_jsonb(s) FROM document_shares s WHERE s.team_id = :team AND s.shared_by = :user ORDER BY s.id",
    "passages": f"SELECT to_jsonb(p) FROM document_chunks p WHERE p.team_id = :team "
    f"AND p.document_id IN (SELECT d.id FROM documents d WHERE {_THEIR_DOCUMENT}) ORDER BY p.document_id, p.chunk_index",
    "memories": "SELECT to_jsonb(r) FROM memories r WHERE r.team_id = :team AND r.user_id = :user ORDER BY r.id",
    "feedback": "SELECT to_jsonb(f) FROM feedback f WHERE f.team_id = :team AND f.user_id = :user ORDER BY f.id",
    "usage": "SELECT to_jsonb(u) FROM usage_events u WHERE u.team_id = :team AND u.user_id = :user ORDER BY u.id",
    "events": f"SELECT to_jsonb(i) FROM inbox i WHERE {_THEIR_EVENT} ORDER BY i.id",
    "work": "SELECT to_jsonb(w) FROM work w WHERE w.team_id = :team AND w.asker = :slack ORDER BY w.id",
    "audit": """
        WITH actors AS (
            SELECT 'user:' || CAST(:number AS text) AS name
            UNION SELECT 'key:' || id FROM api_keys WHERE team_id = :team AND user_id = :user
            UNION SELECT target FROM audit_log
                   WHERE team_id = :team AND action = 'key.created' AND metadata ->> 'user_id' = CAST(:number AS text))
        SELECT to_jsonb(a) FROM audit_log a
         WHERE a.team_id = :team AND (a.actor IN (SELECT name FROM actors) OR a.target IN (SELECT name FROM actors))
         ORDER BY a.id""",
}

_FILES = text("""
    SELECT DISTINCT s.file_id FROM document_shares s
     WHERE s.team_id = :team AND s.shared_by = :user AND s.file_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM document_shares o
                        WHERE o.team_id = :team AND o.file_id = s.file_id AND o.shared_by <> :user)
     ORDER BY s.file_id
""")
_LOCK_PERSON = text("SELECT 1 FROM users WHERE team_id = :team AND id = :user FOR UPDATE")
_SHARED_DOCUMENTS = text("""
    SELECT DISTINCT document_id FROM document_shares WHERE team_id = :team AND shared_by = :user
""")
_LEFT = text("SELECT id FROM documents WHERE team_id = :team AND id = ANY(:ids)")

_STOP_WORK = text(f"""
    UPDATE work w SET state = 'stopped', epoch = epoch + 1, updated_at = now()
     WHERE w.team_id = :team AND (w.{UNFINISHED} OR w.state = 'copy')
       AND (w.asker = CAST(:slack AS text)
            OR w.inbox_id IN (SELECT i.id FROM inbox i
                               WHERE i.team_id = :team AND encode(i.body, 'escape') ~ CAST(:wrote AS text)))
    RETURNING w.id
""")
"""Their questions, and the reading of their files."""

_EMPTY_ANSWERS = text("""
    UPDATE messages SET content = :words, sources = '[]'
     WHERE team_id = :team AND EXISTS (
           SELECT FROM jsonb_array_elements(sources) AS source WHERE source ->> 'document_id' = ANY(:gone))
    RETURNING id
""")

_CLEAR_SUMMARIES = text(f"""
    UPDATE conversations SET title = NULL, summary = NULL, summary_until_ts = NULL
     WHERE team_id = :team AND (started_by = :user
           OR id IN (SELECT m.conversation_id FROM messages m WHERE {_THEIR_MESSAGE}))
""")

_DELETE_MESSAGES = text(f"""
    WITH theirs AS (
        SELECT m.id, m.channel_id, m.slack_ts FROM messages m WHERE {_THEIR_MESSAGE}
    ), remembered AS (
        DELETE FROM memories r USING theirs t
         WHERE r.team_id = :team AND r.channel_id = t.channel_id AND r.source_ts = t.slack_ts
    ), answers AS (
        DELETE FROM messages a WHERE {_ANSWER_TO_THEM} AND a.id NOT IN (SELECT id FROM theirs)
    ), gone AS (
        DELETE FROM messages WHERE team_id = :team AND id IN (SELECT id FROM theirs)
    )
    SELECT count(*) FROM theirs
""")

_DELETE_REST = (
    text("DELETE FROM conversations WHERE team_id = :team AND channel_id = ANY(CAST(:places AS text[]))"),
    text("DELETE FROM deliveries WHERE team_id = :team AND channel_id = ANY(CAST(:places AS text[]))"),
    text("DELETE FROM channel_members WHERE team_id = :team AND slack_user_id = CAST(:slack AS text)"),
    text("""
        DELETE FROM rate_buckets WHERE team_id = :team
           AND split_part(name, ':', 2) IN (CAST(:slack AS text), CAST(:number AS text))
    """),
    text("UPDATE usage_events SET user_id = NULL WHERE team_id = :team AND user_id = :user"),
    text("""
        UPDATE work SET asker = NULL, ids = ids - 'user_id'
         WHERE team_id = :team AND (asker = CAST(:slack AS text) OR ids ->> 'user_id' = CAST(:slack AS text))
    """),
)

_EMPTY_EVENTS = text(f"""
    UPDATE inbox i SET body = ''
     WHERE {_THEIR_EVENT}
       AND NOT EXISTS (SELECT FROM work w WHERE w.team_id = :team AND w.inbox_id = i.id AND w.{UNFINISHED})
    RETURNING i.id
""")
"""The row stays, so that Slack's next copy of it is known. What others still wait for an answer to stays whole."""
