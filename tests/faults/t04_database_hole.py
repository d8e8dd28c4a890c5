"""The database says nothing any more and closes no connection: nothing is taken, and everything comes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bot.playground.local import LocalSlack
from tests.faults.checker import history_of, judge
from tests.faults.held import write_slowly
from tests.faults.load import TRUE_WORDS, Crowd
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 4, "database black-holed"
SABOTAGES = {"store_first": "without_row"}

RED_S, GROWTH_MIB, RECOVERY_S = 10, 50, 45


PAUSE_S = 0.7
"""What the model takes over an answer: some are always half-way."""


@dataclass(frozen=True, slots=True)
class Size:
    """`retries_s` are Slack's pauses before it delivers again: at a third of their length, or less in a short test."""

    hole_s: float
    retries_s: tuple[float, ...]
    per_second: float
    channels: int
    stall_s: float
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(14, (0, 2, 15), 3, 20, 6, 60),
    Scale.FULL: Size(120, (0, 20, 100), 3, 60, 10, 240),
    Scale.SELFTEST: Size(14, (0, 2, 15), 3, 20, 6, 40),
}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t04", sabotage=sabotage) as world:
        world.slack.workspace.deliveries.retry_delays_s = size.retries_s
        write_slowly(world.openai, TRUE_WORDS, pause_s=PAUSE_S)
        settings = {"worker_stall_s": size.stall_s} | written_by_openai(world)
        intake, workers = await world.start_fleet(workers=1, settings=settings)
        processes = (intake, *workers)
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        await crowd.ask(int(3 * size.per_second), per_second=size.per_second)
        before = [process.rss_mib() for process in processes]
        asking = asyncio.create_task(crowd.ask(int(size.hole_s * size.per_second), per_second=size.per_second))
        red_s, peaks = await _hole(world, processes, size.hole_s)
        taken, without_row = await _rows(world, world.slack)
        await world.database.heal()
        healed = time.monotonic()
        await asking
        green_s = [await process.wait_ready(timeout_s=size.timeout_s) for process in processes]
        await crowd.answered(timeout_s=size.timeout_s)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        growth = max(peak - was for peak, was in zip(peaks, before, strict=True))
        next_answer = min((at for at in verdict.answered_at.values() if at > healed), default=float("inf"))
        return result_of(
            NUMBER,
            f"{TITLE} for {size.hole_s:g} s",
            scale,
            seed,
            verdict,
            Figure("without_row", "acknowledged and not stored", without_row, at_most=0, of=taken),
            Figure("red_s", "/readyz red after", max(red_s), "s", RED_S),
            Figure("green_s", "/readyz green after it is back", max(green_s), "s", RECOVERY_S),
            Figure("recovery_s", "database back → next answer whole", next_answer - healed, "s", RECOVERY_S),
            Figure("growth_mib", "memory grown meanwhile, worst process", growth, "MiB", GROWTH_MIB),
        )


async def _hole(world: World, processes: tuple[BotProcess, ...], seconds: float) -> tuple[list[float], list[float]]:
    """Cut the database off; return after so long, per process, when it said so and its greatest memory meanwhile."""
    began = time.monotonic()
    red = [float("inf")] * len(processes)
    peaks = [0.0] * len(processes)
    world.database.black_hole()
    while (passed := time.monotonic() - began) < seconds:
        statuses = await asyncio.gather(*(process.status("/readyz", timeout_s=2) for process in processes))
        passed = time.monotonic() - began
        red = [min(was, passed) if status != 200 else was for was, status in zip(red, statuses, strict=True)]
        peaks = [max(was, process.rss_mib()) for was, process in zip(peaks, processes, strict=True)]
        await asyncio.sleep(0.25)
    return red, peaks


async def _rows(world: World, slack: LocalSlack) -> tuple[int, int]:
    """Return how many questions were acknowledged so far, and how many of them have no row now.

    Asked while the database is still away from the bot: later, backfill would find them.
    """
    taken = {(d.event["channel"], d.event["ts"]) for d in slack.deliveries if d.acked_at and d.event.get("text")}
    rows = await world.postgres.fetch("SELECT key FROM work WHERE task = 'answer'")
    stored = {row["key"] for row in rows}
    mentions = {f"{channel}:{ts}" for channel, ts in taken if slack.store.message(channel, ts)}
    asked = {key for key in mentions if _names_the_bot(slack, key)}
    return len(asked), len(asked - stored)


def _names_the_bot(slack: LocalSlack, key: str) -> bool:
    message = slack.store.message(*key.split(":"))
    return message is not None and f"<@{slack.store.bot.id}>" in message.text
