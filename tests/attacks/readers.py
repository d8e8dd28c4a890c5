"""Everything in the bot that reads text of others in the bot's own process, as functions of one text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from bot.parsing import clean as parsed
from bot.services import questions
from bot.slack import blocks, envelopes, http, intake, payloads
from bot.text import chunk, citations, clean, followup, lexical, mrkdwn, prompt, ranking, sentences, visible
from bot.values import PageSpan, ParsedDocument, Passage, Prompt, Role, Turn, new_id

Reader = Callable[[str], Any]

_HEADING_CHARS = 400
_CHUNK_CHARS = 2_000
"""No chunk is longer than this by far, nor a path of headings (text/chunk.py)."""


def _chunked(text: str) -> Any:
    text = parsed.clean_text(text)  # as everything that comes out of the sandbox is
    document = ParsedDocument(text, "text/markdown", (PageSpan(1, 0, len(text)),), is_markdown=True)
    return chunk.chunk(document, count_tokens=lambda piece: len(piece) // 4 + 1, max_tokens=256)


def _passage(text: str) -> Passage:
    return Passage(new_id(), new_id(), text, text, 0, len(text), 1, text[:_HEADING_CHARS], 0.5, 0.5, 0.5)


def _cited(text: str) -> Any:
    return citations.renumber(text, [_passage("The office opens at nine. " + text[:_CHUNK_CHARS])] * 3, term_weights={})


def _cited_from(text: str) -> Any:
    return citations.renumber(
        "The office opens at nine. [1] “and so on it goes” [1]", [_passage(text[:_CHUNK_CHARS])], term_weights={}
    )


def _prompted(text: str) -> Any:
    asked = Prompt(text, text, (_passage(text),), (Turn(Role.USER, text, author=text), Turn(Role.ASSISTANT, text)))
    return prompt.build_messages(asked, budget=10**9, count_tokens=lambda piece: len(piece) // 4)


def _ranked(text: str) -> Any:
    return ranking.candidates(Prompt(text[:_CHUNK_CHARS], text[:_CHUNK_CHARS], (_passage(text[:_CHUNK_CHARS]),), ()))


def _followed(text: str) -> Any:
    return followup.standalone(text, (Turn(Role.USER, text), Turn(Role.ASSISTANT, text)))


def _streamed(text: str) -> Any:
    stream = mrkdwn.InertStream()
    pieces = [stream.feed(text[at : at + 7]) for at in range(0, len(text), 7)]
    return "".join([*pieces, stream.close()])


def _event(text: str) -> Any:
    body = json.dumps(
        {"type": "event_callback", "team_id": text, "event": {"type": "message", "text": text, "user": text}}
    )
    http.readable(body.encode(), "application/json")
    payloads.asked_message(intake.request_from(body.encode())["event"])
    return envelopes.envelope_from(json.dumps({"type": "events_api", "envelope_id": text, "payload": {"event": text}}))


def _form(text: str) -> Any:
    body = urlencode({"command": "/ask", "text": text, "team_id": text}, errors="surrogatepass").encode()
    return http.readable(body, "application/x-www-form-urlencoded"), intake.request_from(body)


READERS: dict[str, Reader] = {
    "plain_from": lambda text: mrkdwn.plain_from(text, {"U1": "Ana"}),
    "without_mention": lambda text: mrkdwn.without_mention(text, "UBOT"),
    "mentioned_ids": mrkdwn.mentioned_ids,
    "escape": mrkdwn.escape,
    "inert_markdown": mrkdwn.inert_markdown,
    "inert_stream": _streamed,
    "inert_within": blocks.inert_within,
    "visible": visible.visible,
    "line_of": lambda text: visible.line_of(text, limit=200),
    "clean": clean.clean,
    "to_json": lambda text: clean.to_json({text: [text]}),
    "words": lexical.words,
    "document_weights": lexical.document_weights,
    "sentences": lambda text: [sentences.reading(text, span) for span in sentences.sentences(text)],
    "ranking": _ranked,
    "chunk": _chunked,
    "citations, of the answer": _cited,
    "citations, of the passage": _cited_from,
    "followup": _followed,
    "prompt": _prompted,
    "greeting": questions.is_only_a_greeting,
    "event": _event,
    "form": _form,
    "clean_text": parsed.clean_text,
    "strip_markup": lambda text: parsed.strip_markup(text, escaped=True),
    "demote_false_headings": parsed.demote_false_headings,
    "reflow": parsed.reflow,
}
"""By name. What opens files runs elsewhere, in the sandbox, with limits of its own."""
