"""PostgreSQL is killed and replays its log, again and again, while questions come in."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tests.faults.checker import Verdict, history_of, judge
from tests.faults.held import write_slowly
from tests.faults.load import TRUE_WORDS, Crowd
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 3, "PostgreSQL restarted at once (immediate)"
SABOTAGES = {"patience": "lost"}

RECOVERY_S = 10


PAUSE_S = 0.7
"""What the model takes over an answer: some are always half-way."""


@dataclass(frozen=True, slots=True)
class Size:
    restarts: int
    every_s: float
    per_second: float
    channels: int
    workers: int
    stall_s: float
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(2, 6, 5, 30, 2, 6, 60),
    Scale.FULL: Size(5, 20, 6, 60, 2, 10, 180),
    Scale.SELFTEST: Size(2, 6, 5, 30, 2, 6, 30),
}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t03", sabotage=sabotage) as world:
        world.slack.workspace.deliveries.retry_delays_s = (0.0, 5.0, 20.0)
        write_slowly(world.openai, TRUE_WORDS, pause_s=PAUSE_S)
        settings = {"worker_stall_s": size.stall_s} | written_by_openai(world)
        intake, workers = await world.start_fleet(workers=size.workers, settings=settings)
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        count = int((size.restarts + 1) * size.every_s * size.per_second)
        asking = asyncio.create_task(crowd.ask(count, per_second=size.per_second))
        accepted, away_s = [], 0.0
        for _ in range(size.restarts):
            await asyncio.sleep(size.every_s)
            killed = time.monotonic()
            accepted.append(await world.postgres.restart_immediate())
            away_s = max(away_s, accepted[-1] - killed)
        await asking
        await crowd.answered(timeout_s=size.timeout_s)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        ends = sum(process.starts - 1 for process in (intake, *workers))
        return result_of(
            NUMBER,
            TITLE,
            scale,
            seed,
            verdict,
            Figure("restarts", "restarts", len(accepted), note=f"away for up to {away_s:.1f} s"),
            Figure("exits", "processes that ended and were started again", ends),
            Figure("recovery_s", "accepts → next answer whole, worst", _recovery_s(accepted, verdict), "s", RECOVERY_S),
            Figure("stale", "answers' jobs still taken at the end", await _stale(world), at_most=0),
        )


def _recovery_s(accepted: list[float], verdict: Verdict) -> float:
    """Return the longest time from a server that accepts again to the next whole answer."""
    whole = sorted(verdict.answered_at.values())
    waits = [min((at - since for at in whole if at > since), default=float("inf")) for since in accepted]
    return max(waits, default=0.0)


async def _stale(world: World) -> int:
    """Count answers' jobs that somebody took and nobody ended: when everything is answered there are none at all."""
    statement = """
        SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' AND queue_name LIKE '%/answer'
    """
    return int(await world.postgres.value(statement))
