"""Conversations: one for each thread, with what was said in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Text, any_, delete, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from bot.db.models import Conversation, Message
from bot.errors import NotFound, Superseded
from bot.repositories import turns
from bot.repositories.audience import PUBLIC_MAX_AGE_S
from bot.repositories.buckets import Costs
from bot.repositories.copies import delete_orphaned_copies
from bot.repositories.people import person_parameters
from bot.text.clean import clean, clean_or_none
from bot.values import Answer, Audience, Person, Question, Role, Turn, TurnContext, new_id


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """The message an answer is kept as, and those of the documents it cites that its audience could read no more by then."""

    id: UUID | None
    missing: tuple[UUID, ...] = ()


class ConversationRepository:
    """Keeps the conversations of a workspace."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def begin_turn(
        self,
        question: Question,
        person: Person,
        *,
        history_limit: int = 20,
        private: bool = False,
        max_age_s: float = 60,
        public_max_age_s: float = PUBLIC_MAX_AGE_S,
        costs: Costs | None = None,
        counts_tokens: bool = False,
    ) -> TurnContext:
        """Store the question, with who asked it and its thread, and return what an answer needs: one statement.

        `private`: the asker alone will see the answer. The ages say how long what Slack told of a channel holds.
        `costs` is what the question takes from which bucket; the day's tokens are told when they are to be counted.
        Safe to call twice, at once too: the question is stored once, and takes once; one that was deleted isn't stored.
        Raises Superseded when its channel was deleted.
        """
        parameters = {
            **person_parameters(question.team_id, person),
            **turns.begin_parameters(
                question,
                history_limit=history_limit,
                private=private,
                costs=costs or {},
                counts_tokens=counts_tokens,
            ),
            "max_age_s": max_age_s,
            "public_max_age_s": public_max_age_s,
        }
        for _ in range(2):  # person and thread may each be made by somebody else while the statement runs
            row = (await self._session.execute(turns.BEGIN, parameters)).mappings().one_or_none()
            if row is not None:
                return turns.turn_context(row, person)
        row = (await self._session.execute(turns.BEGIN, parameters)).mappings().one_or_none()
        if row is None:
            raise Superseded(f"channel {question.channel_id} was deleted")
        return turns.turn_context(row, person)

    async def record_answer(
        self,
        question: Question,
        turn: TurnContext,
        answer: Answer,
        *,
        slack_ts: str | None,
        latency_ms: int,
        cost_usd: float | None = None,
        usage_id: UUID | None = None,
        state: str = "final",
    ) -> RecordedAnswer:
        """Store an answer, its sources and what it used, in one statement; its id is None when this isn't to be kept.

        That is when its `slack_ts` has one already, or was deleted, or what it answers was (see `RECORD_ANSWER`). With a `usage_id` that is stored already, what it used isn't counted again. One whose `state` is `apology` says
        nothing to what is asked next.
        """
        parameters = {
            **turns.answer_parameters(question, turn, answer, usage_id),
            "slack_ts": slack_ts,
            "latency_ms": latency_ms,
            "cost_usd": cost_usd,
            "state": state,
        }
        row = (await self._session.execute(turns.RECORD_ANSWER, parameters)).one()
        return RecordedAnswer(row.id, tuple(row.missing))

    async def record_thread(self, team_id: str, conversation_id: UUID, channel_id: str, earlier: Sequence[Turn]) -> int:
        """Store what a thread held before us and note that it was read; return how many messages were new.

        Messages without a ts are left out: nothing would tell them apart the next time.
        """
        dated = [turn for turn in earlier if turn.ts is not None]
        parameters: dict[str, Any] = {
            "team": team_id,
            "conversation": conversation_id,
            "channel": channel_id,
            "ids": [new_id() for _ in dated],
            "slack_ts": [turn.ts for turn in dated],
            "authors": [clean_or_none(turn.author) for turn in dated],
            "author_slack_ids": [clean_or_none(turn.author_id) for turn in dated],
            "roles": [str(turn.role) for turn in dated],
            "contents": [clean(turn.text) for turn in dated],
        }
        return (await self._session.execute(turns.RECORD_THREAD, parameters)).scalar_one()  # type: ignore[no-any-return]

    async def record_thread_root(
        self, team_id: str, channel_id: str, thread_ts: str, *, started_by: UUID | None = None
    ) -> UUID:
        """Return the conversation of a thread, made when it isn't there. Safe to call twice at once.

        Raises NotFound when its channel was deleted.
        """
        parameters = {
            "team": team_id,
            "new_conversation_id": new_id(),
            "channel": channel_id,
            "thread_ts": thread_ts,
            "starter": started_by,
            "opens_thread": False,
        }
        conversation_id: UUID | None = await self._session.scalar(_RECORD_ROOT, parameters)
        if conversation_id is None:  # made by another transaction meanwhile: now it shows
            conversation_id = await self._session.scalar(_RECORD_ROOT, parameters)
        if conversation_id is None:
            raise NotFound(f"channel {channel_id} was deleted", user_message="That channel was deleted.")
        return conversation_id

    async def record_question(self, question: Question, conversation_id: UUID, *, author_id: UUID) -> UUID:
        """Store a question that didn't come by Slack, so without a ts of Slack's; return the message's id."""
        message = Message(
            team_id=question.team_id,
            conversation_id=conversation_id,
            channel_id=question.channel_id,
            author_id=author_id,
            role=Role.USER,
            content=clean(question.text),
        )
        self._session.add(message)
        await self._session.flush()
        return message.id

    async def pending_files(self, team_id: str, channel_id: str, thread_ts: str) -> tuple[int, tuple[str, ...]]:
        """Return how many files of a thread are still to be read, and the names of those known by name."""
        parameters = {"team": team_id, "channel": channel_id, "thread_ts": thread_ts}
        row = (await self._session.execute(text(f"SELECT {turns.PENDING_FILES}"), parameters)).one()
        return row.pending_files, tuple(row.processing)

    async def get(self, team_id: str, conversation_id: UUID) -> Conversation | None:
        """Return one conversation, without what was said in it."""
        return await self._session.scalar(_conversations(team_id).where(Conversation.id == conversation_id))

    async def get_by_thread(self, team_id: str, channel_id: str, thread_ts: str) -> Conversation | None:
        """Return the conversation of a thread, without what was said in it."""
        thread = (Conversation.channel_id == channel_id) & (Conversation.thread_ts == thread_ts)
        return await self._session.scalar(_conversations(team_id).where(thread))

    async def get_message(self, team_id: str, channel_id: str, ts: str) -> Message | None:
        """Return the message with this ts."""
        place = (Message.team_id == team_id) & (Message.channel_id == channel_id) & (Message.slack_ts == ts)
        return await self._session.scalar(select(Message).where(place).execution_options(populate_existing=True))

    async def get_with_messages(
        self, team_id: str, conversation_id: UUID, *, audience: Audience
    ) -> Conversation | None:
        """Return one conversation that the audience may read, with its messages by their ts: two statements."""
        statement = _conversations(team_id).where(Conversation.id == conversation_id, _readable(audience))
        return await self._session.scalar(statement.options(selectinload(Conversation.messages)))

    async def list_page(
        self, team_id: str, *, audience: Audience, after: UUID | None = None, limit: int = 20
    ) -> list[Conversation]:
        """Return the conversations that the audience may read, newest first, from the one after `after`."""
        page = _conversations(team_id).where(_readable(audience)).order_by(Conversation.id.desc()).limit(limit)
        if after is not None:
            page = page.where(Conversation.id < after)
        return list(await self._session.scalars(page))

    async def delete(self, team_id: str, conversation_id: UUID) -> int:
        """Delete a conversation with all that was said in it; return 0 or 1. Its documents stay."""
        here = (Conversation.team_id == team_id) & (Conversation.id == conversation_id)
        count = len((await self._session.scalars(delete(Conversation).where(here).returning(Conversation.id))).all())
        await delete_orphaned_copies(self._session, team_id)
        return count


def _conversations(team_id: str) -> Select[Conversation]:
    return select(Conversation).where(Conversation.team_id == team_id).execution_options(populate_existing=True)


def _readable(audience: Audience) -> Any:
    return Conversation.channel_id == any_(literal(sorted(audience.channel_ids), ARRAY(Text)))


_RECORD_ROOT = text(
    f"WITH person AS (SELECT CAST(:starter AS uuid) AS id), {turns.CONVERSATION} SELECT id FROM conversation"
)
