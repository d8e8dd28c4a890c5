"""Answering: load, search, write, check, record."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from uuid import UUID

import structlog

from bot.db.engine import Sessions
from bot.errors import InvalidRequest
from bot.repositories.conversations import ConversationRepository
from bot.services.audience import AudienceService
from bot.services.errands import message_key, retract_errands
from bot.services.ports import Claim, Enqueue, Reply, Unclaimed, Unseen
from bot.services.questions import GREETING, is_only_a_greeting, require_short
from bot.services.search import SearchService
from bot.services.turns import TurnService
from bot.services.usage import UsageService
from bot.services.writer import AnswerWriter
from bot.text.followup import leading, standalone
from bot.values import (
    Answer,
    AskedBefore,
    Audience,
    Passage,
    Question,
    Role,
    Spending,
    Turn,
    TurnContext,
    Usage,
    Vector,
    new_id,
)

log = structlog.get_logger()

NEAREST_SHOWN = 3
"""Passages under an apology: more would bury the thread."""

MODEL_AWAY = "The language model isn't answering, so I can't write an answer. Please ask again later."
MODEL_AWAY_NEAREST = (
    "The language model isn't answering, so I can't write an answer. These passages come nearest to your question:"
)

_NOTHING_USED = Usage("", 0, 0, stated=False)


class AnswerService:
    """Answers questions from what has been shared, quoting the words it relies on."""

    def __init__(
        self,
        sessions: Sessions,
        turns: TurnService,
        writer: AnswerWriter,
        search: SearchService,
        audiences: AudienceService,
        usage: UsageService,
        enqueue: Enqueue,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._writer = writer
        self._search = search
        self._audiences = audiences
        self._usage = usage
        self._enqueue = enqueue

    async def answer(self, question: Question, reply: Reply, *, private: bool = False, claim: Claim) -> Answer | None:
        """Write the answer into `reply` and store it; None for a greeting. `private`: only the asker will see it.

        The work is finished in the transaction that stores the answer. Raises Superseded when it isn't ours any more:
        then nothing is stored. Raises InvalidRequest for what is no question, ServiceUnavailable when something
        doesn't answer; what was posted by then is completed by the next attempt.
        """
        started = time.monotonic()
        if is_only_a_greeting(question.text):
            await reply.apologise(GREETING)
            return None
        require_short(question.text)
        turn, vector = await self._begin(question, private=private)
        unread = await self._turns.wait_for_files(question, turn, reply)
        if turn.pending_files:
            turn = await self._turns.settle_again(question, turn, private=private)
        with self._usage.noting_failures(question.team_id) as spent:
            answer = await self._writer.write(question, turn, reply, vector=vector, spent=spent)
            answer = replace(answer, unread=unread)
            slack_ts = await reply.finish(answer)
            await self._record(question, turn, answer, spent, slack_ts=slack_ts, started=started, claim=claim)
        return answer

    async def apologise_for_model(
        self, question: Question, reply: Reply, *, private: bool = False, claim: Claim
    ) -> None:
        """Say in place of an answer that the model is away, with the passages that the asker may go by meanwhile.

        With passages it is stored like an answer, in the transaction that finishes the work, and so taken back when one
        of their documents goes. Raises Superseded, and ServiceUnavailable when something else doesn't answer either.
        """
        started = time.monotonic()
        turn, vector = await self._begin(question, private=private)
        sources = await self._writer.nearest(question, turn, vector=vector, limit=NEAREST_SHOWN)
        words = MODEL_AWAY_NEAREST if sources else MODEL_AWAY
        slack_ts = await reply.apologise(words, sources=sources)
        if sources:
            apology = Answer(words, tuple(sources), found=False, usage=_NOTHING_USED)
            await self._record(
                question, turn, apology, [], slack_ts=slack_ts, started=started, claim=claim, state="apology"
            )
        log.warning("question.given_up", reason="model", passages=len(sources))

    async def ask(self, audience: Audience, text: str, *, user_id: UUID) -> Answer:
        """Answer somebody who asks by the HTTP API or the command line; the question opens a conversation of theirs.

        Raises InvalidRequest for what is no question, ServiceUnavailable when something doesn't answer.
        """
        started = time.monotonic()
        if is_only_a_greeting(text):
            raise InvalidRequest("nothing asked", user_message="Ask me something: a question in words.")
        require_short(text)
        question, turn = await self._turns.begin_alone(audience, text, user_id)
        vector = await self._writer.embed(text)
        with self._usage.noting_failures(question.team_id) as spent:
            answer = await self._writer.write(question, turn, Unseen(), vector=vector, spent=spent)
            await self._record(question, turn, answer, spent, slack_ts=None, started=started, claim=Unclaimed())
        return answer

    async def rehearse(self, audience: Audience, text: str, *, user_id: UUID) -> Answer:
        """Answer as `ask` does, and keep neither question nor answer, only what it cost; it counts towards no limit.

        Raises ServiceUnavailable when something doesn't answer.
        """
        turn = TurnContext(user_id, new_id(), (), True, audience.channel_ids)
        question = Question(audience.team_id, "", str(user_id), "", "", text)
        spent: list[Spending] = []
        try:
            vector = await self._writer.embed(text)
            return await self._writer.write(question, turn, Unseen(), vector=vector, spent=spent)
        finally:
            for spending in spent:
                self._usage.note(audience.team_id, spending)

    async def nearest(self, team_id: str, *, channel_id: str, ts: str, user_id: str) -> tuple[Passage, ...]:
        """Return the passages nearest to a stored question among what `user_id` alone may read, floor or no floor."""
        async with self._sessions.tenant(team_id) as session:
            message = await ConversationRepository(session).get_message(team_id, channel_id, ts)
        if message is None:
            return ()
        audience = await self._audiences.of(team_id, channel_id=channel_id, user_id=user_id, private=True)
        result = await self._search.search(message.content, audience=audience)
        return result.passages or result.nearest

    async def asked_before(self, team_id: str, *, channel_id: str, ts: str) -> AskedBefore | None:
        """Return a stored question, with what it refers to, so that it can be asked again elsewhere; None when gone."""
        here = Audience(team_id, frozenset([channel_id]))
        async with self._sessions.tenant(team_id) as session:
            conversations = ConversationRepository(session)
            message = await conversations.get_message(team_id, channel_id, ts)
            thread = message and await conversations.get_with_messages(team_id, message.conversation_id, audience=here)
        if not message or not thread or message.role != Role.USER:
            return None
        earlier = [
            Turn(Role(said.role), said.content, ts=said.slack_ts)
            for said in thread.messages
            if (said.slack_ts or "") < ts
        ]
        before = [turn.ts for turn in leading(message.content, earlier) if turn.ts]
        return AskedBefore(
            standalone(message.content, earlier), tuple(message_key(channel_id, each) for each in (*before, ts))
        )

    async def _begin(self, question: Question, *, private: bool) -> tuple[TurnContext, Vector | None]:
        """Return what the question needs to be answered, and its vector, None when the embedding model is away."""
        turn, vector = await asyncio.gather(
            self._turns.begin(question, private=private), self._writer.embed(question.text)
        )
        return await self._turns.catch_up(question, turn, private=private), vector

    async def _record(
        self,
        question: Question,
        turn: TurnContext,
        answer: Answer,
        spent: list[Spending],
        *,
        slack_ts: str | None,
        started: float,
        claim: Claim,
        state: str = "final",
    ) -> None:
        """Store the answer and what it cost, and finish the work, in one transaction. Raises Superseded."""
        latency_ms = round((time.monotonic() - started) * 1000)
        async with self._sessions.tenant(question.team_id) as session:
            await claim.finish(session)
            recorded = await ConversationRepository(session).record_answer(
                question,
                turn,
                answer,
                slack_ts=slack_ts,
                latency_ms=latency_ms,
                usage_id=spent[-1].id if spent else None,
                state=state,
            )
            for errand in retract_errands(question.team_id, recorded.missing):
                await self._enqueue(session, errand)
        if state == "final":
            _log(answer, latency_ms)


def _log(answer: Answer, latency_ms: int) -> None:
    log.info(
        "question.answered",
        found=answer.found,
        citations=len(answer.citations),
        model=answer.usage.model,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        duration_ms=latency_ms,
    )
