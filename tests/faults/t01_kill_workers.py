"""Workers are killed outright, one after the other, while they answer: others take on what they had begun."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tests.faults.checker import Verdict, history_of, judge
from tests.faults.held import write_slowly
from tests.faults.load import TRUE_WORDS, Crowd
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 1, "kill -9 of workers"
SABOTAGES = {"reaper": "lost"}

RECOVERY_S = 15


PAUSE_S = 0.7
"""What the model takes over an answer: some are always half-way."""


@dataclass(frozen=True, slots=True)
class Size:
    mentions: int
    channels: int
    per_second: float
    workers: int
    kills: int
    every_s: float
    one_at_a_time: bool
    """Whether the last one killed is ready again before the next is."""
    stall_s: float
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(80, 40, 6, 2, 2, 4, True, 4, 60),
    Scale.FULL: Size(1000, 100, 6, 3, 10, 5, False, 10, 300),
    Scale.SELFTEST: Size(40, 20, 6, 2, 1, 4, True, 4, 20),
}


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill, and what was being answered then: epoch by the question's key."""

    at: float
    running: dict[str, int]


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t01", sabotage=sabotage) as world:
        write_slowly(world.openai, TRUE_WORDS, pause_s=PAUSE_S)
        settings = {"worker_stall_s": size.stall_s} | written_by_openai(world)
        _, workers = await world.start_fleet(workers=size.workers, settings=settings)
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        asking = asyncio.create_task(crowd.ask(size.mentions, per_second=size.per_second))
        kills = []
        for number in range(size.kills):
            kills.append(await _kill(world, workers[number % len(workers)], size.every_s))
            if size.one_at_a_time:
                await workers[number % len(workers)].wait_ready()
        await asking
        await crowd.answered(timeout_s=size.timeout_s)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        epochs = await _epochs(world)
        again = sum(epochs.get(key, 0) > epoch for kill in kills for key, epoch in kill.running.items())
        return result_of(
            NUMBER,
            TITLE,
            scale,
            seed,
            verdict,
            Figure("kills", "workers killed", len(kills)),
            Figure("interrupted", "answers begun again", again, at_least=1),
            Figure("recovery_s", "cut off → whole, worst", _recovery_s(kills, verdict), "s", RECOVERY_S),
        )


async def _kill(world: World, worker: BotProcess, pause_s: float) -> Kill:
    """Wait, then kill a worker that is answering something."""
    await asyncio.sleep(pause_s)
    running: dict[str, int] = {}
    deadline = time.monotonic() + pause_s
    while not running and time.monotonic() < deadline:
        running = await _epochs(world, "AND state = 'running'")
    worker.kill9()
    killed = Kill(time.monotonic(), running)
    await asyncio.sleep(0.1)  # a dead one isn't ready
    return killed


async def _epochs(world: World, condition: str = "") -> dict[str, int]:
    rows = await world.postgres.fetch(f"SELECT key, epoch FROM work WHERE task = 'answer' {condition}")
    return {row["key"]: row["epoch"] for row in rows}


def _recovery_s(kills: list[Kill], verdict: Verdict) -> float:
    """Return the longest time from the kill that cut an answer off last to when it was whole.

    Whoever bears the same epoch at two kills was cut off by the first. Answers of the workers that lived are among
    them; they are the quicker ones. Unanswered ones count as never.
    """
    cut_off: dict[str, Kill] = {}
    for kill in kills:
        for key, epoch in kill.running.items():
            if key not in cut_off or cut_off[key].running[key] != epoch:
                cut_off[key] = kill
    at = {asked.key: at for asked, at in verdict.answered_at.items()}
    return max((at.get(key, float("inf")) - kill.at for key, kill in cut_off.items()), default=0.0)
