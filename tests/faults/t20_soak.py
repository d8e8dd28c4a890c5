"""Hours of it: a fault a minute, a planned restart every ten, and the memory of those who live through it all.

Two processes listen and two work. Of each pair one is killed, frozen and restarted; the other meets only what the
database and the network do, and must not grow. The model pauses half-way, so that some answers are always being written.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np

from tests.faults.checker import history_of, judge
from tests.faults.held import write_slowly
from tests.faults.load import TRUE_WORDS, Crowd
from tests.faults.processes import BotProcess, Exit
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import STALL_S, World, open_world, written_by_openai

NUMBER, TITLE = 20, "soak"
SABOTAGES = {"forgetting": "growth_mib"}

DRAIN_S, DESCRIPTORS = 20.0, 5.0
_SAMPLE_S = 5.0
_WARM_UP = 0.2
"""The first part of the time isn't counted: pools fill, code is loaded."""
_PAUSE_S = 0.7


@dataclass(frozen=True, slots=True)
class Pace:
    """A fault per `minute_s`, of which every so many is a redeployment, and so many questions per second.

    Memory may grow by `growth_mib` in ten minutes: a short soak hasn't the time to tell, and sees a gross leak alone.
    """

    minute_s: float
    redeploy_every: int
    per_second: float
    growth_mib: float | None


PACES = {Scale.QUICK: Pace(20, 10, 1.5, None), Scale.FULL: Pace(60, 10, 1.5, 1), Scale.SELFTEST: Pace(20, 2, 6, 200)}

Fault = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Samples:
    """Memory and open files of one process over time, and where the queue stood."""

    at: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)

    def take(self, process: BotProcess) -> None:
        self.at.append(time.monotonic())
        self.rss_mib.append(process.rss_mib())
        self.descriptors.append(process.file_descriptors())

    def growth(self, values: list[float], *, per_s: float) -> float:
        """Return by how much the values grow in so many seconds: a least-squares line after the warm-up."""
        start = int(len(values) * _WARM_UP)
        if len(values) - start < 3:
            return float("nan")
        slope, _ = np.polyfit(np.array(self.at[start:]), np.array(values[start:]), 1)
        return float(slope) * per_s


@dataclass(slots=True)
class Fleet:
    """The processes: those that live through it all, and those that don't."""

    world: World
    steady: list[BotProcess]
    victims: list[BotProcess]
    exits: list[Exit] = field(default_factory=list)

    async def kill(self) -> None:
        self.victims[1].kill9()

    async def kill_listener(self) -> None:
        self.victims[0].kill9()

    async def freeze(self) -> None:
        self.victims[1].freeze()
        await asyncio.sleep(2 * STALL_S)
        self.victims[1].wake()

    async def restart_database(self) -> None:
        await self.world.postgres.restart_immediate()

    async def database_hole(self) -> None:
        self.world.database.black_hole()
        await asyncio.sleep(10)
        await self.world.database.heal()

    async def database_reset(self) -> None:
        self.world.database.reset()

    async def slack_reset(self) -> None:
        self.world.slack_proxy.reset()

    async def slack_down(self) -> None:
        await self.world.slack_proxy.down()
        await asyncio.sleep(10)
        await self.world.slack_proxy.heal()

    async def slack_half_open(self) -> None:
        self.world.slack_proxy.half_open()

    async def slow(self) -> None:
        self.world.database.latency_s = self.world.slack_proxy.latency_s = 0.05
        await asyncio.sleep(15)
        self.world.database.latency_s = self.world.slack_proxy.latency_s = 0.0

    async def redeploy(self) -> None:
        """Ask the victims to end, one after the other, and start them anew."""
        for process in self.victims:
            self.exits.append(await process.terminate())
            await process.start()
            process.keep_up()
            await process.wait_ready()

    @property
    def faults(self) -> list[Fault]:
        return [
            self.kill,
            self.kill_listener,
            self.freeze,
            self.restart_database,
            self.database_hole,
            self.database_reset,
            self.slack_reset,
            self.slack_down,
            self.slack_half_open,
            self.slow,
        ]


