"""Tasks end when they are told to, also those that overhear it."""

from __future__ import annotations

import asyncio

from bot.ending import end_tasks


async def stubborn(times: int) -> str:
    """Overhear that many cancellations."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)
    return "never"


async def start(times: int) -> asyncio.Task[str]:
    task = asyncio.create_task(stubborn(times))
    await asyncio.sleep(0)
    return task


async def test_a_task_that_overhears_its_cancellation_is_cancelled_again() -> None:
    once, twice, done = await start(0), await start(2), asyncio.create_task(asyncio.sleep(0))
    await done

    left = await end_tasks([once, twice, done], again_s=0.01)

    assert left == set()
    assert once.cancelled()
    assert twice.cancelled()


async def test_a_task_that_never_ends_is_given_up_in_time() -> None:
    deaf = await start(1_000)

    left = await end_tasks([deaf], within_s=0.05, again_s=0.01)

    assert left == {deaf}
    await end_tasks([deaf], again_s=0)


async def test_what_a_task_ends_with_is_left_to_whoever_asks() -> None:
    async def fail() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError("on the way out")

    failing = asyncio.create_task(fail())
    await asyncio.sleep(0)

    assert await end_tasks([failing]) == set()

    assert isinstance(failing.exception(), OSError)
