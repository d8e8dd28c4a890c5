"""Answering: load, search, write, check, record."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import structlog

from bot.db.engine import Sessions
from bot.errors import InvalidRequest
from bot.llm import ChatModel
from bot.repositories.channels import ChannelRepository
from bot.repositories.conversations import ConversationRepository
from bot.services.audience import AudienceService
from bot.services.errands import ingest_errand
from bot.services.ports import Enqueue, Reply, ThreadReader
from bot.services.search import SearchService
from bot.text.citations import renumber
from bot.text.followup import standalone
from bot.values import (
    Answer,
    Audience,
    Errand,
    Passage,
    Prompt,
    Question,
    SharedFile,
    TurnContext,
    Usage,
    Vector,
    new_id,
)

log = structlog.get_logger()

MAX_QUESTION_CHARS = 8_000
"""A longer message is no question; shared as a file it can be asked about."""

NOT_FOUND = "I found nothing about that in what has been shared here."
GREETING = (
    "Hello! Share a file in this thread and ask me about it, or ask about anything shared in this channel before."
)
_POLL_S = 0.25
_EMOJI = re.compile(r":[\w+'-]+:")

Permalink = Callable[[Passage], str | None]


class AnswerService:
    """Answers questions from what has been shared, quoting the words it relies on."""

    def __init__(
        self,
        sessions: Sessions,
        search: SearchService,
        chat: ChatModel,
        audiences: AudienceService,
        threads: ThreadReader,
        enqueue: Enqueue,
        *,
        permalink: Permalink,
        file_wait_s: float,
    ) -> None:
        self._sessions = sessions
        self._search = search
        self._chat = chat
        self._audiences = audiences
        self._threads = threads
        self._enqueue = enqueue
        self._permalink = permalink
        self._file_wait_s = file_wait_s

    async def answer(self, question: Question, reply: Reply, *, private: bool = False) -> Answer | None:
        """Write the answer into `reply` and store it; None for a greeting. `private`: only the asker will see it.

        Raises InvalidRequest for what is no question, ServiceUnavailable when something doesn't answer; what was
        posted by then is completed by the next attempt.
        """
        started = time.monotonic()
        if is_only_a_greeting(question.text):
            await reply.apologise(GREETING)
            return None
        _require_short(question.text)
        turn, vector = await asyncio.gather(self._begin(question, private=private), self._search.embed(question.text))
        turn = await self._catch_up(question, turn, private=private)
        unread = await self._wait_for_files(question, turn, reply)
        answer = replace(await self._compose(question, turn, reply, vector=vector), unread=unread)
        await self._record(question, turn, answer, slack_ts=await reply.finish(answer), started=started)
        return answer

    async def ask(self, audience: Audience, text: str, *, user_id: UUID) -> Answer:
        """Answer somebody who asks by the HTTP API or the command line; the question opens a conversation of theirs.

        Raises InvalidRequest for what is no question, ServiceUnavailable when something doesn't answer.
        """
        started = time.monotonic()
        if is_only_a_greeting(text):
            raise InvalidRequest("nothing asked", user_message="Ask me something: a question in words.")
        _require_short(text)
        question, turn = await self._begin_alone(audience, text, user_id)
        answer = await self._compose(question, turn, _Unseen())
        await self._record(question, turn, answer, slack_ts=None, started=started)
        return answer

    async def nearest(self, team_id: str, *, channel_id: str, ts: str, user_id: str) -> tuple[Passage, ...]:
        """Return the passages nearest to a stored question among what `user_id` alone may read, floor or no floor."""
        async with self._sessions.tenant(team_id) as session:
            message = await ConversationRepository(session).get_message(team_id, channel_id, ts)
        if message is None:
            return ()
        audience = await self._audiences.of(team_id, channel_id=channel_id, user_id=user_id, private=True)
        result = await self._search.search(message.content, audience=audience)
        return result.passages or result.nearest

    async def _begin(self, question: Question, *, private: bool) -> TurnContext:
        person = await self._audiences.person(question.team_id, question.user_id)
        async with self._sessions.tenant(question.team_id) as session:
            return await ConversationRepository(session).begin_turn(
                question, person, private=private, max_age_s=self._audiences.max_age_s
            )

    async def _begin_alone(self, audience: Audience, text: str, user_id: UUID) -> tuple[Question, TurnContext]:
        """Store the question as the first of a conversation in its asker's personal place."""
        team_id, root = audience.team_id, str(new_id())
        async with self._sessions.tenant(team_id) as session:
            channel_id = await ChannelRepository(session).record_personal(team_id, user_id)
            conversations = ConversationRepository(session)
            conversation_id = await conversations.record_thread_root(team_id, channel_id, root, started_by=user_id)
            question = Question(team_id, channel_id, str(user_id), root, root, text)
            await conversations.record_question(question, conversation_id, author_id=user_id)
        return question, TurnContext(user_id, conversation_id, (), True, audience.channel_ids)

    async def _catch_up(self, question: Question, turn: TurnContext, *, private: bool) -> TurnContext:
        """Read what the thread held before us, once, and the memberships that have aged."""
        if not turn.thread_read and not question.opens_thread and not private:
            turns, files = await self._threads.read_thread(question.team_id, question.channel_id, question.thread_ts)
            earlier = [turn for turn in turns if (turn.ts or "") < question.ts]
            async with self._sessions.tenant(question.team_id) as session:
                await ConversationRepository(session).record_thread(
                    question.team_id, turn.conversation_id, question.channel_id, earlier
                )
                new = [await self._enqueue(session, _reading(file)) for file in files]
            turn = replace(turn, history=tuple(earlier), pending_files=turn.pending_files + sum(new))
        if turn.stale_channel_ids:
            await self._audiences.refresh(question.team_id, turn.stale_channel_ids)
            audience = await self._audiences.known(
                question.team_id, channel_id=question.channel_id, user_id=question.user_id, private=private
            )
            turn = replace(turn, channel_ids=audience.channel_ids)
        return turn

    async def _wait_for_files(self, question: Question, turn: TurnContext, reply: Reply) -> tuple[str, ...]:
        """Wait for the thread's files; return the names of those still unread when patience ends."""
        deadline = time.monotonic() + self._file_wait_s
        pending, names = turn.pending_files, turn.processing
        shown = ""
        while pending and time.monotonic() < deadline:
            status = f"Reading {_listed(names)} …"
            if status != shown:
                await reply.show_status(status)
                shown = status
            await asyncio.sleep(_POLL_S)
            async with self._sessions.tenant(question.team_id) as session:
                pending, names = await ConversationRepository(session).pending_files(
                    question.team_id, question.channel_id, question.thread_ts
                )
        if not pending:
            return ()
        return names or ("a file shared in this thread",)

    async def _compose(
        self, question: Question, turn: TurnContext, reply: Reply, *, vector: Vector | None = None
    ) -> Answer:
        """Search, and write what was found into the reply. `vector` is the question's own embedding."""
        search_text = standalone(question.text, turn.history)
        result = await self._search.search(
            search_text,
            audience=Audience(question.team_id, turn.channel_ids),
            model_id=turn.embedding_model_id,
            vector=vector if search_text == question.text else None,
        )
        prompt = Prompt(question.text, search_text, result.passages, turn.history, result.term_weights)
        return await self._write(prompt, reply)

    async def _record(
        self, question: Question, turn: TurnContext, answer: Answer, *, slack_ts: str | None, started: float
    ) -> None:
        latency_ms = round((time.monotonic() - started) * 1000)
        async with self._sessions.tenant(question.team_id) as session:
            await ConversationRepository(session).record_answer(
                question, turn, answer, slack_ts=slack_ts, latency_ms=latency_ms
            )
        _log(answer, latency_ms)

    async def _write(self, prompt: Prompt, reply: Reply) -> Answer:
        """Stream the model's text into the reply, then keep what its sources bear out."""
        text, usage = "", Usage(self._chat.name, 0, 0)
        if prompt.passages:
            async for piece in self._chat.stream(prompt):
                if isinstance(piece, Usage):
                    usage = piece
                else:
                    text += piece
                    await reply.append(piece)
        text, citations = renumber(text, prompt.passages, term_weights=prompt.term_weights, permalink=self._permalink)
        if not citations:
            return Answer(NOT_FOUND, (), found=False, usage=usage)
        return Answer(text, tuple(citations), found=True, usage=usage)


class _Unseen:
    """A reply that nobody watches being written."""

    async def show_status(self, status: str) -> None:
        """Show nothing."""

    async def append(self, text: str) -> None:
        """Show nothing."""

    async def finish(self, answer: Answer) -> str:  # noqa: ARG002
        """Return no ts: nothing was posted."""
        return ""

    async def apologise(self, message: str) -> str:  # noqa: ARG002
        """Return no ts: nothing was posted."""
        return ""


def _require_short(text: str) -> None:
    if len(text) > MAX_QUESTION_CHARS:
        message = (
            f"That is too long for a question: I read up to {MAX_QUESTION_CHARS:,} characters. "
            "Share it as a file, and ask me about it."
        )
        raise InvalidRequest("question too long", user_message=message)


def is_only_a_greeting(text: str) -> bool:
    """True when nothing is asked: no letter or digit outside emoji codes."""
    return not any(character.isalnum() for character in _EMOJI.sub("", text))


def _reading(file: SharedFile) -> Errand:
    place = {"channel_id": file.channel_id, "message_ts": file.message_ts, "thread_ts": file.thread_ts}
    return ingest_errand(file.team_id, file.file_id, **place)


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "the files in this thread"
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


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