async def run(scale: Scale, seed: int, *, sabotage: str | None = None, hours: float = 2.0) -> Result:
    pace = PACES[scale]
    minutes = max(3, round(hours * 3600 / pace.minute_s))
    async with open_world("t20", sabotage=sabotage) as world:
        world.slack.workspace.deliveries.retry_delays_s = (0.0, 10.0, 30.0, 60.0)
        write_slowly(world.openai, TRUE_WORDS, pause_s=_PAUSE_S)
        settings = {"worker_stall_s": STALL_S} | written_by_openai(world)
        listener, (worker, killed) = await world.start_fleet(workers=2, settings=settings)
        other = await world.start("run", "--no-worker", name="intake-1", keep_up=True, settings=settings)
        fleet = Fleet(world, [listener, worker], [other, killed])
        crowd = Crowd(world.slack, channels=60, threads_each=4, seed=seed)
        await crowd.share_handbook()
        ends = time.monotonic() + minutes * pace.minute_s
        asking = asyncio.create_task(_ask_until(crowd, ends, pace.per_second))
        sampling = asyncio.create_task(_sample_until(fleet.steady, ends))
        done, deepest = await _harm(fleet, random.Random(seed), ends, pace)
        await asking
        samples = await sampling
        await crowd.answered(timeout_s=180)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        memory = max(s.growth(s.rss_mib, per_s=600) for s in samples)
        descriptors = max(s.growth(s.descriptors, per_s=ends - samples[0].at[0]) for s in samples)
        most = DESCRIPTORS if scale is Scale.FULL else None
        return result_of(
            NUMBER,
            f"{TITLE}, {hours:g} h",
            scale,
            seed,
            verdict,
            Figure("faults", "faults", len(done), note=", ".join(f"{done.count(n)} {n}" for n in sorted(set(done)))),
            Figure("growth_mib", "memory per 10 min, worst of those that lived", memory, "MiB", pace.growth_mib),
            Figure("rss_mib", "memory at the end, the largest of them", max(s.rss_mib[-1] for s in samples), "MiB"),
            Figure("descriptors", "open files grown in all", descriptors, "", most),
            Figure("drain_s", "SIGTERM → ended, worst", max((e.seconds for e in fleet.exits), default=0), "s", DRAIN_S),
            Figure("forced", "ends by force", sum(e.code == -9 for e in fleet.exits), at_most=0, of=len(fleet.exits)),
            Figure("queued", "most work waiting at a time", deepest),
        )


async def _ask_until(crowd: Crowd, ends: float, per_second: float) -> None:
    while time.monotonic() < ends:
        await crowd.ask(10, per_second=per_second)


async def _sample_until(processes: list[BotProcess], ends: float) -> list[Samples]:
    samples = [Samples() for _ in processes]
    while time.monotonic() < ends:
        for sample, process in zip(samples, processes, strict=True):
            sample.take(process)
        await asyncio.sleep(_SAMPLE_S)
    return samples


async def _harm(fleet: Fleet, chance: random.Random, ends: float, pace: Pace) -> tuple[list[str], int]:
    """Do a fault a minute, some of them redeployments; return their names, and how deep the queue got."""
    done: list[str] = []
    deepest = 0
    began = time.monotonic()
    while began + (len(done) + 1) * pace.minute_s < ends:
        await asyncio.sleep(max(0.0, began + len(done) * pace.minute_s - time.monotonic()))
        is_planned = len(done) % pace.redeploy_every == pace.redeploy_every - 1
        fault = fleet.redeploy if is_planned else chance.choice(fleet.faults)
        await fault()
        done.append(fault.__name__)
        statement = "SELECT count(*) FROM work WHERE state IN ('queued', 'running')"
        deepest = max(deepest, int(await fleet.world.postgres.value(statement)))
    return done, deepest
