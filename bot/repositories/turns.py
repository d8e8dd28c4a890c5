"""The two statements of one turn of a conversation: all it needs read at its start, all it made stored at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from bot.db.models import UNFINISHED
from bot.repositories.audience import AUDIENCE, BEYOND, MARKED, STALE
from bot.repositories.buckets import CHARGED, Costs, charge_parameters
from bot.repositories.naming import NAME
from bot.repositories.people import PERSON
from bot.repositories.usage import TOKENS_TODAY
from bot.text.clean import clean, clean_or_none, to_json
from bot.values import Answer, Citation, ModelId, Person, Question, Role, Turn, TurnContext, new_id

PENDING_FILES = f"""
    (SELECT count(*) FROM work w
      WHERE w.team_id = :team AND w.{UNFINISHED} AND w.task = 'ingest'
        AND w.thread = CAST(:channel AS text) || ':' || CAST(:thread_ts AS text)) AS pending_files,
    ARRAY(SELECT DISTINCT {NAME}
            FROM document_shares s JOIN documents d ON d.team_id = s.team_id AND d.id = s.document_id
           WHERE s.team_id = :team AND s.channel_id = :channel AND s.thread_ts = :thread_ts
             AND d.status = 'processing' ORDER BY 1) AS processing"""
"""The thread's files that are not read yet: how many, and the names of those known by name."""

CONVERSATION = """
conversation_new AS (
    INSERT INTO conversations (team_id, id, channel_id, thread_ts, started_by, thread_read_at)
    SELECT :team, CAST(:new_conversation_id AS uuid), :channel, :thread_ts, p.id,
           CASE WHEN CAST(:opens_thread AS boolean) THEN now() END
      FROM person p
     WHERE NOT EXISTS (SELECT 1 FROM conversations
                        WHERE team_id = :team AND channel_id = :channel AND thread_ts = :thread_ts)
       AND NOT EXISTS (SELECT 1 FROM tombstones WHERE team_id = :team AND kind = 'channel' AND key = :channel)
    ON CONFLICT DO NOTHING
    RETURNING id, thread_read_at
), conversation AS (
    SELECT id, thread_read_at FROM conversation_new
    UNION ALL
    SELECT id, thread_read_at FROM conversations
     WHERE team_id = :team AND channel_id = :channel AND thread_ts = :thread_ts
)"""
"""`conversation (id, thread_read_at)`, after `person (id)`: one row, or none when another transaction just made it."""

UNREADABLE_SOURCE = """
    SELECT FROM jsonb_array_elements(m.sources) AS source
     WHERE NOT EXISTS (SELECT FROM document_shares d JOIN audience USING (channel_id)
                        WHERE d.team_id = :team AND d.document_id = CAST(source ->> 'document_id' AS uuid))"""
"""The sources of a message `m` that `audience` may not read."""

