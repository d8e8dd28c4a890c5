"""Answers to the asker alone, through the response_url of a command."""

from __future__ import annotations

from typing import Any

import aiohttp
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.errors import ServiceUnavailable
from bot.slack.blocks import answer_blocks, message_blocks, summary
from bot.values import Answer, Question


class PrivateReply:
    """An ephemeral answer: written as a whole, since nothing ephemeral can be streamed or updated."""

    def __init__(self, webhook: AsyncWebhookClient, question: Question) -> None:
        self._webhook = webhook
        self._question = question

    async def show_status(self, status: str) -> None:
        """Show nothing: the person was told at once that it is being looked up."""

    async def append(self, text: str) -> None:
        """Keep nothing: the whole comes with `finish`."""

    async def finish(self, answer: Answer) -> str:
        question = self._question
        text = f"You asked: {question.text}\n\n{answer.text}"
        blocks = answer_blocks(answer, question_ref=f"{question.channel_id}:{question.ts}")
        await self._send(summary(answer.text), message_blocks(text, blocks))
        return f"{question.ts}:answer"

    async def apologise(self, message: str) -> str:
        await self._send(summary(message), None)
        return f"{self._question.ts}:answer"

    async def _send(self, text: str, blocks: list[dict[str, Any]] | None) -> None:
        try:
            response = await self._webhook.send(
                text=text, blocks=blocks, response_type="ephemeral", replace_original=False, unfurl_links=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"response_url: {type(error).__name__}") from error
        if response.status_code != 200:  # noqa: PLR2004
            raise ServiceUnavailable(f"response_url: HTTP {response.status_code}")
