"""Values as the API's JSON."""

from __future__ import annotations

from typing import Any

from bot.services.documents import DocumentView
from bot.services.users import Account
from bot.values import Answer, Citation, Passage


def account_json(account: Account) -> dict[str, Any]:
    """Return a person."""
    return {
        "id": str(account.id),
        "name": account.name,
        "email": account.email,
        "slack_user_id": account.slack_user_id,
        "kind": account.kind,
        "plan": account.plan,
        "is_admin": account.is_admin,
        "created_at": account.created_at.isoformat(),
    }


def document_json(view: DocumentView) -> dict[str, Any]:
    """Return a document, with those of its channels that the caller knows; `error` is the reason in words."""
    return {
        "id": str(view.id),
        "filename": view.filename,
        "status": view.status,
        "error": view.error,
        "file_type": view.file_type,
        "size_bytes": view.size_bytes,
        "version": view.version,
        "created_at": view.shared_at.isoformat(),
        "uploader": view.uploader,
        "channel_ids": list(view.channel_ids),
    }


def passage_json(passage: Passage) -> dict[str, Any]:
    """Return a passage. Its offsets count characters of the document's text; the scores are at most 1."""
    return {
        "document_id": str(passage.document_id),
        "chunk_id": str(passage.chunk_id),
        "filename": passage.filename,
        "page": passage.page,
        "heading": passage.heading,
        "text": passage.text,
        "char_start": passage.char_start,
        "char_end": passage.char_end,
        "score": passage.score,
        "cosine": passage.cosine,
        "lexical": passage.lexical,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return an answer. `[1]` in its text points to the citation of that number."""
    return {
        "answer": answer.text,
        "found": answer.found,
        "citations": [_citation_json(citation) for citation in answer.citations],
        "usage": {
            "model": answer.usage.model,
            "prompt_tokens": answer.usage.prompt_tokens,
            "completion_tokens": answer.usage.completion_tokens,
        },
    }


def _citation_json(citation: Citation) -> dict[str, Any]:
    return {
        "number": citation.number,
        "document_id": str(citation.document_id),
        "chunk_id": str(citation.chunk_id),
        "filename": citation.filename,
        "page": citation.page,
        "quote": citation.quote,
        "char_start": citation.char_start,
        "char_end": citation.char_end,
        "permalink": citation.permalink,
    }