BEGIN = text(f"""
WITH {PERSON},
asker AS (SELECT id, CAST(:slack_user AS text) AS slack_user_id, CAST(:user_kind AS text) AS kind FROM person),
{AUDIENCE},
{CONVERSATION},
repeated AS (
    SELECT o.id FROM messages o
     WHERE o.team_id = :team AND o.channel_id = CAST(:repeats_in AS text) AND o.slack_ts = ANY(CAST(:repeats_ts AS text[]))
       FOR KEY SHARE
), message_new AS (
    INSERT INTO messages
           (team_id, id, conversation_id, channel_id, slack_ts, author_id, author_name, role, content, reply_to)
    SELECT :team, CAST(:message_id AS uuid), c.id, :channel, CAST(:ts AS text), p.id, :person_name, 'user',
           CAST(:content AS text), CAST(:repeats AS text)
      FROM conversation c CROSS JOIN person p
     WHERE (SELECT count(*) FROM repeated) = cardinality(CAST(:repeats_ts AS text[]))
       AND NOT EXISTS (SELECT 1 FROM tombstones
                        WHERE team_id = :team AND (kind = 'channel' AND key = :channel
                              OR kind = 'message' AND key = :channel || ':' || CAST(:ts AS text)))
    ON CONFLICT DO NOTHING
    RETURNING id
), message_asked AS (
    UPDATE messages SET author_id = p.id, content = CAST(:content AS text)
      FROM person p
     WHERE messages.team_id = :team AND messages.channel_id = :channel AND messages.slack_ts = CAST(:ts AS text)
       AND messages.role = 'user' AND messages.author_id IS NULL
    RETURNING messages.id
), {CHARGED.format(condition="EXISTS (SELECT FROM message_new) OR EXISTS (SELECT FROM message_asked)")}
SELECT p.id AS user_id, c.id AS conversation_id, c.thread_read_at IS NOT NULL AS thread_read,
       ARRAY(SELECT channel_id FROM audience) AS channel_ids,
       ARRAY({STALE}) AS stale_channel_ids,
       ARRAY({MARKED}) AS marked_channel_ids,
       ARRAY({BEYOND}) AS beyond_channel_ids,
       (SELECT synced_at FROM place) AS channel_synced_at,
       w.embedding_model_id, coalesce(w.people_changes, 0) AS people_changes,
       (SELECT json_agg(h ORDER BY h.ts, h.id)
          FROM (SELECT m.id, m.role, m.content AS text, coalesce(m.author_name, u.name) AS author, m.slack_ts AS ts
                  FROM messages m LEFT JOIN users u ON u.team_id = m.team_id AND u.id = m.author_id
                 WHERE m.team_id = :team AND m.conversation_id = c.id
                   AND (m.slack_ts < :ts OR m.role = 'assistant' AND m.reply_to < :ts) AND m.state <> 'apology'
                   AND NOT EXISTS ({UNREADABLE_SOURCE})
                 ORDER BY m.slack_ts DESC, m.id DESC
                 LIMIT :history_limit) h) AS history,
       (SELECT json_object_agg(name, debt_s) FROM charged) AS debts,
       CASE WHEN CAST(:counts_tokens AS boolean) THEN {TOKENS_TODAY} END AS tokens_today,
       {PENDING_FILES}
  FROM person p CROSS JOIN conversation c LEFT JOIN workspaces w ON w.team_id = :team
""")
"""Stores who asks, the conversation and the question, and reads what an answer needs: one row of a TurnContext.

An answer to an earlier question is history, though it may have been posted after the next one was asked; not so one
that rests on what the audience of this one may not read, or not any more. The question takes from its buckets when it
is stored, or when an edit makes one of what was read with the thread: not again when it is tried again. One that repeats others is stored while these are there, and names them in
`reply_to`; whoever deletes one of them waits, and finds it (`repositories/copies.py`).
"""

RECORD_ANSWER = text("""
WITH cited AS MATERIALIZED (
    SELECT id FROM documents WHERE team_id = :team AND id = ANY(CAST(:cited AS uuid[])) ORDER BY id FOR KEY SHARE
), answer AS (
    INSERT INTO messages (team_id, id, conversation_id, channel_id, slack_ts, role, content, reply_to, sources, model,
                          token_count, prompt_tokens, completion_tokens, latency_ms, state)
    SELECT :team, :id, CAST(:conversation AS uuid), CAST(:channel AS text), CAST(:slack_ts AS text), 'assistant',
           :content, :reply_to, CAST(:sources AS jsonb), CAST(:model AS text),
           CAST(:prompt_tokens AS integer) + CAST(:completion_tokens AS integer),
           CAST(:prompt_tokens AS integer), CAST(:completion_tokens AS integer), :latency_ms, :state
     WHERE NOT EXISTS (SELECT 1 FROM tombstones
                        WHERE team_id = :team AND kind = 'message'
                          AND key = CAST(:channel AS text) || ':' || CAST(:slack_ts AS text))
       AND (NOT CAST(:is_repeated AS boolean)
            OR EXISTS (SELECT 1 FROM messages WHERE team_id = :team AND channel_id = :channel AND slack_ts = :reply_to))
    ON CONFLICT (team_id, channel_id, slack_ts) DO UPDATE
       SET content = excluded.content, reply_to = excluded.reply_to, sources = excluded.sources,
           model = excluded.model, token_count = excluded.token_count, prompt_tokens = excluded.prompt_tokens,
           completion_tokens = excluded.completion_tokens, latency_ms = excluded.latency_ms, state = excluded.state
     WHERE messages.role = 'assistant' AND messages.model IS NULL
    RETURNING id, conversation_id
), touched AS (
    UPDATE conversations SET updated_at = now()
     WHERE team_id = :team AND id IN (SELECT conversation_id FROM answer)
), used AS (
    INSERT INTO usage_events (team_id, id, user_id, model, prompt_tokens, completion_tokens, cost_usd)
    SELECT :team, CAST(:usage_id AS uuid), CAST(:user AS uuid), CAST(:model AS text),
           CAST(:prompt_tokens AS integer), CAST(:completion_tokens AS integer),
           CAST(:cost_usd AS double precision)
     WHERE CAST(:usage_stated AS boolean)
    ON CONFLICT DO NOTHING
)
SELECT (SELECT id FROM answer) AS id,
       ARRAY(SELECT unnest(CAST(:cited AS uuid[]))
             EXCEPT SELECT id FROM cited WHERE is_shared(:team, id, CAST(:channels AS text[]))) AS missing
""")
"""An answer is stored once; one that reading the thread stored before, as bare text, is completed, and one that somebody
deleted as soon as it stood there isn't stored. Nor is one to a question of others that was deleted with theirs.

What it cost is stored even if the answer was there already: it was spent. A cited document that is deleted meanwhile, or
taken out of all channels of the turn's audience, is missing, or else whoever does it waits until the answer can be found:
they lock the document too, and `is_shared` looks after that, with a snapshot of its own.
"""

