from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository
from bot.repositories.workspaces import Heard, WorkspaceRepository
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import overlap


async def known(sessions: Sessions, *team_ids: str) -> None:
    for team_id in team_ids:
        async with sessions.tenant(team_id) as session:
            await ChannelRepository(session).record_workspace(team_id, name="Test")


async def heard_in(session: AsyncSession, team_id: str) -> Heard:
    heard = await WorkspaceRepository(session).get_heard(team_id)
    assert heard is not None
    return heard


async def test_a_workspace_was_never_heard_at_first_and_then_until_the_latest_moment(sessions: Sessions) -> None:
    await known(sessions, TEAM, OTHER_TEAM)
    now = datetime.now(UTC)

    async with sessions.tenant(TEAM) as session:
        workspaces = WorkspaceRepository(session)
        before = await heard_in(session, TEAM)
        await workspaces.record_heard(TEAM, now)
        await workspaces.record_heard(TEAM, now - timedelta(hours=1))
        after = await heard_in(session, TEAM)
    async with sessions.tenant(OTHER_TEAM) as session:
        other = await heard_in(session, OTHER_TEAM)

    assert before.until is None
    assert abs(before.now - now) < timedelta(minutes=1)
    assert after.until == now
    assert other.until is None


async def test_who_asks_while_another_decides_learns_what_was_decided(sessions: Sessions) -> None:
    await known(sessions, TEAM)

    async def decide(session: AsyncSession) -> datetime:
        heard = await heard_in(session, TEAM)
        await WorkspaceRepository(session).record_heard(TEAM, heard.now)
        return heard.now

    async def ask(session: AsyncSession) -> datetime | None:
        return (await heard_in(session, TEAM)).until

    decided, learnt = await overlap(sessions, decide, ask)

    assert learnt == decided
