"""Socket Mode at its worst: told to reconnect, cut, silent, doubled, shared, gone for long. Nobody's question is lost.

The outage is shorter than ten minutes, by a factor, and Slack's retries meanwhile are shortened by the same: for one
of a minute they come after 6 and 30 seconds instead of 1 and 5 minutes. What they don't bring back, the bot must read
for itself afterwards. Before that nothing is lost: a retry comes when the connection is surely back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.playground.delivery import RETRY_DELAYS_S
from tests.faults.checker import history_of, judge
from tests.faults.load import Crowd
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world

NUMBER, TITLE = 18, "Socket Mode failing"
SABOTAGES = {"backfill": "backfilled", "watchdog": "stall_s"}

OUTAGE_S = 600
RECONNECT_S, STALL_S = 10, 30
GIVEN_UP_S = 45
RETRIES_S = (0.0, 20.0, 40.0)
"""When Slack tries again before the outage: later than any connection may be away."""


@dataclass(frozen=True, slots=True)
class Size:
    """`factor` says how much shorter the outage is than ten minutes, and Slack's retries with it."""

    rounds: int
    factor: float
    pause_s: float
    per_second: float
    channels: int
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(1, 18, 1, 3, 8, 60),
    Scale.FULL: Size(5, 10, 4, 3, 20, 300),
    Scale.SELFTEST: Size(1, 17, 1, 2, 6, 45),
}


@dataclass(slots=True)
class Times:
    """How long connections were away, in seconds, by what had happened to them."""

    away: list[float] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t18", sabotage=sabotage) as world:
        deliveries = world.slack.workspace.deliveries
        deliveries.retry_delays_s = RETRIES_S
        await world.start("run", name="first", keep_up=True)
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        asking = asyncio.create_task(_keep_asking(crowd, size.per_second))
        times = Times()
        for _ in range(size.rounds):
            await _trouble(world, times, size)
        await _two(world, times, size)
        deliveries.retry_delays_s = [delay_s / size.factor for delay_s in RETRY_DELAYS_S]
        async with world.slack.sockets.outage():
            await asyncio.sleep(OUTAGE_S / size.factor)
        deliveries.retry_delays_s = RETRIES_S
        away_s = await _connected(world, count=2)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await crowd.answered(timeout_s=size.timeout_s)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        missed = [asked for asked in verdict.history.asked if not asked.acked] if verdict.history else []
        found = sum(asked in verdict.answered_at for asked in missed)
        return result_of(
            NUMBER,
            f"{TITLE}, with an outage of {OUTAGE_S / size.factor:.0f} s (1:{size.factor:g})",
            scale,
            seed,
            verdict,
            Figure(
                "reconnect_s", "told to go, cut or switched off → connected, worst", max(times.away), "s", RECONNECT_S
            ),
            Figure("stall_s", "silence → connected anew, worst", max(times.silent), "s", STALL_S),
            Figure("outage_reconnect_s", "outage over → connected", away_s, "s", RECONNECT_S),
            Figure("missed", "questions Slack gave up delivering", len(missed), at_least=1),
            Figure("backfilled", "of them answered all the same", 100 * found / max(1, len(missed)), "%", at_least=100),
        )


async def _keep_asking(crowd: Crowd, per_second: float) -> None:
    while True:
        await crowd.ask(1)
        await asyncio.sleep(1 / per_second)


async def _trouble(world: World, times: Times, size: Size) -> None:
    """Do to the connection what Slack and the network do, one thing after the other."""
    sockets = world.slack.sockets
    await sockets.refresh(reason="warning")
    for act in (sockets.refresh, sockets.close, sockets.cut, lambda: _switched_off(world)):
        times.away.append(await _until_new(world, act))
        await asyncio.sleep(size.pause_s)
    sockets.copies = 3
    await asyncio.sleep(2 * size.pause_s)
    sockets.copies = 1
    times.silent.append(await _until_new(world, lambda: _stalled(world)))
    await asyncio.sleep(size.pause_s)


async def _two(world: World, times: Times, size: Size) -> None:
    """Have two processes listen; then the first loses its connection, while events still go to either."""
    sockets = world.slack.sockets
    second = await world.start("run", "--no-worker", name="second", keep_up=True)
    await _connected(world, count=2)
    sockets.copies = 2
    await asyncio.sleep(2 * size.pause_s)
    sockets.copies = 1
    times.away.append(await _until_new(world, sockets.refresh))
    await _connected(world, count=2)
    second.kill9()
    await second.wait_ready()
    await _connected(world, count=2)


async def _until_new(world: World, act: Callable[[], Awaitable[object]]) -> float:
    """Do this and return the seconds until there is a new connection, `GIVEN_UP_S` when none comes."""
    sockets = world.slack.sockets
    before = sockets.connected_total
    began = time.monotonic()
    await act()
    while sockets.connected_total == before or not sockets.live_count:
        if time.monotonic() - began > GIVEN_UP_S:
            return GIVEN_UP_S
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _connected(world: World, *, count: int) -> float:
    """Return how long it takes until there are so many connections, `GIVEN_UP_S` when that never is."""
    began = time.monotonic()
    while world.slack.sockets.live_count < count:
        if time.monotonic() - began > GIVEN_UP_S:
            return GIVEN_UP_S
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _switched_off(world: World) -> None:
    await world.slack.sockets.disable()
    world.slack.sockets.disabled = False


async def _stalled(world: World) -> None:
    world.slack.sockets.stall()
