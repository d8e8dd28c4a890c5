"""How answers leave: one message per question, streamed where Slack can stream, else posted and updated."""

from __future__ import annotations

import time
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.db.engine import Sessions
from bot.errors import ServiceUnavailable
from bot.repositories.deliveries import ClaimedDelivery, DeliveryRepository
from bot.slack.blocks import MARKDOWN_LIMIT, SUMMARY_LIMIT, answer_blocks, inert_within, markdown, summary
from bot.slack.client import UNREACHED, UNSUPPORTED, Clients, Pacer, Poster, ask, error_code
from bot.slack.lost import find_lost, label
from bot.text.mrkdwn import InertStream
from bot.values import Answer, Question

log = structlog.get_logger()

APPEND_INTERVAL_S = 0.6
"""Between two pieces of a stream (appendStream: some 100 calls a minute)."""
UPDATE_INTERVAL_S = 1.2
"""Between two updates of a message, where the server can't stream."""
_ENDED = frozenset({"final", "apology"})
_NO_STREAM = frozenset({"message_not_in_streaming_state", "message_not_found"})
"""What Slack answers about a stream that is over, or never was one."""


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

    def __init__(
        self, sessions: Sessions, clients: Clients, pacer: Pacer, capabilities: Capabilities, *, bot_user_id: str
    ) -> None:
        self.sessions = sessions
        self.bot_user_id = bot_user_id
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
        self._answer_id = f"{question.channel_id}:{question.ts}"
        self._label = label("answer", self._answer_id)
        self._inert = InertStream()
        self._unsent = ""
        self._sent = ""
        self._last_sent = 0.0
        self._ts: str | None = None
        self._streaming = False
        self._whole = True
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
        except UNREACHED as error:
            log.info("status.refused", reason=type(error).__name__)

    async def append(self, text: str) -> None:
        await self._claim()
        self._unsent += self._inert.feed(text)
        interval_s = APPEND_INTERVAL_S if self._streaming else UPDATE_INTERVAL_S
        due = self._ts is None or time.monotonic() - self._last_sent >= interval_s
        if self._whole and self._unsent.strip() and due:
            await self._flush()

    async def finish(self, answer: Answer) -> str:
        await self._claim()
        self._unsent += self._inert.close()
        blocks = answer_blocks(answer, question_ref=self._answer_id)
        text = inert_within(answer.text)
        if self._ts is None:
            await self._start(text)
            self._unsent, self._sent = "", text
        kept = self._whole and (self._sent + self._unsent).strip() == text.strip()
        complete = self._streaming and await self._stop(blocks, last_text=self._unsent if kept else "") and kept
        if not complete:
            await self._replace(summary(answer.text), [*markdown(text), *blocks])
        return await self._posted("final")

    async def apologise(self, message: str) -> str:
        await self._claim()
        if self._streaming:
            await self._stop([], last_text="")
        if self._ts is None:
            self._ts = await self._post(summary(message), [])
        else:
            await self._replace(summary(message), [])
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
                self._answer_id,
                channel_id=question.channel_id,
                thread_ts=question.thread_ts,
            )
        if not claimed.created:
            await self._adopt(claimed)
        self._claimed = True

    async def _adopt(self, claimed: ClaimedDelivery) -> None:
        """Go on with what a former attempt posted, whether or not it lived to note that; its stream is ended."""
        self._ts = claimed.ts or await find_lost(
            self._delivery.clients.reading,
            self._label,
            channel_id=self._question.channel_id,
            thread_ts=self._question.thread_ts,
            after=self._question.ts,
            bot_user_id=self._delivery.bot_user_id,
            bare=True,
        )
        if self._ts is None:
            return
        self._whole = False
        if claimed.state not in _ENDED and self._delivery.capabilities.has("chat.startStream"):
            await self._stop([], last_text="")

    async def _flush(self) -> None:
        text, self._unsent = self._unsent[:MARKDOWN_LIMIT], self._unsent[MARKDOWN_LIMIT:]
        self._sent += text
        if self._ts is None:
            await self._start(text)
        elif self._streaming:
            await self._extend(text)
        else:
            shown = self._sent[:MARKDOWN_LIMIT]
            await self._replace(shown[:SUMMARY_LIMIT], markdown(shown))
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
            self._ts = await self._post(text[:SUMMARY_LIMIT], markdown(text))
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

    async def _extend(self, text: str) -> None:
        """Add to the stream, once: when nobody knows whether it arrived, the end replaces the whole."""
        channel_id = self._question.channel_id
        arguments = {"channel": channel_id, "ts": self._ts, "markdown_text": text}
        try:
            await ask(self._delivery.clients.posting.api_call("chat.appendStream", json=arguments))
        except ServiceUnavailable as error:
            log.warning("stream.broken", reason=str(error))
            self._whole = False

    async def _stop(self, blocks: list[dict[str, Any]], *, last_text: str) -> bool:
        """End the stream; False when it had ended already, by the person's or Slack's doing."""
        arguments: dict[str, Any] = {"channel": self._question.channel_id, "ts": self._ts, "metadata": self._label}
        if blocks:
            arguments["blocks"] = blocks
        if last_text:
            arguments["markdown_text"] = last_text
        self._streaming = False
        try:
            await self._delivery.clients.reading.api_call("chat.stopStream", json=arguments)
        except SlackApiError as error:
            if error_code(error) in _NO_STREAM or self._delivery.capabilities.lacks("chat.stopStream", error):
                return False
            raise ServiceUnavailable(f"Slack: {error_code(error)}") from error
        except UNREACHED as error:
            raise ServiceUnavailable(f"Slack: {type(error).__name__}") from error
        return True

    async def _post(self, text: str, blocks: list[dict[str, Any]]) -> str:
        arguments: dict[str, Any] = {"blocks": blocks} if blocks else {}
        response = await ask(
            self._delivery.poster.call(
                "chat.postMessage",
                channel=self._question.channel_id,
                thread_ts=self._question.thread_ts,
                text=text,
                metadata=self._label,
                unfurl_links=False,
                unfurl_media=False,
                **arguments,
            )
        )
        return str(response["ts"])

    async def _replace(self, text: str, blocks: list[dict[str, Any]]) -> None:
        """Change our message: safe to repeat, so the client that retries does it."""
        arguments = {"ts": self._ts, "text": text, "blocks": blocks, "metadata": self._label}
        call = self._delivery.clients.reading.api_call(
            "chat.update", json={"channel": self._question.channel_id, **arguments}
        )
        await ask(call)

    async def _posted(self, state: str) -> str:
        question = self._question
        if self._ts is None:
            raise ServiceUnavailable("Slack gave the message no ts")
        async with self._delivery.sessions.tenant(question.team_id) as session:
            await DeliveryRepository(session).set_posted(
                question.team_id, "answer", self._answer_id, ts=self._ts, state=state
            )
        return self._ts
