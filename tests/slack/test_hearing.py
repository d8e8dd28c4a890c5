"""Up to when we heard everything: moved on while Slack reaches us, and what was missed before becomes work."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot.db.engine import Sessions, build_engine
from bot.jobs.queue import Queue
from bot.repositories.channels import ChannelRepository
from bot.repositories.workspaces import WorkspaceRepository
from bot.slack.hearing import Hearing
from bot.slack.inbox import Inbox
from tests.conftest import TEAM
from tests.slack.acts import count, until, value


@pytest.fixture
def inbox(sessions: Sessions) -> Inbox:
    return Inbox(sessions, Queue())


@pytest.fixture
async def hearing(sessions: Sessions, inbox: Inbox) -> Hearing:
    async with sessions.tenant(TEAM) as session:
        await ChannelRepository(session).record_workspace(TEAM, name="Test")
    return make(sessions, inbox)


def make(sessions: Sessions, inbox: Inbox, *, gap_s: float = 30, hours: float = 24) -> Hearing:
    return Hearing(sessions, Queue(), inbox, team_id=TEAM, gap_s=gap_s, backfill_hours=hours)


async def heard_last(sessions: Sessions, *, ago: timedelta) -> datetime:
    """Let the workspace have been heard for the last time so long ago."""
    moment = datetime.now(UTC) - ago
    async with sessions.tenant(TEAM) as session:
        await WorkspaceRepository(session).record_heard(TEAM, moment)
    return moment


async def heard_at(sessions: Sessions) -> datetime:
    moment = await value(sessions, "SELECT heard_at FROM workspaces")
    assert isinstance(moment, datetime)
    return moment


async def wanted(sessions: Sessions) -> list[datetime]:
    """Return since when each backfill reads that was asked for."""
    since = await value(sessions, "SELECT string_agg(ids->>'since', ' ' ORDER BY id) FROM work WHERE task = 'backfill'")
    return [datetime.fromisoformat(moment) for moment in (since or "").split()]


async def test_the_first_start_ever_reads_nothing_that_was_said_before(hearing: Hearing, sessions: Sessions) -> None:
    await hearing.heard()

    assert datetime.now(UTC) - await heard_at(sessions) < timedelta(seconds=10)
    assert await wanted(sessions) == []


async def test_of_a_workspace_that_was_purged_and_let_in_again_nothing_is_noted_before_it_is_opened(
    inbox: Inbox, sessions: Sessions
) -> None:
    await make(sessions, inbox).heard()

    assert await count(sessions, "workspaces") == 0
    assert await wanted(sessions) == []


async def test_a_short_silence_is_no_gap(hearing: Hearing, sessions: Sessions) -> None:
    await heard_last(sessions, ago=timedelta(seconds=20))

    await hearing.heard()

    assert datetime.now(UTC) - await heard_at(sessions) < timedelta(seconds=10)
    assert await wanted(sessions) == []


async def test_a_gap_becomes_work_in_the_step_that_closes_it(hearing: Hearing, sessions: Sessions) -> None:
    last = await heard_last(sessions, ago=timedelta(minutes=10))

    await hearing.heard()
    await hearing.heard()

    [since] = await wanted(sessions)
    assert timedelta(seconds=30) < last - since < timedelta(minutes=2)
    assert datetime.now(UTC) - await heard_at(sessions) < timedelta(seconds=10)


async def test_no_more_than_the_last_hours_are_read(hearing: Hearing, sessions: Sessions) -> None:
    await heard_last(sessions, ago=timedelta(days=30))

    await hearing.heard()

    [since] = await wanted(sessions)
    assert timedelta(hours=23, minutes=59) < datetime.now(UTC) - since < timedelta(hours=24, minutes=1)


async def test_backfill_can_be_switched_off(hearing: Hearing, sessions: Sessions, inbox: Inbox) -> None:
    await heard_last(sessions, ago=timedelta(hours=2))

    await make(sessions, inbox, hours=0).heard()

    assert await wanted(sessions) == []
    assert datetime.now(UTC) - await heard_at(sessions) < timedelta(seconds=10)


async def test_several_processes_that_come_back_at_once_read_a_gap_once(
    hearing: Hearing, sessions: Sessions, inbox: Inbox
) -> None:
    await heard_last(sessions, ago=timedelta(minutes=10))

    await asyncio.gather(*(make(sessions, inbox).heard() for _ in range(4)))

    assert len(await wanted(sessions)) == 1


async def test_what_was_heard_is_never_forgotten_again(hearing: Hearing, sessions: Sessions) -> None:
    later = await heard_last(sessions, ago=timedelta(seconds=0))

    await heard_last(sessions, ago=timedelta(hours=1))

    assert await heard_at(sessions) == later


async def test_an_event_that_could_not_be_stored_is_read_later(
    hearing: Hearing, sessions: Sessions, inbox: Inbox
) -> None:
    await hearing.heard()
    inbox.unstored_since = datetime.now(UTC) - timedelta(seconds=5)

    await hearing.heard()
    await hearing.heard()

    [since] = await wanted(sessions)
    assert datetime.now(UTC) - since > timedelta(seconds=5)
    assert inbox.unstored_since is None


async def test_a_database_that_is_away_is_waited_for_and_nothing_is_taken_for_heard(
    hearing: Hearing, sessions: Sessions, inbox: Inbox
) -> None:
    last = await heard_last(sessions, ago=timedelta(minutes=10))
    engine = build_engine("postgresql+asyncpg://nobody:none@127.0.0.1:9/nowhere", pool_size=1)
    try:
        inbox.unstored_since = last
        await make(Sessions(engine), inbox).heard()
    finally:
        await engine.dispose()

    assert await heard_at(sessions) == last
    assert inbox.unstored_since == last


async def test_requests_one_after_the_other_are_noted_once(hearing: Hearing, sessions: Sessions) -> None:
    for _ in range(100):
        hearing.hear()

    async def noted() -> bool:
        return await count(sessions, "workspaces WHERE heard_at IS NOT NULL") == 1

    await until(noted)
    first = await heard_at(sessions)
    hearing.hear()
    await hearing.close()
    assert await heard_at(sessions) == first
