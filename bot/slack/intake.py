"""Opens stored requests again: a mention, a direct message, a command or a click that asks."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from bot.errors import InvalidRequest
from bot.services.answers import AnswerService
from bot.services.ports import Asked, Claim
from bot.slack.delivery import Delivery
from bot.slack.directory import SlackDirectory
from bot.slack.payloads import Body, asked_message, click_from
from bot.text.mrkdwn import plain_from, without_mention
from bot.values import AskedBefore, Question


class SlackIntake:
    """Makes questions of what Slack sent to the workspace `team_id`.

    Slack may name another one beside it: a workspace of the organisation that `team_id` is, or where the asker is at
    home.
    """

    def __init__(
        self,
        delivery: Delivery,
        directory: SlackDirectory,
        answers: AnswerService,
        *,
        team_id: str,
        bot_user_id: str,
    ) -> None:
        self._team_id = team_id
        self._delivery = delivery
        self._directory = directory
        self._answers = answers
        self._bot_user_id = bot_user_id

    async def open(self, body: bytes, claim: Claim) -> Asked:
        """Return the question in a stored body, its text plain, and where the answer goes as long as the claim holds.

        Raises InvalidRequest for a body that asks nothing, ServiceUnavailable when Slack doesn't tell who is named.
        """
        request = request_from(body)
        if "command" in request:
            return self._alone(request, claim, plain_from(request.get("text") or "", {}))
        if "actions" in request:
            return await self._clicked(request, claim)
        message = asked_message(request.get("event"))
        if message is None:
            raise InvalidRequest("a stored body that asks nothing")
        question = Question(
            team_id=self._team_id,
            channel_id=message.channel_id,
            user_id=message.user_id,
            ts=message.ts,
            thread_ts=message.thread_ts,
            text=await self._plain(message.text),
            asked_in=request["team_id"],
        )
        return Asked(question, self._delivery.reply_to(question, claim), private=False)

    async def _clicked(self, request: Body, claim: Claim) -> Asked:
        """A click asks what stands in the thread again, for the one who clicked, whoever asked it there."""
        click = click_from(request)
        if click is None:
            raise InvalidRequest("a stored click that asks nothing")
        before = await self._answers.asked_before(self._team_id, channel_id=click.channel_id, ts=click.question_ts)
        before = before or AskedBefore("", ())  # gone by now: a greeting
        asked = {**request, "user_id": click.user_id}
        return self._alone(asked, claim, before.text, repeats=before.repeats, thread_ts=click.thread_ts)

    def _alone(
        self, request: Body, claim: Claim, text: str, *, repeats: tuple[str, ...] = (), thread_ts: str | None = None
    ) -> Asked:
        """A command's or click's question lives in a conversation of its own, which only its asker sees."""
        ts = f"command:{request['trigger_id']}"
        question = Question(
            team_id=self._team_id,
            channel_id=f"private:{request['user_id']}",
            user_id=request["user_id"],
            ts=ts,
            thread_ts=ts,
            text=text,
            repeats=repeats,
        )
        url = request["response_url"]
        reply = self._delivery.reply_privately(question, claim, response_url=url, thread_ts=thread_ts)
        return Asked(question, reply, private=True)

    async def _plain(self, markup: str) -> str:
        spoken = without_mention(markup, self._bot_user_id)
        return plain_from(spoken, await self._directory.names(self._team_id, spoken))


def request_from(body: bytes) -> Body:
    """Return what a stored body says: JSON, or over HTTP a form, for a command its fields, for a click with JSON in it."""
    text = body.decode()
    if text.startswith("{"):
        request: Body = json.loads(text)
        return request
    fields = dict(parse_qsl(text, keep_blank_values=True))
    return json.loads(fields["payload"]) if "payload" in fields else fields
