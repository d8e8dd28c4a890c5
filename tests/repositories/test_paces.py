"""Places in a channel's line: one after another, whoever asks, by the database's clock."""

from __future__ import annotations

import asyncio

import pytest

from bot.db.engine import Sessions
from bot.repositories.paces import PaceRepository
from tests.conftest import OTHER_TEAM, TEAM

INTERVAL_S = 10.0
SLACK_S = 2.0
"""How long these few statements may take on a busy machine."""


async def reserve(sessions: Sessions, channel_id: str = "C1", *, team_id: str = TEAM, **limits: float) -> float:
    async with sessions.tenant(team_id) as session:
        return await PaceRepository(session).reserve(team_id, channel_id, interval_s=INTERVAL_S, **limits)


async def reserve_start(sessions: Sessions, *, patience_s: float = 1000.0) -> float:
    async with sessions.tenant(TEAM) as session:
        return await PaceRepository(session).reserve_start(TEAM, "C1", interval_s=INTERVAL_S, patience_s=patience_s)


async def push_back(sessions: Sessions, seconds: float, channel_id: str = "C1") -> None:
    async with sessions.tenant(TEAM) as session:
        await PaceRepository(session).push_back(TEAM, channel_id, seconds)


async def closed(sessions: Sessions, channel_id: str = "C1") -> float:
    async with sessions.tenant(TEAM) as session:
        return await PaceRepository(session).closed_s(TEAM, channel_id)


def near(seconds: float) -> object:
    return pytest.approx(seconds - SLACK_S / 2, abs=SLACK_S / 2)


async def test_each_message_gets_a_place_of_its_own(sessions: Sessions) -> None:
    waits = [await reserve(sessions) for _ in range(3)]

    assert waits[0] == 0
    assert waits[1:] == [near(10), near(20)]


async def test_those_who_ask_at_once_get_different_places(sessions: Sessions) -> None:
    waits = sorted(await asyncio.gather(*(reserve(sessions) for _ in range(5))))

    assert waits == [near(0), near(10), near(20), near(30), near(40)]


async def test_a_place_nobody_took_in_time_is_not_made_up_for(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        paces = PaceRepository(session)
        await paces.reserve(TEAM, "C1", interval_s=0.05)
        await asyncio.sleep(0.2)
        first = await paces.reserve(TEAM, "C1", interval_s=INTERVAL_S)
        second = await paces.reserve(TEAM, "C1", interval_s=INTERVAL_S)

    assert first == 0
    assert second == near(10)


async def test_other_channels_and_workspaces_do_not_wait(sessions: Sessions) -> None:
    await reserve(sessions)

    assert await reserve(sessions, "C2") == 0
    assert await reserve(sessions, team_id=OTHER_TEAM) == 0


async def test_who_has_no_patience_reserves_nothing_and_learns_how_long_it_is(sessions: Sessions) -> None:
    await reserve(sessions)

    refused = [await reserve(sessions, patience_s=3) for _ in range(3)]

    assert refused == [near(10)] * 3
    assert await reserve(sessions, patience_s=11) == near(10), "the places are free as before"


async def test_without_patience_a_free_place_is_taken(sessions: Sessions) -> None:
    assert await reserve(sessions, patience_s=0) == 0
    assert await reserve(sessions, patience_s=0) == near(10)


async def test_a_channel_pushed_back_makes_everybody_wait(sessions: Sessions) -> None:
    await push_back(sessions, 30)

    assert await reserve(sessions) == near(30)
    assert await reserve(sessions) == near(40)
    assert await reserve_start(sessions) == near(30), "an answer need not begin that can't be posted"


async def test_who_has_a_place_learns_that_the_channel_was_closed_meanwhile(sessions: Sessions) -> None:
    await reserve(sessions)
    await reserve(sessions)
    before = await closed(sessions)

    await push_back(sessions, 30)

    assert before == 0
    assert await closed(sessions) == near(30)
    assert await closed(sessions, "C2") == 0


async def test_pushing_back_never_brings_anything_forward(sessions: Sessions) -> None:
    await push_back(sessions, 60)
    await push_back(sessions, 5)

    assert await reserve(sessions) == near(60)


async def test_beginnings_are_spaced_apart_from_posts(sessions: Sessions) -> None:
    await reserve(sessions)

    assert await reserve_start(sessions) == 0
    assert await reserve_start(sessions) == near(10)
    assert await reserve_start(sessions, patience_s=1) == near(20)
    assert await reserve(sessions) == near(10)


async def test_what_a_transaction_reserved_is_free_again_when_it_fails(sessions: Sessions) -> None:
    async def fail() -> None:
        async with sessions.tenant(TEAM) as session:
            await PaceRepository(session).reserve(TEAM, "C1", interval_s=INTERVAL_S)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert await reserve(sessions) == 0
