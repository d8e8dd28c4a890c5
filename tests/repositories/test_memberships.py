"""What Slack told of a change is read from it again before it is relied on."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository
from bot.repositories.memberships import MembershipRepository
from bot.repositories.users import UserRepository
from bot.values import ChannelKind, Person, UserKind
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import channel, overlap, person, record_user, share_bytes

GUEST = person("U2", kind=UserKind.GUEST)


@pytest.fixture(autouse=True)
async def workspace(sessions: Sessions) -> None:
    """A workspace where C1 (U1, U2) and C2 (U1) were just read, and something was shared in each."""
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        await channels.record_workspace(TEAM)
        await channels.record_channel(TEAM, channel("C1", ["U1", "U2"]))
        await channels.record_channel(TEAM, channel("C2", ["U1"]))
        user = await record_user(session)
        for number, place in enumerate(("C1", "C2")):
            await share_bytes(session, bytes([number]), user=user, channel_id=place)


async def stale(session: AsyncSession) -> list[str]:
    return await ChannelRepository(session).list_stale(TEAM, ["C1", "C2"], max_age_s=3600, public_max_age_s=3600)


async def test_a_channel_that_changed_must_be_read_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        before = await stale(session)
        await MembershipRepository(session).record_channel_change(TEAM, "C1")

        assert before == []
        assert await stale(session) == ["C1"]

        await ChannelRepository(session).record_channel(TEAM, channel("C1", ["U1"]))
        assert await stale(session) == []


async def test_what_was_read_before_a_change_is_not_stored(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels, memberships = ChannelRepository(session), MembershipRepository(session)
        seen = await channels.get_changes(TEAM, ["C1", "C3"])
        await memberships.delete_member(TEAM, "C1", "U2")
        await memberships.record_channel_change(TEAM, "C3")

        assert not await channels.record_channel(TEAM, channel("C1", ["U1", "U2"]), seen=seen)
        assert not await channels.record_channel(TEAM, channel("C3", ["U1"]), seen=seen), "nor of one that was new"
        assert await stale(session) == ["C1"]
        assert await channels.list_members(TEAM, "C1") == ["U1"]

        seen = await channels.get_changes(TEAM, ["C1"])
        assert await channels.record_channel(TEAM, channel("C1", ["U1"]), seen=seen)
        assert await stale(session) == []


async def test_an_unknown_channel_of_which_something_is_told_stays_unread(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await MembershipRepository(session).record_member(TEAM, "C3", "U2")

        row = await ChannelRepository(session).get(TEAM, "C3")
        assert row is not None
        assert (row.kind, row.has_outsiders, row.synced_at) == (ChannelKind.PRIVATE, True, None)


async def test_who_left_is_out_at_once_and_who_came_in_once_slack_says_so(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels, memberships = ChannelRepository(session), MembershipRepository(session)
        await memberships.delete_member(TEAM, "C1", "U2")
        await memberships.delete_member(TEAM, "C1", "U2")
        assert await channels.list_members(TEAM, "C1") == ["U1"]

        await channels.record_channel(TEAM, channel("C1", ["U1"]))
        await memberships.record_member(TEAM, "C1", "U2")
        await memberships.record_member(TEAM, "C1", "U2")
        assert await channels.list_members(TEAM, "C1") == ["U1", "U2"]
        assert await stale(session) == ["C1"]


@pytest.mark.parametrize(
    "told", [GUEST, person("U2", kind=UserKind.EXTERNAL), Person("U2", "Bob", is_deactivated=True)]
)
@pytest.mark.parametrize("stored", [["U2"], []])
async def test_who_became_less_than_a_member_makes_their_channels_be_read_again(
    sessions: Sessions, told: Person, stored: list[str]
) -> None:
    async with sessions.tenant(TEAM) as session:
        for user_id in stored:
            await record_user(session, user_id)

        assert await MembershipRepository(session).record_person_change(TEAM, told)

        assert await stale(session) == ["C1"]
        assert (await ChannelRepository(session).get_changes(TEAM)).people == 1


async def test_what_is_known_of_a_person_is_no_news(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        memberships = MembershipRepository(session)
        await UserRepository(session).record_person(TEAM, GUEST)

        assert not await memberships.record_person_change(TEAM, GUEST), "a guest with another picture"
        assert not await memberships.record_person_change(TEAM, person("U3")), "a member who never asked"
        assert await stale(session) == []
        assert (await ChannelRepository(session).get_changes(TEAM)).people == 0


async def test_a_guest_who_was_made_a_member_and_a_guest_again_is_news_each_time(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        memberships = MembershipRepository(session)
        await UserRepository(session).record_person(TEAM, GUEST)

        assert await memberships.record_person_change(TEAM, person("U2"))
        assert await memberships.record_person_change(TEAM, GUEST)


async def test_a_channel_that_is_stored_while_a_person_changes_is_read_again(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        seen = await ChannelRepository(session).get_changes(TEAM, ["C3"])

    async def stored(session: AsyncSession) -> bool:
        return await ChannelRepository(session).record_channel(TEAM, channel("C3", ["U2"]), seen=seen)

    async def told(session: AsyncSession) -> bool:
        return await MembershipRepository(session).record_person_change(TEAM, GUEST)

    assert await overlap(sessions, stored, told) == (True, True)
    async with sessions.tenant(TEAM) as session:
        row = await ChannelRepository(session).get(TEAM, "C3")
        assert row is not None
        assert row.synced_at is None


async def test_a_person_who_changes_while_a_channel_is_stored_keeps_it_from_being_stored(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        seen = await ChannelRepository(session).get_changes(TEAM, ["C3"])

    async def told(session: AsyncSession) -> bool:
        return await MembershipRepository(session).record_person_change(TEAM, GUEST)

    async def stored(session: AsyncSession) -> bool:
        return await ChannelRepository(session).record_channel(TEAM, channel("C3", ["U2"]), seen=seen)

    assert await overlap(sessions, told, stored) == (True, False)


async def test_a_change_in_one_workspace_is_none_in_another(sessions: Sessions) -> None:
    async with sessions.tenant(OTHER_TEAM) as session:
        await ChannelRepository(session).record_workspace(OTHER_TEAM)
        await MembershipRepository(session).record_channel_change(OTHER_TEAM, "C1")
        await MembershipRepository(session).record_person_change(OTHER_TEAM, GUEST)

    async with sessions.tenant(TEAM) as session:
        assert await stale(session) == []
        assert (await ChannelRepository(session).get_changes(TEAM)).people == 0