RECORD_THREAD = text("""
WITH added AS (
    INSERT INTO messages (team_id, id, conversation_id, channel_id, slack_ts, author_name, author_slack_id, role, content)
    SELECT :team, id, CAST(:conversation AS uuid), CAST(:channel AS text), slack_ts, author_name, author_slack_id, role,
           content
      FROM unnest(CAST(:ids AS uuid[]), CAST(:slack_ts AS text[]), CAST(:authors AS text[]),
                  CAST(:author_slack_ids AS text[]), CAST(:roles AS text[]), CAST(:contents AS text[]))
           AS t (id, slack_ts, author_name, author_slack_id, role, content)
     WHERE NOT EXISTS (SELECT FROM tombstones g
                        WHERE g.team_id = :team AND g.kind = 'message'
                          AND g.key = CAST(:channel AS text) || ':' || t.slack_ts)
    ON CONFLICT DO NOTHING
    RETURNING id
), touched AS (
    UPDATE conversations SET thread_read_at = now() WHERE team_id = :team AND id = :conversation
)
SELECT count(*) FROM added
""")


def begin_parameters(
    question: Question, *, history_limit: int, private: bool, costs: Costs, counts_tokens: bool
) -> dict[str, Any]:
    """Return what `BEGIN` binds of the question, and of what it takes from which bucket."""
    return {
        **charge_parameters(costs),
        "counts_tokens": counts_tokens,
        "channel": question.channel_id,
        "thread_ts": question.thread_ts,
        "ts": question.ts,
        "opens_thread": question.opens_thread,
        "content": clean(question.text),
        "private": private,
        "repeats": " ".join(question.repeats) or None,
        "repeats_in": question.repeats[0].partition(":")[0] if question.repeats else None,
        "repeats_ts": [key.partition(":")[2] for key in question.repeats],
        "history_limit": history_limit,
        "new_conversation_id": new_id(),
        "message_id": new_id(),
    }


def turn_context(row: RowMapping, asker: Person) -> TurnContext:
    """Return the value made from `BEGIN`'s row, for who asked."""
    model_id = row["embedding_model_id"]
    return TurnContext(
        user_id=row["user_id"],
        conversation_id=row["conversation_id"],
        history=tuple(_turn(entry) for entry in row["history"] or []),
        thread_read=row["thread_read"],
        channel_ids=frozenset(row["channel_ids"]),
        channel_synced_at=row["channel_synced_at"],
        stale_channel_ids=frozenset(row["stale_channel_ids"]),
        marked_channel_ids=frozenset(row["marked_channel_ids"]),
        beyond_channel_ids=frozenset(row["beyond_channel_ids"]),
        asker=asker,
        people_changes=row["people_changes"],
        embedding_model_id=None if model_id is None else ModelId(model_id),
        pending_files=row["pending_files"],
        processing=tuple(row["processing"]),
        debts=row["debts"] or {},
        tokens_today=row["tokens_today"],
    )


def answer_parameters(question: Question, turn: TurnContext, answer: Answer, usage_id: UUID | None) -> dict[str, Any]:
    """Return what `RECORD_ANSWER` binds of an answer."""
    return {
        "team": question.team_id,
        "id": new_id(),
        "usage_id": usage_id or new_id(),
        "usage_stated": answer.usage.stated,
        "conversation": turn.conversation_id,
        "user": turn.user_id,
        "channel": question.channel_id,
        "reply_to": question.ts,
        "is_repeated": bool(question.repeats),
        "content": clean(answer.text),
        "cited": sorted({citation.document_id for citation in answer.citations}),
        "channels": sorted(turn.channel_ids),
        "sources": to_json([source_from(citation) for citation in answer.citations]),
        "model": clean_or_none(answer.usage.model) or None,
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
    }


def source_from(citation: Citation) -> dict[str, Any]:
    """Return a citation as it is stored with its answer: its fields, ids as text."""
    return {**asdict(citation), "document_id": str(citation.document_id), "chunk_id": str(citation.chunk_id)}


def _turn(entry: Mapping[str, Any]) -> Turn:
    role = Role(entry["role"])
    return Turn(role, entry["text"], author=entry["author"] if role is Role.USER else None, ts=entry["ts"])
