"""Socket Mode at its worst: told to reconnect, cut, silent, doubled, shared, gone for long. Nobody's question is lost.

Slack's retries are shortened by the same factor as its outage: one after 6 and one after 30 seconds for one minute
stand for 1 and 5 minutes for ten. What they don't bring back, the bot must read for itself afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.playground.delivery import RETRY_DELAYS_S
from bot.playground.state import Message
from tests.faults.checker import history_of, judge
from tests.faults.load import Crowd, answered_at
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world

NUMBER, TITLE = 18, "Socket Mode failing"
SABOTAGES = {"backfill": "backfilled", "watchdog": "stall_s", "work_key": "duplicated"}

OUTAGE_S = 600
RECONNECT_S, STALL_S = 10, 30
GIVEN_UP_S = 60


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
    Scale.QUICK: Size(1, 60, 1, 3, 30, 60),
    Scale.FULL: Size(5, 10, 4, 3, 60, 240),
    Scale.SELFTEST: Size(1, 75, 1, 3, 20, 30),
}


@dataclass(slots=True)
class Times:
    """How long connections were away, in seconds, by what had happened to them."""

    away: list[float] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t18", sabotage=sabotage) as world:
        world.slack.workspace.deliveries.retry_delays_s = [delay_s / size.factor for delay_s in RETRY_DELAYS_S]
        await world.start("run", name="first", keep_up=True, settings=_settings(size))
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        asking = asyncio.create_task(_keep_asking(crowd, size.per_second))
        times = Times()
        for _ in range(size.rounds):
            await _trouble(world, times, size)
        await _two(world, times, size)
        began = len(crowd.asked)
        async with world.slack.sockets.outage():
            await asyncio.sleep(OUTAGE_S / size.factor)
        away_s = await _connected(world, count=2)
        asked_meanwhile = crowd.asked[began:]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await crowd.answered(timeout_s=size.timeout_s)
        await crowd.settled()
        missed = [question for question in asked_meanwhile if _was_missed(world, question)]
        found = len(answered_at(world.slack, missed))
        verdict = judge(history_of(world.slack, crowd.asked))
        return result_of(
            NUMBER,
            f"{TITLE}, with an outage of {OUTAGE_S / size.factor:g} s (1:{size.factor:g})",
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


def _settings(size: Size) -> dict[str, object]:
    return {}


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
    second = await world.start("run", "--no-worker", name="second", keep_up=True, settings=_settings(size))
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


def _was_missed(world: World, question: Message) -> bool:
    deliveries = world.slack.delivered(question)
    return bool(deliveries) and all(delivery.acked_at is None for delivery in deliveries)
