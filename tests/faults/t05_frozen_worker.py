"""A worker is frozen (SIGSTOP) and wakes when others have long taken over: it must notice, and write nothing.

First under load, for longer than the stall limit. Then at the two worst moments, with answers that are held half-way:
when its work waits to be taken again, and while another worker writes the same answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.playground.reading import words_of
from bot.playground.state import Message
from tests.faults.checker import history_of, judge
from tests.faults.held import Held, hold
from tests.faults.load import Crowd
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 5, "a worker frozen and woken"
SABOTAGES = {"fence": "zombie_words"}

ZOMBIE = "Diesel is sold at the north pier until six in the evening. [1]"
SUCCESSOR = "The crane lifts boats of up to eighteen tonnes. [1]"
ASK = "Where is diesel sold, and what does the crane lift?"


@dataclass(frozen=True, slots=True)
class Size:
    mentions: int
    channels: int
    per_second: float
    frozen_s: float
    stall_s: float
    rounds: int
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(40, 20, 6, 7, 3, 1, 60),
    Scale.FULL: Size(300, 60, 5, 60, 10, 5, 240),
    Scale.SELFTEST: Size(12, 12, 6, 5, 3, 1, 30),
}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t05", sabotage=sabotage) as world:
        settings = {"worker_stall_s": size.stall_s} | written_by_openai(world)
        world.openai.text = ZOMBIE
        _, (frozen, other) = await world.start_fleet(workers=2, settings=settings)
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        asking = asyncio.create_task(crowd.ask(size.mentions, per_second=size.per_second))
        await asyncio.sleep(1)
        frozen.freeze()
        await asyncio.sleep(size.frozen_s)
        frozen.wake()
        await asking
        await crowd.answered(timeout_s=size.timeout_s)
        zombies: list[tuple[Message, str]] = []
        for number in range(size.rounds):
            for act in (_wake_while_waiting, _wake_while_another_writes, _wake_when_all_is_done):
                question = await act(world, crowd, frozen, other, place=number, stall_s=size.stall_s)
                zombies.append(question)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        wrong = [line for question, expected in zombies for line in await _differences(world, question, expected)]
        return result_of(
            NUMBER,
            f"{TITLE} after {size.frozen_s:g} s",
            scale,
            seed,
            verdict,
            Figure("superseded", "attempts turned away at the fence", world.log_lines("work.superseded")),
            Figure(
                "zombie_words",
                "shown or stored otherwise than by who held the work",
                len(wrong),
                at_most=0,
                of=len(zombies),
            ),
            evidence=wrong,
        )


async def _wake_while_waiting(
    world: World, crowd: Crowd, frozen: BotProcess, other: BotProcess, *, place: int, stall_s: float
) -> tuple[Message, str]:
    """Wake it when its work was taken from it and nobody has taken it on yet.

    The one that could is frozen too until then. Whoever writes the answer then, it is one.
    """
    other.freeze()
    (first, second) = hold(world.openai, ZOMBIE, ZOMBIE, question=ASK)
    question = await crowd.ask_in(crowd.channel(place % 10), 100, ASK)
    await first.wait_begun()
    frozen.freeze()
    await _take_back(world, question)
    _let_go(first, second)
    frozen.wake()
    await asyncio.sleep(1)
    other.wake()
    await crowd.answered([question], timeout_s=stall_s + 30)
    world.openai.script.clear()
    return question, ZOMBIE


async def _wake_while_another_writes(
    world: World, crowd: Crowd, frozen: BotProcess, other: BotProcess, *, place: int, stall_s: float
) -> tuple[Message, str]:
    """Wake it half-way through another's writing of the same answer, and let it end first."""
    question, first, second = await _taken_over(world, crowd, frozen, other, place=place, thread=101, stall_s=stall_s)
    first.go.set()
    frozen.wake()
    await asyncio.sleep(2)
    second.go.set()
    await crowd.answered([question], timeout_s=stall_s + 30)
    return question, SUCCESSOR


async def _wake_when_all_is_done(
    world: World, crowd: Crowd, frozen: BotProcess, other: BotProcess, *, place: int, stall_s: float
) -> tuple[Message, str]:
    """Wake it when another has written the answer."""
    question, first, second = await _taken_over(world, crowd, frozen, other, place=place, thread=102, stall_s=stall_s)
    second.go.set()
    await crowd.answered([question], timeout_s=stall_s + 30)
    first.go.set()
    frozen.wake()
    await asyncio.sleep(3)
    return question, SUCCESSOR


async def _taken_over(
    world: World, crowd: Crowd, frozen: BotProcess, other: BotProcess, *, place: int, thread: int, stall_s: float
) -> tuple[Message, Held, Held]:
    """Freeze a worker half-way through an answer; return when another is half-way through the same one."""
    other.freeze()
    first, second = hold(world.openai, ZOMBIE, SUCCESSOR, question=ASK)
    question = await crowd.ask_in(crowd.channel(place % 10), thread, ASK)
    await first.wait_begun()
    frozen.freeze()
    other.wake()
    await second.wait_begun(timeout_s=stall_s + 30)
    return question, first, second


async def _take_back(world: World, question: Message) -> None:
    """Take a job from whoever does it, as the reaper does with a worker that seems dead."""
    key = f"{question.channel_id}:{question.ts}"
    statement = """
        SELECT procrastinate_retry_job_v2(j.id, null, null, null, null) FROM procrastinate_jobs j
        JOIN work w ON j.args ->> 'work_id' = w.id::text WHERE w.key = $1 AND w.task = 'answer' AND j.status = 'doing'
    """
    taken = await world.postgres.fetch(statement, key)
    assert len(taken) == 1, f"{len(taken)} jobs are doing {key}"


def _let_go(*answers: Held) -> None:
    for held in answers:
        held.go.set()


async def _differences(world: World, question: Message, expected: str) -> list[str]:
    """Return in what the message shown, or the one remembered, isn't the words of whoever held the work."""
    words = expected.removesuffix(" [1]")
    shown = [m for m in world.slack.replies(question.channel_id, question.root_ts) if m.ts > question.ts]
    rows = await world.postgres.fetch(
        "SELECT content FROM messages WHERE channel_id = $1 AND reply_to = $2", question.channel_id, question.ts
    )
    found = {"shown": [words_of(message) for message in shown], "remembered": [row["content"] for row in rows]}
    return [f"{question.ts} {where}: {texts!r}" for where, texts in found.items() if not _is(texts, words)]


def _is(texts: list[str], words: str) -> bool:
    other = SUCCESSOR if words in ZOMBIE else ZOMBIE
    return len(texts) == 1 and words in texts[0] and other.removesuffix(" [1]") not in texts[0]
