"""What was spent, by call."""

from __future__ import annotations

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.repositories.usage import UsageRepository
from bot.values import Spending, Usage, new_id
from tests.conftest import OTHER_TEAM, TEAM

CHAT = Spending(Usage("chat", 100, 20), new_id())
EMBEDDING = Spending(Usage("embedding", 7, 0))


async def test_each_call_is_a_row_with_its_model_and_whose_it_was(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await UsageRepository(session).record(TEAM, [CHAT, EMBEDDING])

        rows = (await session.execute(text("SELECT * FROM usage_events ORDER BY prompt_tokens DESC"))).all()

    assert [(row.id, row.user_id, row.model) for row in rows] == [
        (CHAT.id, CHAT.user_id, "chat"),
        (EMBEDDING.id, None, "embedding"),
    ]
    assert [(row.prompt_tokens, row.completion_tokens) for row in rows] == [(100, 20), (7, 0)]


async def test_a_call_recorded_again_stays_as_it_was(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        usage = UsageRepository(session)
        await usage.record(TEAM, [CHAT])
        await usage.record(TEAM, [CHAT, EMBEDDING])
        await usage.record(TEAM, [])

        assert await session.scalar(text("SELECT count(*) FROM usage_events")) == 2


async def test_what_a_workspace_spent_is_its_own_affair(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await UsageRepository(session).record(TEAM, [CHAT])

    async with sessions.tenant(OTHER_TEAM) as session:
        assert await session.scalar(text("SELECT count(*) FROM usage_events")) == 0
