"""How answers leave: one message per question, streamed where Slack can stream, else posted and updated."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.db.engine import Sessions
from bot.errors import NotFound, ServiceUnavailable
from bot.services.errands import message_key
from bot.services.ports import Claim
from bot.slack.blocks import (
    MARKDOWN_LIMIT,
    SUMMARY_LIMIT,
    answer_blocks,
    apology_blocks,
    inert_within,
    markdown,
    summary,
)
from bot.slack.claimed import ENDED, ClaimedMessage
from bot.slack.client import (
    UNREACHED,
    UNSUPPORTED,
    Clients,
    RateLimited,
    SlackRefusal,
    Unsupported,
    error_code,
    tell,
)
from bot.slack.posts import Address, Posts
from bot.slack.private import PrivateReply
from bot.text.mrkdwn import InertStream
from bot.values import Answer, Citation, Question

log = structlog.get_logger()

APPEND_INTERVAL_S = 0.6
"""Between two pieces of a stream (appendStream: some 100 calls a minute)."""
UPDATE_INTERVAL_S = 1.2
"""Between two updates of a message, where the server can't stream."""
_START, _APPEND, _STATUS = "chat.startStream", "chat.appendStream", "assistant.threads.setStatus"


class Capabilities:
    """What this server or workspace turned out to lack; said once in the log, then not tried again."""

    def __init__(self) -> None:
        self._missing: set[str] = set()

    def has(self, method: str) -> bool:
        """True until the method was refused."""
        return method not in self._missing

    def lacks(self, method: str, error: SlackApiError) -> bool:
        """True when `error` means that the method isn't offered here; remembers it."""
        code = error_code(error)
        if code not in UNSUPPORTED:
            return False
        self.note_missing(method, code)
        return True

    async def attempt(self, client: AsyncWebClient, method: str, arguments: Mapping[str, Any]) -> None:
        """Call what is only a courtesy, if it is offered here: a refusal goes to the log, and nobody is told."""
        if not self.has(method):
            return
        try:
            await client.api_call(method, json=dict(arguments))
        except SlackApiError as error:
            if not self.lacks(method, error):
                log.info("courtesy.refused", method=method, reason=error_code(error))
        except UNREACHED as error:
            log.info("courtesy.refused", method=method, reason=type(error).__name__)

    def note_missing(self, method: str, reason: str) -> None:
        """Remember that the method isn't offered here."""
        if method not in self._missing:
            self._missing.add(method)
            log.warning("slack.method_missing", method=method, reason=reason)


class Delivery:
    """Opens replies; what they share is here."""

    def __init__(
        self, sessions: Sessions, clients: Clients, capabilities: Capabilities, *, bot_user_id: str, interval_s: float
    ) -> None:
        self.posts = Posts(sessions, clients, bot_user_id=bot_user_id, interval_s=interval_s)
        self.clients = clients
        self.capabilities = capabilities

    def reply_to(self, question: Question, claim: Claim) -> ThreadReply:
        """Return the reply to this question; nothing is posted yet."""
        return ThreadReply(self, question, claim)

    def reply_privately(
        self, question: Question, claim: Claim, *, response_url: str, thread_ts: str | None = None
    ) -> PrivateReply:
        """Return the reply to a command or a click, which its asker alone sees, in a thread when one is named."""
        sessions, http = self.posts.sessions, self.clients.session
        return PrivateReply(sessions, http, question, claim, response_url=response_url, thread_ts=thread_ts)


