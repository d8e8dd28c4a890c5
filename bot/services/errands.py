"""What work is called and told: one place for the key, lock and ids of each task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from bot.text.lexical import LEXICAL_VERSION
from bot.values import Errand, ModelId, Question, new_id

_RETRACTED_AT_ONCE = 200


def answer_errand(question: Question, *, gesture: str | None = None) -> Errand:
    """Return the work of answering a question; every copy of its message makes the same.

    `gesture` is Slack's `client_msg_id`, which two messages of one gesture share.
    """
    thread = _thread(question.channel_id, question.thread_ts)
    return Errand(
        "answer",
        question.team_id,
        message_key(question.channel_id, question.ts),
        {**_place(question.team_id, question.channel_id, question.ts, question.thread_ts), "user_id": question.user_id},
        lock=f"{question.team_id}:thread:{thread}",
        thread=thread,
        gesture=f"{question.channel_id}:{gesture}" if gesture else None,
        asker=question.user_id,
    )


def ingest_errand(team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str) -> Errand:
    """Return the work of reading a file that a message shared."""
    return Errand(
        "ingest",
        team_id,
        f"{file_id}:{message_key(channel_id, message_ts)}",
        {**_place(team_id, channel_id, message_ts, thread_ts), "file_id": file_id},
        lock=f"{team_id}:file:{file_id}",
        thread=_thread(channel_id, thread_ts),
    )


def receipt_errand(team_id: str, *, channel_id: str, message_ts: str, thread_ts: str) -> Errand:
    """Return the work of telling what became of a message's files."""
    key = message_key(channel_id, message_ts)
    ids = _place(team_id, channel_id, message_ts, thread_ts)
    return Errand("receipt", team_id, key, ids, lock=f"{team_id}:receipt:{key}", thread=_thread(channel_id, thread_ts))


def command_errand(team_id: str, *, trigger_id: str, user_id: str) -> Errand:
    """Return the work of answering a question asked by a slash command, or a click: its asker alone sees the answer."""
    key = f"command:{trigger_id}"
    ids = {"team_id": team_id, "user_id": user_id}
    return Errand("answer", team_id, key, ids, lock=f"{team_id}:{key}", asker=user_id)


def reread_errand(team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str) -> Errand:
    """Return the work of reading a file once more, though it was read before."""
    errand = ingest_errand(team_id, file_id, channel_id=channel_id, message_ts=message_ts, thread_ts=thread_ts)
    return replace(errand, key=f"{file_id}:{new_id()}")


def forget_errand(team_id: str, file_id: str) -> Errand:
    """Return the work of forgetting a file that is gone from Slack."""
    ids = {"team_id": team_id, "file_id": file_id}
    return Errand("forget", team_id, file_id, ids, lock=f"{team_id}:forget:{file_id}")


def unsay_errand(team_id: str, *, channel_id: str, message_ts: str) -> Errand:
    """Return the work of deleting what a deleted message said and shared."""
    key = message_key(channel_id, message_ts)
    ids = {"team_id": team_id, "channel_id": channel_id, "message_ts": message_ts}
    return Errand("unsay", team_id, key, ids, lock=f"{team_id}:unsay:{key}")


def vacate_errand(team_id: str, channel_id: str) -> Errand:
    """Return the work of deleting all that a deleted channel held."""
    ids = {"team_id": team_id, "channel_id": channel_id}
    return Errand("vacate", team_id, channel_id, ids, lock=f"{team_id}:vacate:{channel_id}")


def retract_errands(team_id: str, document_ids: Sequence[UUID]) -> Iterator[Errand]:
    """Yield the work of taking back the answers that rely on these documents, should they be out of reach now."""
    for start in range(0, len(document_ids), _RETRACTED_AT_ONCE):
        ids = {
            "team_id": team_id,
            "document_ids": " ".join(str(one) for one in document_ids[start : start + _RETRACTED_AT_ONCE]),
        }
        yield Errand("retract", team_id, str(new_id()), ids, lock=f"{team_id}:retract")


def expire_errand(team_id: str, moment: datetime) -> Errand:
    """Return the work of deleting what is older than it is kept: once an hour, whoever asks for it."""
    key = f"{moment:%Y-%m-%dT%H}"
    return Errand("expire", team_id, key, {"team_id": team_id}, lock=f"{team_id}:expire")


def lexicon_errand(team_id: str, moment: datetime) -> Errand:
    """Return the work of bringing what search knows of words up to date: once a day, whoever asks for it."""
    key = f"{LEXICAL_VERSION}:{moment:%Y-%m-%d}"
    return Errand("lexicon", team_id, key, {"team_id": team_id}, lock=f"{team_id}:lexicon")


def backfill_errand(team_id: str, *, since: datetime, until: datetime) -> Errand:
    """Return the work of reading what Slack said while nobody listened; one such gap is read at a time."""
    ids = {"team_id": team_id, "since": since.isoformat()}
    return Errand("backfill", team_id, f"{since.isoformat()}/{until.isoformat()}", ids, lock=f"{team_id}:backfill")


def index_errand(team_id: str, model_id: ModelId) -> Errand:
    """Return the work of indexing a model's vectors."""
    return Errand("index", team_id, str(model_id), {"team_id": team_id}, lock=f"{team_id}:index:{model_id}")


def message_key(channel_id: str, ts: str) -> str:
    """Return what a message is called in keys."""
    return f"{channel_id}:{ts}"


def _thread(channel_id: str, thread_ts: str) -> str:
    return f"{channel_id}:{thread_ts}"


def _place(team_id: str, channel_id: str, message_ts: str, thread_ts: str) -> dict[str, str]:
    return {"team_id": team_id, "channel_id": channel_id, "message_ts": message_ts, "thread_ts": thread_ts}
