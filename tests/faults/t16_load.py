"""As much as Slack will ever send: its cap for ten minutes, a burst, and one person who floods.

Slack caps an app at 30,000 events an hour and workspace, 8.3 a second. Half as many questions make that many events:
each comes as `message` and as `app_mention`. What Slack sends of the bot's own messages comes on top, uncounted. The
model takes half a second for an answer, as models do: what is looked at is the bot, not how fast two cores are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bot.playground.local import LocalSlack
from bot.playground.state import Message
from tests.faults.checker import history_of, judge
from tests.faults.load import QUESTIONS, Crowd, answered_at
from tests.faults.model_faults import CHAT, knows_handbook, thinks
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import open_world, written_by_openai

NUMBER, TITLE = 16, "load at Slack's cap"
SABOTAGES = {"fairness": "flood_ratio"}

EVENTS_PER_SECOND = 8.3
EVENTS_PER_QUESTION = 2
ACK_P99_S, ACK_MAX_S = 0.5, 2.5
DRAINED_S = 120
FLOOD_RATIO = 2.0
MODEL_S = 0.5


@dataclass(frozen=True, slots=True)
class Size:
    """`burst` is in events, which come within `burst_s`; `flood` is in questions of one person.

    A burst is a tenth of all events, at 100 a second: with more of it p99 would speak of the burst alone.
    """

    steady_s: float
    burst: int
    burst_s: float
    flood: int
    calm_s: float
    channels: int
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(15, 40, 0.4, 60, 8, 50, 90),
    Scale.FULL: Size(600, 500, 5, 200, 40, 100, 300),
    Scale.SELFTEST: Size(5, 10, 1, 100, 10, 30, 90),
}
OTHERS_PER_SECOND = 1.5
FLOODED = 4
FLOOD_PER_SECOND = 20


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t16", sabotage=sabotage) as world:
        knows_handbook(world.openai)
        answers = thinks(world.openai, MODEL_S)
        world.openai.trouble = lambda path: answers if path == CHAT else None
        await world.start("run", keep_up=True, settings=written_by_openai(world))
        crowd = Crowd(world.slack, channels=size.channels, threads_each=3, seed=seed)
        await crowd.share_handbook()
        per_second = EVENTS_PER_SECOND / EVENTS_PER_QUESTION
        steady = await crowd.ask(round(per_second * size.steady_s), per_second=per_second)
        await crowd.answered(timeout_s=size.timeout_s)
        questions = size.burst // EVENTS_PER_QUESTION
        burst = await crowd.ask(questions, per_second=questions / size.burst_s)
        drained_s = await crowd.answered(burst, timeout_s=size.timeout_s)
        calm = await _others(crowd, size)
        await crowd.answered(timeout_s=size.timeout_s)
        flooding = asyncio.create_task(flood(world.slack, size.flood))
        flooded = await _others(crowd, size)
        crowd.asked += await flooding
        await crowd.answered(timeout_s=size.timeout_s)
        await crowd.settled()
        acks = acknowledged_after(world.slack, crowd.asked)
        in_burst = acknowledged_after(world.slack, burst)
        ratio = waits(world.slack, flooded, 0.95) / waits(world.slack, calm, 0.95)
        return result_of(
            NUMBER,
            f"{TITLE}: {EVENTS_PER_SECOND} events/s for {size.steady_s / 60:g} min",
            scale,
            seed,
            judge(history_of(world.slack, crowd.asked)),
            Figure("events", "events of people's doing", len(acks)),
            Figure("ack_p99_ms", "event → acknowledged, p99", 1000 * percentile(acks, 0.99), "ms", 1000 * ACK_P99_S),
            Figure("ack_max_ms", "event → acknowledged, worst", 1000 * max(acks), "ms", 1000 * ACK_MAX_S),
            Figure("burst_ack_p99_ms", "the same in the burst, p99", 1000 * percentile(in_burst, 0.99), "ms"),
            Figure("steady_p95_s", "question → answer, p95, steady", waits(world.slack, steady, 0.95), "s"),
            Figure(
                "drained_s",
                f"{size.burst} events in {size.burst_s:g} s, all answered after",
                drained_s,
                "s",
                DRAINED_S,
            ),
            Figure("calm_p95_s", "question → answer, p95, nobody floods", waits(world.slack, calm, 0.95), "s"),
            Figure(
                "flooded_p95_s",
                f"the same beside one person with {size.flood}",
                waits(world.slack, flooded, 0.95),
                "s",
            ),
            Figure("flood_ratio", "others wait longer beside a flood, times", ratio, "×", FLOOD_RATIO),
        )


async def _others(crowd: Crowd, size: Size) -> list[Message]:
    return await crowd.ask(round(OTHERS_PER_SECOND * size.calm_s), per_second=OTHERS_PER_SECOND)


async def flood(slack: LocalSlack, count: int, *, per_second: float = FLOOD_PER_SECOND) -> list[Message]:
    """Let one person ask so much, faster than anybody types, in new threads of a few channels of their own."""
    who = slack.add_user("flooder")
    channels = [slack.add_channel(f"flooded-{number}", members=[who]) for number in range(FLOODED)]
    asked = []
    for number in range(count):
        asked.append(await slack.mention(who, channels[number % FLOODED], QUESTIONS[number % len(QUESTIONS)]))
        await asyncio.sleep(1 / per_second)
    return asked


def acknowledged_after(slack: LocalSlack, questions: Sequence[Message]) -> list[float]:
    """Return the seconds from each event's first sending to its acknowledgement, tries that failed included."""
    asked = {(question.channel_id, question.ts) for question in questions}
    told = [d for d in slack.deliveries if (d.event.get("channel", ""), d.event.get("ts", "")) in asked]
    now = time.monotonic()
    return [(now if delivery.acked_at is None else delivery.acked_at) - delivery.queued_at for delivery in told]


def waits(slack: LocalSlack, questions: Sequence[Message], share: float) -> float:
    """Return a percentile of the seconds from question to whole answer; unanswered ones never end."""
    at = answered_at(slack, questions)
    sent = {asked.ts: asked.sent_at for asked in history_of(slack, questions).asked}
    return percentile([at.get(q.ts, float("inf")) - sent[q.ts] for q in questions], share)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that this share of them doesn't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
