"""Workers are killed outright, one after the other, while they answer: others take on what they had begun.

At full size once more with the stall limit that is the setting's default, by fewer questions: recovery is measured there.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bot.config import Settings
from tests.faults.checker import Verdict, history_of, judge
from tests.faults.held import write_slowly
from tests.faults.load import TRUE_WORDS, Crowd
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 1, "kill -9 of workers"
SABOTAGES = {"reaper": "lost"}

RECOVERY_S, RECOVERY_BY_DEFAULT_S = 15, 45
STALL_BY_DEFAULT_S: float = Settings.model_fields["worker_stall_s"].default

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


BY_DEFAULT = Size(240, 80, 3, 3, 3, 20, True, STALL_BY_DEFAULT_S, 180)
"""The killed one is back long before its jobs are taken from it, and three are killed within their stall limits."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill, and what was being answered then: epoch by the question's key."""

    at: float
    running: dict[str, int]


@dataclass(frozen=True, slots=True)
class Round:
    """What a series of kills led to. `again` counts the answers that were begun again."""

    verdict: Verdict
    kills: int
    again: int
    recovery_s: float


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    rounds = [await _round("t01", SIZES[scale], seed, sabotage)]
    figures = []
    if scale is Scale.FULL:
        rounds.append(await _round("t01-by-default", BY_DEFAULT, seed, sabotage))
        figures.append(
            Figure(
                "recovery_by_default_s",
                f"the same with the default stall limit, {STALL_BY_DEFAULT_S:g} s",
                rounds[-1].recovery_s,
                "s",
                RECOVERY_BY_DEFAULT_S,
            )
        )
    return result_of(
        NUMBER,
        TITLE,
        scale,
        seed,
        Verdict.merged(r.verdict for r in rounds),
        Figure("kills", "workers killed", sum(r.kills for r in rounds)),
        Figure("interrupted", "answers begun again", min(r.again for r in rounds), at_least=1),
        Figure(
            "recovery_s",
            f"cut off → whole, worst, stall limit {SIZES[scale].stall_s:g} s",
            rounds[0].recovery_s,
            "s",
            RECOVERY_S,
        ),
        *figures,
        evidence=[line for r in rounds for line in r.verdict.least()],
    )


async def _round(name: str, size: Size, seed: int, sabotage: str | None) -> Round:
    """Kill workers as often as `size` says while so many questions are asked."""
    async with open_world(name, sabotage=sabotage) as world:
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
        return Round(verdict, len(kills), again, _recovery_s(kills, verdict))


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
