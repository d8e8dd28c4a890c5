"""Answers to the asker alone, through the response_url of a command or a button."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
from slack_sdk.webhook.async_client import AsyncWebhookClient
from slack_sdk.webhook.webhook_response import WebhookResponse

from bot.db.engine import Sessions
from bot.errors import NotFound, ServiceUnavailable
from bot.repositories.deliveries import DeliveryRepository
from bot.services.errands import message_key
from bot.services.ports import Claim
from bot.slack.blocks import answer_blocks, apology_blocks, message_blocks, summary
from bot.slack.claimed import ENDED
from bot.slack.client import RateLimited, Unanswered
from bot.values import Answer, Citation, Question

_UNSAID_S = 1.0


class PrivateReply:
    """An ephemeral answer: written as a whole, since nothing ephemeral can be streamed or updated.

    Nor can it be looked up. So what Slack leaves unanswered is sent again (docs/decisions/0012): seen twice by its
    asker is better than never. What Slack took is noted, and never sent again.
    """

    def __init__(
        self,
        sessions: Sessions,
        http: aiohttp.ClientSession,
        question: Question,
        claim: Claim,
        *,
        response_url: str,
        thread_ts: str | None = None,
    ) -> None:
        self._sessions = sessions
        self._webhook = AsyncWebhookClient(response_url, session=http, retry_handlers=[])
        self._question = question
        self._claim = claim
        self._thread_ts = thread_ts
        self._ref = message_key(question.channel_id, question.ts)

    async def show_status(self, status: str) -> None:
        """Show nothing: the person was told at once that it is being looked up."""

    async def append(self, text: str) -> None:
        """Keep nothing: the whole comes with `finish`."""

    async def finish(self, answer: Answer) -> str:
        text = f"You asked: {self._question.text}\n\n{answer.text}"
        blocks = message_blocks(text, answer_blocks(answer, question_ref=self._ref))
        return await self._send_once(summary(answer.text), blocks, state="final")

    async def apologise(self, message: str, *, sources: Sequence[Citation] = ()) -> str:
        return await self._send_once(summary(message), apology_blocks(message, sources) or None, state="apology")

    async def withdraw(self) -> None:
        """Take nothing back: a command leaves no message that could be deleted."""

    async def _send_once(self, text: str, blocks: list[dict[str, Any]] | None, *, state: str) -> str:
        question, ts = self._question, f"{self._question.ts}:answer"
        async with self._sessions.tenant(question.team_id) as session:
            await self._claim.hold(session)
            claimed = await DeliveryRepository(session).claim(
                question.team_id, "answer", self._ref, channel_id=question.channel_id, thread_ts=None
            )
        if claimed.state not in ENDED:
            await self._send(text, blocks)
            async with self._sessions.tenant(question.team_id) as session:
                await self._claim.hold(session)
                await DeliveryRepository(session).set_posted(question.team_id, "answer", self._ref, ts, state)
        return ts

    def _body(self, text: str, blocks: list[dict[str, Any]] | None) -> dict[str, Any]:
        body = {"text": text, "blocks": blocks, "thread_ts": self._thread_ts}
        kept = {key: value for key, value in body.items() if value is not None}
        return {
            **kept,
            "response_type": "ephemeral",
            "replace_original": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }

    async def _send(self, text: str, blocks: list[dict[str, Any]] | None) -> None:
        try:
            response = await self._webhook.send_dict(self._body(text, blocks))
        except aiohttp.ClientConnectorError as error:
            raise ServiceUnavailable(f"response_url: {type(error).__name__}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unanswered(f"response_url: {type(error).__name__}") from error
        _require_taken(response)


def _require_taken(response: WebhookResponse) -> None:
    """Raise RateLimited, Unanswered, or NotFound when the URL isn't good any more: 30 minutes, or five answers."""
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    reason = f"response_url: HTTP {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        said = str(response.headers.get("Retry-After", ""))
        raise RateLimited(reason, retry_after_s=float(said) if said.isdecimal() else _UNSAID_S)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unanswered(reason)
    raise NotFound(reason)
