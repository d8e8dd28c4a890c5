"""Slack's Web API fails in every way it knows while the bot answers: each answer is still posted, once, and politely.

429, 5xx, connections that break before or after the deed, pages where JSON should be, calls that hang, `ok: false`: each
strikes a share of the calls, by dice. Slack itself doesn't hold the bot to a message a second per channel here: that
the bot holds itself to it is what is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.playground.faults import Fault, broken, html, rate_limited, refused, slow
from bot.playground.local import LocalSlack
from tests.faults.checker import Asked, Verdict, history_of, judge
from tests.faults.load import Crowd
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world

NUMBER, TITLE = 8, "Slack's Web API failing"
SABOTAGES = {"lookup": "duplicated", "pacing": "crowded", "retry_after": "early"}

IN_TIME_S = 300
POSTING = ("chat.startStream", "chat.postMessage")
CHANGING = ("chat.appendStream", "chat.stopStream", "chat.update")
READING = ("conversations.replies", "conversations.history", "assistant.threads.setStatus", "users.info")


@dataclass(frozen=True, slots=True)
class Size:
    """`share` is how many of a hundred calls that post go wrong; of the others fewer do."""

    posts: int
    channels: int
    per_second: float
    share: float
    hang_s: float
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(60, 30, 6, 25, 4, 120),
    Scale.FULL: Size(1000, 100, 5, 20, 30, 600),
    Scale.SELFTEST: Size(40, 4, 8, 40, 2, 45),
}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t08", sabotage=sabotage) as world:
        await world.start("run", keep_up=True)
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        world.slack.limiter.per_second = None
        _let_fail(world.slack, size, seed)
        await crowd.ask(size.posts, per_second=size.per_second)
        await crowd.answered(timeout_s=size.timeout_s)
        world.slack.faults.clear()
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        late = _late(verdict)
        manners, struck = world.slack.manners, world.slack.faults.happened
        in_time = 100 * (verdict.asked - len(late)) / verdict.asked
        posts = sum(manners.calls[method] for method in POSTING)
        breaches = [f"{b.method} {b.place}: {b.short_s:.2f} s too soon" for b in list(manners.breaches)[:10]]
        return result_of(
            NUMBER,
            TITLE,
            scale,
            seed,
            verdict,
            Figure("struck", f"faults in {sum(manners.calls.values())} calls", struck.total(), at_least=1),
            Figure(
                "early", "calls before a Retry-After was over", manners.early.total(), at_most=0, of=_limited(world)
            ),
            Figure(
                "crowded",
                "messages within a second of one channel's last",
                manners.crowded.total(),
                at_most=0,
                of=posts,
            ),
            Figure("in_time", f"answered within {IN_TIME_S / 60:g} min", in_time, "%", at_least=99.9),
            Figure("given_up_silently", "later, or never, and no reason kept", await _silent(world, late), at_most=0),
            evidence=breaches,
        )


def _let_fail(slack: LocalSlack, size: Size, seed: int) -> None:
    before: list[tuple[Fault, float]] = [
        (rate_limited(2), 0.25),
        (refused("service_unavailable", status=503), 0.15),
        (refused("internal_error"), 0.1),
        (broken(done=False), 0.1),
        (html(), 0.05),
        (slow(size.hang_s), 0.03),
    ]
    after = [(broken(done=True), 0.2), (html(done=True), 0.07), (slow(size.hang_s, done=True), 0.05)]
    for methods, share in ((POSTING, size.share), (CHANGING, size.share / 2), (READING, size.share / 4)):
        for method in methods:
            for fault, part in before + after:
                slack.faults.sometimes(method, fault, probability=share / 100 * part, seed=seed)


def _late(verdict: Verdict) -> list[Asked]:
    at = verdict.answered_at
    history = verdict.history.asked if verdict.history else []
    return [asked for asked in history if at.get(asked, float("inf")) - asked.sent_at > IN_TIME_S]


def _limited(world: World) -> int:
    return world.slack.manners.limited.total()


async def _silent(world: World, late: list[Asked]) -> int:
    """Return how many of these questions weren't given up with an error's number that says why."""
    rows = await world.postgres.fetch("SELECT key FROM work WHERE state = 'dead' AND error_id IS NOT NULL")
    given_up = {row["key"] for row in rows}
    return sum(asked.key not in given_up for asked in late)
