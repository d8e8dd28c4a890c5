"""What tests of posting need: questions in the local Slack, work to claim, and several processes to post from."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.jobs.claim import WorkClaim
from bot.playground.local import LocalSlack
from bot.playground.state import Message
from bot.repositories.deliveries import DeliveryRepository
from bot.repositories.work import WorkRepository
from bot.services.errands import answer_errand, message_key
from bot.services.ports import Claim
from bot.slack.claimed import ClaimedMessage
from bot.slack.client import Clients
from bot.slack.delivery import Capabilities, Delivery, ThreadReply
from bot.slack.posts import Address
from bot.values import Answer, Question, Usage
from tests.conftest import TEAM

SHORT_S = 0.05
"""Between two messages to a channel, where a test isn't about that."""


@dataclass
class Desk:
    """Posts into a local Slack as `process()` would, one or several of them, with the claims of real work."""

    slack: LocalSlack
    sessions: Sessions
    closing: AsyncExitStack
    default: Delivery = field(init=False)

    def __post_init__(self) -> None:
        self.default = self.process()

    def process(self, *, interval_s: float = SHORT_S) -> Delivery:
        """Return what a process of its own would post with: it shares nothing with others but Slack and the database."""
        clients = Clients(self.slack.bot_token, base_url=self.slack.api_url)
        self.closing.push_async_callback(clients.close)
        return Delivery(
            self.sessions, clients, Capabilities(), bot_user_id=self.slack.store.bot.id, interval_s=interval_s
        )

    async def ask(self, words: str = "When?", *, channel: str = "general", root: Message | None = None) -> Question:
        """Let Ada ask, with the work written that this means."""
        said = await self.slack.mention("Ada", channel, words, thread_ts=root.ts if root else None)
        question = Question(TEAM, said.channel_id, said.user_id, said.ts, said.thread_ts or said.ts, words)
        async with self.sessions.tenant(TEAM) as session:
            await WorkRepository(session).record(answer_errand(question))
        return question

    async def claim(self, question: Question) -> WorkClaim:
        """Take the work on, from whoever has it."""
        async with self.sessions.tenant(TEAM) as session:
            work_id = (await session.execute(_WORK, {"team": TEAM, "key": _key(question)})).scalar_one()
            work = await WorkRepository(session).claim(TEAM, work_id)
        assert work is not None
        return WorkClaim(work)

    async def stop(self, question: Question) -> None:
        """Withdraw the work, as the deletion of its message does."""
        async with self.sessions.tenant(TEAM) as session:
            await WorkRepository(session).stop(TEAM, "answer", _key(question))

    def message(self, question: Question, claim: Claim, *, by: Delivery | None = None) -> ClaimedMessage:
        """Return the message that answers a question."""
        place = (question.channel_id, question.thread_ts, question.ts)
        return ClaimedMessage((by or self.default).posts, Address(TEAM, "answer", _key(question), *place), claim)

    def reply(self, question: Question, claim: Claim, *, by: Delivery | None = None) -> ThreadReply:
        """Return the reply to a question."""
        return (by or self.default).reply_to(question, claim)

    async def noted(self, question: Question) -> tuple[str | None, str] | None:
        """Return where the delivery says that the answer stands, and its state; None without a delivery."""
        async with self.sessions.tenant(TEAM) as session:
            row = (await session.execute(_NOTED, {"team": TEAM, "key": _key(question)})).one_or_none()
        return None if row is None else (row.ts, row.state)

    async def note_other(self, question: Question, ts: str, *, kind: str = "receipt") -> None:
        """Let a message in the question's channel be some other delivery of ours."""
        async with self.sessions.tenant(TEAM) as session:
            deliveries = DeliveryRepository(session)
            await deliveries.claim(TEAM, kind, f"other:{ts}", question.channel_id, question.thread_ts)
            await deliveries.set_posted(TEAM, kind, f"other:{ts}", ts)

    def said(self, question: Question) -> list[str]:
        """Return what the bot's messages after the question say, in its thread."""
        return [message.text for message in self.answers(question)]

    def answers(self, question: Question) -> list[Message]:
        """Return the bot's messages after the question, in its thread."""
        thread = self.slack.replies(question.channel_id, question.thread_ts)
        return [message for message in thread if message.ts > question.ts]

    def count(self, method: str) -> int:
        """Return how often a method was called, however that ended."""
        return self.slack.manners.calls[method]


def answer(text: str, *, found: bool = False) -> Answer:
    """Return an answer without sources."""
    return Answer(text, (), found=found, usage=Usage("test", 0, 0))


def lag(slack: LocalSlack, monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """Let what the bot posts show in its thread only so much later."""
    thread = slack.store.thread

    def late(channel_id: str, root_ts: str) -> list[Message]:
        shown_until = time.time() - seconds
        bot_id = slack.store.bot.id
        return [m for m in thread(channel_id, root_ts) if m.user_id != bot_id or float(m.ts) < shown_until]

    monkeypatch.setattr(slack.store, "thread", late)


def _key(question: Question) -> str:
    return message_key(question.channel_id, question.ts)


_WORK = text("SELECT id FROM work WHERE team_id = :team AND task = 'answer' AND key = :key")
_NOTED = text("SELECT ts, state FROM deliveries WHERE team_id = :team AND kind = 'answer' AND key = :key")
