from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.repositories.buckets import BucketRepository
from tests.conftest import OTHER_TEAM, TEAM


async def charge(sessions: Sessions, costs: dict[str, float], *, team_id: str = TEAM) -> dict[str, float]:
    async with sessions.tenant(team_id) as session:
        return await BucketRepository(session).charge(team_id, costs)


async def test_what_is_taken_adds_up_bucket_by_bucket(sessions: Sessions) -> None:
    await charge(sessions, {"ada": 100})
    await charge(sessions, {"ada": 100, "all": 10})

    debts = await charge(sessions, {"ada": 100, "all": 10})

    assert debts == {"ada": pytest.approx(300, abs=5), "all": pytest.approx(20, abs=5)}


async def test_what_was_taken_comes_back_with_time_and_no_more_than_that(sessions: Sessions) -> None:
    await charge(sessions, {"ada": 100, "bob": 100})
    async with sessions.tenant(TEAM) as session:
        await session.execute(
            text(
                "UPDATE rate_buckets SET full_at = full_at - make_interval(secs => CASE name WHEN 'ada' THEN 60 ELSE 9999 END)"
            )
        )

    debts = await charge(sessions, {"ada": 1, "bob": 1})

    assert debts == {"ada": pytest.approx(41, abs=5), "bob": pytest.approx(1, abs=0.5)}


async def test_what_is_rolled_back_was_not_taken(sessions: Sessions) -> None:
    async def fail() -> None:
        async with sessions.tenant(TEAM) as session:
            await BucketRepository(session).charge(TEAM, {"ada": 100})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert await charge(sessions, {"ada": 1}) == {"ada": pytest.approx(1, abs=0.5)}


async def test_many_who_take_at_once_in_whatever_order_take_each_their_own(sessions: Sessions) -> None:
    names = ("ada", "bob", "all")

    await asyncio.gather(
        *(charge(sessions, dict.fromkeys(names if turn % 2 else names[::-1], 100.0)) for turn in range(40))
    )

    debts = await charge(sessions, dict.fromkeys(names, 100.0))
    assert debts == {name: pytest.approx(4_100, abs=60) for name in names}


async def test_a_workspaces_buckets_are_its_own(sessions: Sessions) -> None:
    await charge(sessions, {"ada": 100})

    assert await charge(sessions, {"ada": 1}, team_id=OTHER_TEAM) == {"ada": pytest.approx(1, abs=0.5)}
