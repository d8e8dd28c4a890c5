from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions
from bot.repositories.conversations import ConversationRepository
from bot.values import new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import audience, counted_statements, overlap, person, question, record_user

ROOT = "1700000000.000000"


async def test_the_conversation_of_a_thread_is_made_once(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        user = await record_user(session)
        made = await conversations.record_thread_root(TEAM, "C1", ROOT, started_by=user)
        again = await conversations.record_thread_root(TEAM, "C1", ROOT)
        elsewhere = await conversations.record_thread_root(TEAM, "C2", ROOT)

        found = await conversations.get_by_thread(TEAM, "C1", ROOT)
    assert made == again != elsewhere
    assert found is not None
    assert (found.id, found.started_by, found.thread_read_at) == (made, user, None)


async def test_the_conversation_of_a_thread_made_by_two_transactions_at_once_is_one(sessions: Sessions) -> None:
    async def make(session: AsyncSession) -> UUID:
        return await ConversationRepository(session).record_thread_root(TEAM, "C1", ROOT)

    first, second = await overlap(sessions, make, make)

    assert first == second


async def test_a_turn_joins_the_conversation_that_a_file_began(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        made = await conversations.record_thread_root(TEAM, "C1", ROOT)
        turn = await conversations.begin_turn(question(ts="1700000001.000000", thread_ts=ROOT), person())

    assert turn.conversation_id == made
    assert not turn.thread_read


async def test_a_conversation_comes_with_its_messages_in_order_in_two_statements(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        for n in (3, 1, 2):
            turn = await conversations.begin_turn(
                question(f"question {n}", ts=f"170000000{n}.000000", thread_ts=ROOT), person()
            )
        with counted_statements(engine) as statements:
            found = await conversations.get_with_messages(TEAM, turn.conversation_id, audience=audience("C1", "C2"))
        hidden = await conversations.get_with_messages(TEAM, turn.conversation_id, audience=audience("C2"))

    assert found is not None
    assert [message.content for message in found.messages] == ["question 1", "question 2", "question 3"]
    assert len(statements) == 2
    assert hidden is None


async def test_conversations_are_listed_newest_first_page_by_page_for_who_may_read_them(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        ids = [await conversations.record_thread_root(TEAM, "C1", f"170000000{n}.000000") for n in range(3)]
        await conversations.record_thread_root(TEAM, "GSECRET", ROOT)

        first = await conversations.list_page(TEAM, audience=audience("C1"), limit=2)
        second = await conversations.list_page(TEAM, audience=audience("C1"), after=first[-1].id, limit=2)
        nothing = await conversations.list_page(TEAM, audience=audience())
    assert [row.id for row in [*first, *second]] == ids[::-1]
    assert nothing == []


async def test_a_deleted_conversation_takes_its_messages_along(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        turn = await conversations.begin_turn(question(), person())

        assert await conversations.delete(TEAM, turn.conversation_id) == 1
        assert await conversations.delete(TEAM, turn.conversation_id) == 0
        assert await session.scalar(text("SELECT count(*) FROM messages")) == 0


async def test_another_workspace_sees_no_conversation(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        made = await ConversationRepository(session).record_thread_root(TEAM, "C1", ROOT)

    async with sessions.tenant(OTHER_TEAM) as session:
        conversations = ConversationRepository(session)
        assert await conversations.get(TEAM, made) is None
        assert await conversations.get_by_thread(TEAM, "C1", ROOT) is None
        assert await conversations.get_message(TEAM, "C1", ROOT) is None
        assert await conversations.list_page(TEAM, audience=audience("C1")) == []
        assert await conversations.delete(TEAM, made) == 0


async def test_what_is_not_there_is_none(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)

        assert await conversations.get(TEAM, new_id()) is None
        assert await conversations.get_by_thread(TEAM, "C1", ROOT) is None
        assert await conversations.get_message(TEAM, "C1", ROOT) is None
