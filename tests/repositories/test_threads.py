from __future__ import annotations

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.repositories.threads import ThreadRepository
from bot.repositories.work import WorkRepository
from bot.services.errands import answer_errand, command_errand, ingest_errand
from bot.values import Question
from tests.conftest import OTHER_TEAM, TEAM


async def ask(sessions: Sessions, ts: str, *, thread_ts: str, team_id: str = TEAM) -> None:
    question = Question(team_id, "C1", "U1", ts, thread_ts, "")
    async with sessions.tenant(team_id) as session:
        await WorkRepository(session).record(answer_errand(question))


async def recent(sessions: Sessions, *, limit: int = 10) -> list[tuple[str, str]]:
    async with sessions.tenant(TEAM) as session:
        return await ThreadRepository(session).list_recent(TEAM, days=7, limit=limit)


async def test_the_threads_that_were_asked_in_come_latest_first_and_once_each(sessions: Sessions) -> None:
    for ts, thread_ts in (("1.1", "1.1"), ("2.1", "2.1"), ("3.1", "1.1")):
        await ask(sessions, ts, thread_ts=thread_ts)

    assert await recent(sessions) == [("C1", "1.1"), ("C1", "2.1")]
    assert await recent(sessions, limit=1) == [("C1", "1.1")]


async def test_files_commands_old_questions_and_other_workspaces_name_no_thread(sessions: Sessions) -> None:
    await ask(sessions, "1.1", thread_ts="1.1")
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE work SET created_at = now() - interval '8 days'"))
        works = WorkRepository(session)
        await works.record(ingest_errand(TEAM, "F1", channel_id="C1", message_ts="2.1", thread_ts="2.1"))
        await works.record(command_errand(TEAM, trigger_id="1", user_id="U1"))
    await ask(sessions, "3.1", thread_ts="3.1", team_id=OTHER_TEAM)

    assert await recent(sessions) == []
