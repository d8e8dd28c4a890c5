"""The leak test finds nothing where nothing leaks, and says so of every wall that is taken down."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import ServiceUnavailable
from bot.repositories.channels import ChannelRepository
from bot.repositories.visibility import TABLES
from bot.services.audience import AudienceService
from bot.services.leaks import LeakReport, LeakTest
from bot.values import Audience, ChannelKind
from tests.conftest import TEAM, Database, execute
from tests.repositories.builders import record_user
from tests.services.conftest import House
from tests.services.test_reading import forget, note, share_again

LINK = """
    WITH thread AS (INSERT INTO conversations (team_id, id, channel_id, thread_ts)
                    SELECT team_id, gen_random_uuid(), 'C1', '1.0' FROM workspaces RETURNING team_id, id)
    INSERT INTO conversation_documents (team_id, conversation_id, document_id)
    SELECT d.team_id, t.id, d.id FROM documents d, thread t ON CONFLICT DO NOTHING
"""
EVERYWHERE = Audience(TEAM, frozenset(["C1", "C2", "G1", "D1"]))


@pytest.fixture
async def stocked(house: House) -> House:
    """A note in each channel, one in two of them, one in U1's direct messages and one in their personal place."""
    house.slack.add_channel("D1", "U1", kind=ChannelKind.IM)
    for channel in ("C1", "C2", "G1", "D1"):
        await note(house, f"The canary of {channel} sings.", filename=f"{channel}.txt", channel=channel)
    await share_again(house, "The canary of C1 sings.", filename="C1.txt", channel="C2")
    async with house.sessions.tenant(TEAM) as session:
        own = await ChannelRepository(session).record_personal(TEAM, await record_user(session, "U1"))
    await note(house, "My own canary sings.", filename="own.txt", channel=own)
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(text(LINK))
    await house.audiences.refresh(TEAM, house.slack.channels)
    return house


async def run(house: House) -> LeakReport:
    return await LeakTest(house.sessions, house.slack, house.audiences, house.search).run(TEAM, sample=50, seed=1)


async def test_where_nothing_leaks_nothing_is_found(stocked: House) -> None:
    report = await run(stocked)

    assert report.leaks == []
    assert (report.channels, report.people, report.audiences, report.changed) == (4, 4, 8, 0)
    assert report.searches == 8 * 5
    assert report.passages > report.audiences
    assert report.documents > report.audiences


async def test_a_sample_is_no_larger_than_asked(stocked: House) -> None:
    test = LeakTest(stocked.sessions, stocked.slack, stocked.audiences, stocked.search)

    report = await test.run(TEAM, sample=1)

    assert (report.channels, report.people, report.audiences, report.leaks) == (1, 1, 2, [])


@pytest.mark.parametrize("table", sorted(TABLES))
async def test_a_policy_that_is_gone_is_found_by_its_table(stocked: House, database: Database, table: str) -> None:
    await execute(database.owner_url, f"DROP POLICY readers ON {table}")

    report = await run(stocked)

    assert {leak.way for leak in report.leaks} == {table}
    assert "U9 alone" in {str(leak.viewer) for leak in report.leaks}


async def test_a_search_that_forgot_its_audience_is_found_when_no_policy_holds_it(
    stocked: House, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(monkeypatch)
    assert (await run(stocked)).leaks == [], "the policies hold it"
    for table in TABLES:
        await execute(database.owner_url, f"DROP POLICY readers ON {table}")

    report = await run(stocked)

    assert "search" in {leak.way for leak in report.leaks}


async def test_an_audience_that_is_too_large_is_found(stocked: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def everybody(*_: Any, **__: Any) -> Audience:
        return EVERYWHERE

    monkeypatch.setattr(AudienceService, "of", everybody)

    report = await run(stocked)

    assert report.leaks
    assert "U9 alone" in {str(leak.viewer) for leak in report.leaks}


async def test_what_slack_changed_a_moment_ago_is_counted_apart(stocked: House) -> None:
    stocked.slack.add_channel("G1", "U2", kind=ChannelKind.PRIVATE)

    report = await run(stocked)

    assert report.leaks == []
    assert report.changed > 0


async def test_a_channel_that_slack_does_not_show_any_more_is_nobodys(stocked: House) -> None:
    del stocked.slack.channels["G1"]

    report = await run(stocked)

    assert report.leaks == []
    assert report.channels == 3
    assert report.changed > 0


async def test_while_slack_is_away_nothing_is_proven(stocked: House) -> None:
    stocked.slack.is_down = True

    with pytest.raises(ServiceUnavailable):
        await run(stocked)


async def test_a_workspace_without_documents_has_nothing_to_leak(house: House) -> None:
    assert await run(house) == LeakReport()