class ThreadReply:
    """The one message in the thread that answers one question."""

    def __init__(self, delivery: Delivery, question: Question, claim: Claim) -> None:
        self._delivery = delivery
        self._question = question
        self._ref = message_key(question.channel_id, question.ts)
        place = (question.channel_id, question.thread_ts, question.ts)
        self._message = ClaimedMessage(delivery.posts, Address(question.team_id, "answer", self._ref, *place), claim)
        self._inert = InertStream()
        self._unsent = ""
        self._sent = ""
        self._next_at = 0.0
        self._streaming = False
        self._whole = True

    async def show_status(self, status: str) -> None:
        place = {"channel_id": self._question.channel_id, "thread_ts": self._question.thread_ts}
        delivery = self._delivery
        await delivery.capabilities.attempt(delivery.clients.posting, _STATUS, {**place, "status": summary(status)})

    async def append(self, text: str) -> None:
        self._unsent += self._inert.feed(text)
        if self._whole and self._unsent.strip() and time.monotonic() >= self._next_at:
            await self._flush()

    async def finish(self, answer: Answer) -> str:
        self._unsent += self._inert.close()
        text, blocks = inert_within(answer.text), answer_blocks(answer, question_ref=self._ref)
        if self._streaming:
            kept = self._whole and (self._sent + self._unsent).strip() == text.strip()
            await self._message.note("final")
            if await self._message.stop(blocks, last_text=self._unsent if kept else "") and kept:
                return self._message.ts or ""
        return await self._message.show(summary(answer.text), [*markdown(text), *blocks], state="final")

    async def apologise(self, message: str, *, sources: Sequence[Citation] = ()) -> str:
        if self._streaming:
            await self._message.note("apology")
            await self._message.stop()
        return await self._message.show(summary(message), apology_blocks(message, sources), state="apology")

    async def withdraw(self) -> None:
        await self._message.withdraw()

    async def _flush(self) -> None:
        text, self._unsent = self._unsent[:MARKDOWN_LIMIT], self._unsent[MARKDOWN_LIMIT:]
        if self._message.ts is None:
            await self._start(text)
        elif self._streaming:
            await self._extend(text)
        else:
            self._sent += text
            shown = self._sent[:MARKDOWN_LIMIT]
            await self._message.show(shown[:SUMMARY_LIMIT], markdown(shown), state="streaming")
            self._pause(UPDATE_INTERVAL_S)

    async def _start(self, text: str) -> None:
        """Post the first words, as a stream where that is offered; what a former attempt posted waits for the end."""
        made = await self._start_stream(text) or await self._post(text)
        self._sent = text
        if not made:
            self._whole = False
            if self._message.state not in ENDED and self._delivery.capabilities.has(_START):
                await self._message.stop()

    async def _start_stream(self, text: str) -> bool:
        """Begin a stream; False when it can't be, or needn't."""
        question, capabilities = self._question, self._delivery.capabilities
        if not capabilities.has(_START):
            return False
        recipient = {"recipient_team_id": question.asked_in or question.team_id, "recipient_user_id": question.user_id}
        try:
            self._streaming = await self._message.post(_START, {**recipient, "markdown_text": text}, state="streaming")
        except Unsupported as error:
            capabilities.note_missing(_START, error.code)
        except SlackRefusal as error:  # for one, the asker has left the channel
            log.info("stream.refused", reason=error.code)
        self._pause(APPEND_INTERVAL_S)
        return self._streaming

    async def _post(self, text: str) -> bool:
        if self._message.ts is not None:
            return False
        arguments = self._message.content(text[:SUMMARY_LIMIT], markdown(text))
        made = await self._message.post("chat.postMessage", arguments, state="streaming")
        self._pause(UPDATE_INTERVAL_S)
        return made

    async def _extend(self, text: str) -> None:
        """Add to the stream, once: when nobody knows whether it arrived, the end replaces the whole."""
        arguments = {"channel": self._question.channel_id, "ts": self._message.ts, "markdown_text": text}
        try:
            await tell(self._delivery.clients.posting.api_call(_APPEND, json=arguments))
        except RateLimited as error:
            self._unsent = text + self._unsent
            self._pause(error.wait_s)
        except (ServiceUnavailable, NotFound, SlackRefusal) as error:
            log.warning("stream.broken", reason=str(error))
            self._whole = False
        else:
            self._sent += text
            self._pause(APPEND_INTERVAL_S)

    def _pause(self, seconds: float) -> None:
        self._next_at = time.monotonic() + seconds
