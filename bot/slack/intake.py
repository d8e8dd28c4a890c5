"""Opens stored requests again: a mention, a direct message, or a command that asks."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from bot.errors import InvalidRequest
from bot.services.ports import Asked, Claim
from bot.slack.delivery import Delivery
from bot.slack.directory import SlackDirectory
from bot.slack.payloads import Body, asked_message
from bot.text.mrkdwn import plain_from, without_mention
from bot.values import Question


class SlackIntake:
    """Makes questions of what Slack sent."""

    def __init__(self, delivery: Delivery, directory: SlackDirectory, *, bot_user_id: str) -> None:
        self._delivery = delivery
        self._directory = directory
        self._bot_user_id = bot_user_id

    async def open(self, body: bytes, claim: Claim) -> Asked:
        """Return the question in a stored body, its text plain, and where the answer goes as long as the claim holds.

        Raises InvalidRequest for a body that asks nothing, ServiceUnavailable when Slack doesn't tell who is named.
        """
        request = request_from(body)
        if "command" in request:
            return self._command(request, claim)
        message = asked_message(request.get("event"))
        if message is None:
            raise InvalidRequest("a stored body that asks nothing")
        question = Question(
            team_id=request["team_id"],
            channel_id=message.channel_id,
            user_id=message.user_id,
            ts=message.ts,
            thread_ts=message.thread_ts,
            text=await self._plain(request["team_id"], message.text),
        )
        return Asked(question, self._delivery.reply_to(question, claim), private=False)

    def _command(self, request: Body, claim: Claim) -> Asked:
        """A command's question lives in a conversation of its own, which only its asker sees."""
        ts = f"command:{request['trigger_id']}"
        question = Question(
            team_id=request["team_id"],
            channel_id=f"private:{request['user_id']}",
            user_id=request["user_id"],
            ts=ts,
            thread_ts=ts,
            text=plain_from(request.get("text") or "", {}),
        )
        reply = self._delivery.reply_privately(question, claim, response_url=request["response_url"])
        return Asked(question, reply, private=True)

    async def _plain(self, team_id: str, markup: str) -> str:
        spoken = without_mention(markup, self._bot_user_id)
        return plain_from(spoken, await self._directory.names(team_id, spoken))


def request_from(body: bytes) -> Body:
    """Return what a stored body says: JSON, or over HTTP, for a command, a form."""
    text = body.decode()
    request: Body = json.loads(text) if text.startswith("{") else dict(parse_qsl(text, keep_blank_values=True))
    return request
