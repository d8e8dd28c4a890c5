"""What a question needs before it can be answered: who asks, what was said before, who will read it, its files."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from uuid import UUID

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository
from bot.repositories.conversations import ConversationRepository
from bot.repositories.retention import RetentionRepository
from bot.repositories.users import UserRepository
from bot.services.audience import READINGS, AudienceService, unsettled
from bot.services.errands import ingest_errand
from bot.services.limits import Kind, Limits, admit_question
from bot.services.ports import Enqueue, Reply, ThreadReader
from bot.text.visible import line_of
from bot.values import Audience, Errand, Person, Question, SharedFile, TurnContext, new_id

UNLIMITED = Limits()

_NAME_LIMIT = 100
"""Characters of a file's name in a status."""
_POLL_S = 0.25
_DAY_S = 24 * 60 * 60


class TurnService:
    """Opens the turns of conversations."""

    def __init__(
        self,
        sessions: Sessions,
        audiences: AudienceService,
        threads: ThreadReader,
        enqueue: Enqueue,
        *,
        file_wait_s: float,
        limits: Limits = UNLIMITED,
    ) -> None:
        self._sessions = sessions
        self._audiences = audiences
        self._threads = threads
        self._enqueue = enqueue
        self._file_wait_s = file_wait_s
        self._limits = limits

    async def begin(self, question: Question, *, private: bool) -> TurnContext:
        """Store the question and return what is known of its thread and audience.

        Raises NotFound for nobody's, Forbidden for one of somebody deactivated, ServiceUnavailable, and TooManyRequests
        for one too many: that one isn't stored.
        """
        person = await self._audiences.asker(question.team_id, question.user_id, since=0)  # `catch_up` looks again
        return await self._begin(question, person, private=private)

    async def _begin(self, question: Question, person: Person, *, private: bool) -> TurnContext:
        async with self._sessions.tenant(question.team_id) as session:
            turn = await ConversationRepository(session).begin_turn(
                question,
                person,
                private=private,
                max_age_s=self._audiences.max_age_s,
                costs=self._limits.costs(Kind.QUESTIONS, question.user_id),
                counts_tokens=self._limits.workspace_tokens_per_day > 0,
            )
            self._limits.require_room(turn.debts, tokens_today=turn.tokens_today)
        return turn

    async def begin_alone(self, audience: Audience, text: str, user_id: UUID) -> tuple[Question, TurnContext]:
        """Store the question as the first of a conversation in its asker's personal place. Raises TooManyRequests."""
        team_id, root = audience.team_id, str(new_id())
        async with self._sessions.tenant(team_id) as session:
            user = await UserRepository(session).get(team_id, user_id)
            who = user.slack_user_id if user is not None and user.slack_user_id else str(user_id)
            await admit_question(session, team_id, who, self._limits)  # from the bucket of their questions in Slack
            channel_id = await ChannelRepository(session).record_personal(team_id, user_id)
            conversations = ConversationRepository(session)
            conversation_id = await conversations.record_thread_root(team_id, channel_id, root, started_by=user_id)
            question = Question(team_id, channel_id, str(user_id), root, root, text)
            await conversations.record_question(question, conversation_id, author_id=user_id)
        return question, TurnContext(user_id, conversation_id, (), True, audience.channel_ids)

    async def catch_up(self, question: Question, turn: TurnContext, *, private: bool) -> TurnContext:
        """Read what has aged or changed of people and channels, and once what the thread held before us.

        Of that, what is older than the workspace keeps things is left in Slack.
        Raises Forbidden, ServiceUnavailable.
        """
        turn = await self._settled(question, turn, private=private)
        if turn.thread_read or question.opens_thread or private:
            return turn
        turns, files = await self._threads.read_thread(question.team_id, question.channel_id, question.thread_ts)
        async with self._sessions.tenant(question.team_id) as session:
            days = await RetentionRepository(session).get_days(question.team_id)
            oldest = 0.0 if days is None else time.time() - days * _DAY_S
            earlier = [turn for turn in turns if (turn.ts or "") < question.ts and float(turn.ts or 0) >= oldest]
            files = [file for file in files if float(file.message_ts) >= oldest]
            await ConversationRepository(session).record_thread(
                question.team_id, turn.conversation_id, question.channel_id, earlier
            )
            new = [await self._enqueue(session, _reading(file)) for file in files]
        return replace(turn, history=tuple(earlier), pending_files=turn.pending_files + sum(new))

    async def settle_again(self, question: Question, turn: TurnContext, *, private: bool) -> TurnContext:
        """Return the turn as it stands after a wait: meanwhile others may have come to see its channel.

        Raises Forbidden, ServiceUnavailable.
        """
        person = await self._audiences.asker(question.team_id, question.user_id, since=turn.people_changes)
        return await self._settled(question, await self._begin(question, person, private=private), private=private)

    async def _settled(self, question: Question, turn: TurnContext, *, private: bool) -> TurnContext:
        """Return the turn once neither its asker nor its audience has to be read from Slack again."""
        read: set[str] = set()
        for reading in range(READINGS):
            person = await self._audiences.asker(question.team_id, question.user_id, since=turn.people_changes)
            unread = await self._audiences.unread(question.team_id, turn.stale_channel_ids, read)
            perhaps = turn.marked_channel_ids if reading == 0 else frozenset[str]()  # these only add: once
            if person == turn.asker and not unread and not perhaps:
                return turn
            read |= await self._audiences.refresh(question.team_id, unread, perhaps=perhaps)
            turn = await self._begin(question, person, private=private)
        raise unsettled()

    async def wait_for_files(self, question: Question, turn: TurnContext, reply: Reply) -> tuple[str, ...]:
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


def _reading(file: SharedFile) -> Errand:
    place = {"channel_id": file.channel_id, "message_ts": file.message_ts, "thread_ts": file.thread_ts}
    return ingest_errand(file.team_id, file.file_id, **place)


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "the files in this thread"
    first = line_of(names[0], limit=_NAME_LIMIT)
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"
