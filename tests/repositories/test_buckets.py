from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.repositories.buckets import BucketRepository
from tests.conftest import OTHER_TEAM, TEAM


async def charge(sessions: Sessions, costs: dict[str, float], *, team_id: str = TEAM) -> dict[str, float]:
    async with sessions.tenant(team_id) as session:
        return await BucketRepository(session).charge(team_id, costs)


def about(seconds: float) -> Any:
    """Return what a debt is equal to that a busy machine may have read a minute late."""
    return pytest.approx(seconds - 30, abs=30)


async def test_what_is_taken_adds_up_bucket_by_bucket(sessions: Sessions) -> None:
    await charge(sessions, {"ada": 1_000})
    await charge(sessions, {"ada": 1_000, "all": 100})

    debts = await charge(sessions, {"ada": 1_000, "all": 100})

    assert debts == {"ada": about(3_000), "all": about(200)}


async def test_what_was_taken_comes_back_with_time_and_no_more_than_that(sessions: Sessions) -> None:
    await charge(sessions, {"ada": 1_000, "bob": 1_000})
    later = (
        "UPDATE rate_buckets SET full_at = full_at - make_interval(secs => CASE name WHEN 'ada' THEN 600 ELSE 9999 END)"
    )
    async with sessions.tenant(TEAM) as session:
        await session.execute(text(later))

    debts = await charge(sessions, {"ada": 100, "bob": 100})

    assert debts == {"ada": about(500), "bob": about(100)}


async def test_what_is_rolled_back_was_not_taken(sessions: Sessions) -> None:
    async def fail() -> None:
        async with sessions.tenant(TEAM) as session:
            await BucketRepository(session).charge(TEAM, {"ada": 1_000})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert await charge(sessions, {"ada": 100}) == {"ada": about(100)}


async def test_many_who_take_at_once_in_whatever_order_take_each_their_own(sessions: Sessions) -> None:
    names = ("ada", "bob", "all")

    await asyncio.gather(
        *(charge(sessions, dict.fromkeys(names if turn % 2 else names[::-1], 1_000.0)) for turn in range(40))
    )

    debts = await charge(sessions, dict.fromkeys(names, 1_000.0))
    assert debts == {name: about(41_000) for name in names}


async def test_a_workspaces_buckets_are_its_own(sessions: Sessions) -> None:
    await charge(sessions, {"ada": 1_000})

    assert await charge(sessions, {"ada": 100}, team_id=OTHER_TEAM) == {"ada": about(100)}
