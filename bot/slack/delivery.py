"""How answers leave: one message per question, streamed where Slack can stream, else posted and updated."""

from __future__ import annotations

import time
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.db.engine import Sessions
from bot.errors import ServiceUnavailable
from bot.repositories.deliveries import DeliveryRepository
from bot.slack.blocks import MARKDOWN_LIMIT, answer_blocks, message_blocks
from bot.slack.client import UNSUPPORTED, Clients, Pacer, Poster, ask, error_code
from bot.text.mrkdwn import InertStream, escape, inert_markdown
from bot.values import Answer, Question

log = structlog.get_logger()

APPEND_INTERVAL_S = 0.6
"""Between two pieces of a stream (appendStream: some 100 calls a minute)."""
UPDATE_INTERVAL_S = 1.2
"""Between two updates of a message, where the server can't stream."""


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
        if method not in self._missing:
            self._missing.add(method)
            log.warning("slack.method_missing", method=method, reason=code)
        return True


class Delivery:
    """Opens replies; what they share is here."""

    def __init__(self, sessions: Sessions, clients: Clients, pacer: Pacer, capabilities: Capabilities) -> None:
        self.sessions = sessions
        self.clients = clients
        self.poster = Poster(clients.posting, pacer)
        self.capabilities = capabilities

    def reply_to(self, question: Question) -> ThreadReply:
        """Return the reply to this question; nothing is posted yet."""
        return ThreadReply(self, question)


class ThreadReply:
    """The one message in the thread that answers one question."""

    def __init__(self, delivery: Delivery, question: Question) -> None:
        self._delivery = delivery
        self._question = question
        self._inert = InertStream()
        self._unsent = ""
        self._sent = ""
        self._last_sent = 0.0
        self._ts: str | None = None
        self._streaming = False
        self._claimed = False

    async def show_status(self, status: str) -> None:
        method = "assistant.threads.setStatus"
        if not self._delivery.capabilities.has(method):
            return
        place = {"channel_id": self._question.channel_id, "thread_ts": self._question.thread_ts}
        try:
            await self._delivery.clients.reading.api_call(method, json={**place, "status": status})
        except SlackApiError as error:
            if not self._delivery.capabilities.lacks(method, error):
                log.info("status.refused", reason=error_code(error))

    async def append(self, text: str) -> None:
        await self._claim()
        self._unsent += self._inert.feed(text)
        interval_s = APPEND_INTERVAL_S if self._streaming else UPDATE_INTERVAL_S
        due = self._ts is None or time.monotonic() - self._last_sent >= interval_s
        if self._unsent.strip() and due:
            await self._flush()

    async def finish(self, answer: Answer) -> str:
        await self._claim()
        self._unsent += self._inert.close()
        blocks = answer_blocks(answer, question_ref=f"{self._question.channel_id}:{self._question.ts}")
        text = inert_markdown(answer.text[:MARKDOWN_LIMIT])
        if not self._streaming and self._ts is None:
            await self._start(text)
            self._unsent, self._sent = "", text
        kept = (self._sent + self._unsent).strip() == text.strip()
        complete = self._streaming and kept
        if self._streaming:
            await self._stop(blocks, last_text=self._unsent if kept else "")
        if not complete:
            await self._replace(escape(answer.text), message_blocks(answer.text, blocks))
        return await self._posted("final")

    async def apologise(self, message: str) -> str:
        await self._claim()
        if self._streaming:
            await self._stop([], last_text="")
        if self._ts is None:
            self._ts = await self._post(escape(message), [])
        else:
            await self._replace(escape(message), [])
        return await self._posted("apology")

    async def _claim(self) -> None:
        """Take the delivery; a former attempt's message, when there is one, is the one to complete."""
        if self._claimed:
            return
        question = self._question
        async with self._delivery.sessions.tenant(question.team_id) as session:
            claimed = await DeliveryRepository(session).claim(
                question.team_id,
                "answer",
                f"{question.channel_id}:{question.ts}",
                channel_id=question.channel_id,
                thread_ts=question.thread_ts,
            )
        self._ts, self._claimed = claimed.ts, True

    async def _flush(self) -> None:
        text, self._unsent = self._unsent, ""
        self._sent += text
        if self._ts is None:
            await self._start(text)
        elif self._streaming:
            await self._call("chat.appendStream", ts=self._ts, markdown_text=text)
        else:
            await self._replace(escape(self._sent), message_blocks(self._sent, []))
        self._last_sent = time.monotonic()

    async def _start(self, text: str) -> None:
        """Post the first words, as a stream where that is offered."""
        if self._delivery.capabilities.has("chat.startStream"):
            try:
                await self._start_stream(text)
            except SlackApiError as error:
                if not self._delivery.capabilities.lacks("chat.startStream", error):
                    raise ServiceUnavailable(f"Slack: {error_code(error)}") from error
        if self._ts is None:
            self._ts = await self._post(text, [{"type": "markdown", "text": text}])
        await self._posted("streaming")

    async def _start_stream(self, text: str) -> None:
        question = self._question
        response = await self._delivery.poster.call(
            "chat.startStream",
            channel=question.channel_id,
            thread_ts=question.thread_ts,
            recipient_team_id=question.team_id,
            recipient_user_id=question.user_id,
            markdown_text=text,
        )
        self._ts, self._streaming = str(response["ts"]), True

    async def _stop(self, blocks: list[dict[str, Any]], *, last_text: str) -> None:
        arguments: dict[str, Any] = {"ts": self._ts, "metadata": self._metadata()}
        if blocks:
            arguments["blocks"] = blocks
        if last_text:
            arguments["markdown_text"] = last_text
        await self._call("chat.stopStream", **arguments)
        self._streaming = False

    async def _post(self, text: str, blocks: list[dict[str, Any]]) -> str:
        arguments: dict[str, Any] = {"blocks": blocks} if blocks else {}
        response = await ask(
            self._delivery.poster.call(
                "chat.postMessage",
                channel=self._question.channel_id,
                thread_ts=self._question.thread_ts,
                text=text,
                metadata=self._metadata(),
                unfurl_links=False,
                unfurl_media=False,
                **arguments,
            )
        )
        return str(response["ts"])

    async def _replace(self, text: str, blocks: list[dict[str, Any]]) -> None:
        await self._call("chat.update", ts=self._ts, text=text, blocks=blocks)

    async def _call(self, method: str, **arguments: Any) -> None:
        """Change our message: safe to repeat, so the client that retries does it."""
        call = self._delivery.clients.reading.api_call(method, json={"channel": self._question.channel_id, **arguments})
        await ask(call)

    async def _posted(self, state: str) -> str:
        question = self._question
        if self._ts is None:
            raise ServiceUnavailable("Slack gave the message no ts")
        async with self._delivery.sessions.tenant(question.team_id) as session:
            await DeliveryRepository(session).set_posted(
                question.team_id, "answer", f"{question.channel_id}:{question.ts}", ts=self._ts, state=state
            )
        return self._ts

    def _metadata(self) -> dict[str, Any]:
        answer_id = f"{self._question.channel_id}:{self._question.ts}"
        return {"event_type": "recollect_answer", "event_payload": {"answer_id": answer_id}}
