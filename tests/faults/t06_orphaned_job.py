"""A job stands as taken by a worker that lives and knows nothing of it, as when the reply to its fetch was lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.playground.state import Message
from tests.faults.checker import history_of, judge
from tests.faults.load import Crowd
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world

NUMBER, TITLE = 6, "a job taken by a live worker that doesn't do it"
SABOTAGES = {"audit": "recovery_s"}

RECOVERY_S = 10


@dataclass(frozen=True, slots=True)
class Size:
    orphans: int
    timeout_s: float


SIZES = {Scale.QUICK: Size(2, 30), Scale.FULL: Size(20, 60), Scale.SELFTEST: Size(1, 15)}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t06", sabotage=sabotage) as world:
        _, (worker,) = await world.start_fleet(workers=1, settings={"worker_stall_s": 30})
        crowd = Crowd(world.slack, channels=size.orphans, seed=seed)
        await crowd.share_handbook()
        recoveries = [
            await _orphan(world, crowd, worker, place=number, timeout_s=size.timeout_s)
            for number in range(size.orphans)
        ]
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        return result_of(
            NUMBER,
            TITLE,
            scale,
            seed,
            verdict,
            Figure("orphans", "jobs orphaned", len(recoveries)),
            Figure(
                "recovery_s",
                "orphaned → answered, with the next of its thread, worst",
                max(recoveries),
                "s",
                RECOVERY_S,
            ),
        )


async def _orphan(world: World, crowd: Crowd, worker: BotProcess, *, place: int, timeout_s: float) -> float:
    """Give the worker a job it never heard of; return how long until it and the next of its thread are answered."""
    worker.freeze()
    first = await crowd.ask_in(crowd.channel(place), 0)
    await _assign(world, first)
    worker.wake()
    second = await crowd.ask_in(crowd.channel(place), 0)
    return await crowd.answered([first, second], timeout_s=timeout_s)


async def _assign(world: World, question: Message) -> None:
    """Mark the question's job as taken by the worker, as a fetch does whose reply is lost."""
    statement = """
        UPDATE procrastinate_jobs j SET status = 'doing', worker_id = (
            SELECT id FROM procrastinate_workers ORDER BY last_heartbeat DESC LIMIT 1)
        FROM work w WHERE j.args ->> 'work_id' = w.id::text AND w.key = $1 AND w.task = 'answer' AND j.status = 'todo'
        RETURNING j.id
    """
    key = f"{question.channel_id}:{question.ts}"
    async with asyncio.timeout(10):
        while not await world.postgres.fetch(statement, key):
            await asyncio.sleep(0.05)
