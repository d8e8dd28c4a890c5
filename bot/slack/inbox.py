"""What comes in is stored first, with the work it means, in one transaction; then Slack gets its acknowledgement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bot.db.engine import Sessions
from bot.jobs.queue import Queue
from bot.repositories.inbox import InboxRepository
from bot.services.errands import answer_errand, ingest_errand, receipt_errand
from bot.services.ports import Asked, Claim
from bot.slack.delivery import Delivery
from bot.slack.directory import SlackDirectory
from bot.text.mrkdwn import plain_from, without_mention
from bot.values import Errand, Question

Body = dict[str, Any]


class Inbox:
    """Stores what Slack delivers."""

    def __init__(self, sessions: Sessions, queue: Queue) -> None:
        self._sessions = sessions
        self._queue = queue

    async def accept(self, body: Body, *, event_id: str, team_id: str, errands: Sequence[Errand]) -> None:
        """Store the body and its errands in one transaction; a copy of what is known changes nothing.

        Raises DatabaseUnavailable: then nothing is acknowledged, and Slack sends it again.
        """
        if not errands:
            return
        raw = json.dumps(body).encode()
        async with self._sessions.tenant(team_id) as session:
            inbox_id = await InboxRepository(session).record(team_id, event_id, raw)
            if inbox_id is None:
                return
            for errand in errands:
                await self._queue.enqueue(session, errand, inbox_id=inbox_id)


def file_errands(team_id: str, event: Body) -> list[Errand]:
    """Return the work that a message's files mean: read each one, then give a receipt for them all."""
    place = {
        "channel_id": event["channel"],
        "message_ts": event["ts"],
        "thread_ts": event.get("thread_ts") or event["ts"],
    }
    file_ids = [file["id"] for file in event.get("files") or [] if file.get("id") and file.get("mode") != "tombstone"]
    if not file_ids:
        return []
    return [*(ingest_errand(team_id, file_id, **place) for file_id in file_ids), receipt_errand(team_id, **place)]


def question_errand(team_id: str, event: Body) -> Errand:
    """Return the work of answering a message; both copies of a mention make the same."""
    question = Question(
        team_id=team_id,
        channel_id=event["channel"],
        user_id=event["user"],
        ts=event["ts"],
        thread_ts=event.get("thread_ts") or event["ts"],
        text="",
    )
    return answer_errand(question, gesture=event.get("client_msg_id"))


class SlackIntake:
    """Opens stored requests again: a mention, a direct message, or a command that asks."""

    def __init__(self, delivery: Delivery, directory: SlackDirectory, *, bot_user_id: str) -> None:
        self._delivery = delivery
        self._directory = directory
        self._bot_user_id = bot_user_id

    async def open(self, body: bytes, claim: Claim) -> Asked:
        """Return the question in a stored body, its text plain, and where the answer goes."""
        request: Body = json.loads(body)
        if "command" in request:
            return self._command(request, claim)
        event = request["event"]
        question = Question(
            team_id=request["team_id"],
            channel_id=event["channel"],
            user_id=event["user"],
            ts=event["ts"],
            thread_ts=event.get("thread_ts") or event["ts"],
            text=await self._plain(request["team_id"], event.get("text") or ""),
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
