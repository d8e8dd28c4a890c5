"""The model and the embedder fail: late, refused, cut off, garbled, gone. Everybody gets an answer or an apology.

First each request fails by dice. Then the model is gone altogether: after five failures it is left alone for thirty
seconds, then asked once. Last the embedder is gone. What the provider said an answer cost is what was recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bot.playground.state import Message
from tests.fakes import FakeOpenAI, Tally
from tests.faults.checker import Verdict, history_of, judge
from tests.faults.load import Crowd
from tests.faults.model_faults import (
    CHAT,
    EMBEDDINGS,
    MODELS,
    Trouble,
    breaks,
    cuts,
    down,
    garbles,
    hangs,
    knows_handbook,
    refuses,
    says_no_json,
)
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 19, "the model failing"
SABOTAGES = {"breaker": "asked_at_rest", "usage": "tokens_off"}

ANSWERED_S = 90
OPENS_AFTER, RESTS_S = 5, 30
LATENESS_S = 4
"""How much later than its rest is over a model may be asked: somebody must come who wants something of it."""


@dataclass(frozen=True, slots=True)
class Size:
    """`share` is how many of a hundred requests fail while that goes by dice; `down_s`, how long the model is gone."""

    mentions: int
    channels: int
    per_second: float
    share: float
    timeout_s: float
    wait_s: float
    down_s: float


SIZES = {
    Scale.QUICK: Size(30, 30, 4, 25, 3, 20, 35),
    Scale.FULL: Size(400, 60, 3, 25, 10, 60, 100),
    Scale.SELFTEST: Size(12, 12, 6, 20, 2, 10, 34),
}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t19", sabotage=sabotage) as world:
        knows_handbook(world.openai)
        await world.start("run", keep_up=True, settings=_settings(world, size))
        crowd = Crowd(world.slack, channels=size.channels, seed=seed)
        await crowd.share_handbook()
        struck, stumbled = await _by_dice(world, crowd, size, seed)
        arrivals = await _gone(world, crowd, size)
        await _embedder_gone(world, crowd, size)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        first, at_rest, probe_s = breaker_of(arrivals)
        off, what = await _tokens_off(world)
        return result_of(
            NUMBER,
            TITLE,
            scale,
            seed,
            verdict,
            Figure("struck", f"faults in {len(world.openai.arrivals)} requests", struck, at_least=1),
            Figure("ridden_out", "answered while requests failed by dice", stumbled, "%", at_least=90),
            Figure("slowest_s", "question → answer or apology, worst", _slowest(verdict), "s", ANSWERED_S),
            Figure(
                "failures", "failures until the model is left alone", first, at_most=OPENS_AFTER, at_least=OPENS_AFTER
            ),
            Figure("asked_at_rest", "requests while it is left alone", at_rest, at_most=0),
            Figure("probe_s", "rest until the next request", probe_s, "s", RESTS_S + LATENESS_S, RESTS_S - 1),
            Figure("tokens_off", "tokens recorded otherwise than stated", off, at_most=0, of=_stated(world.openai)),
            evidence=what,
        )


def _settings(world: World, size: Size) -> dict[str, object]:
    """Embed by the provider too, and wait no longer than this test has time for."""
    times = {"openai_timeout_s": size.timeout_s, "model_wait_s": size.wait_s}
    return written_by_openai(world) | {"embedding_model": "openai", "openai_embedding_dimensions": 256} | times


async def _by_dice(world: World, crowd: Crowd, size: Size, seed: int) -> tuple[int, float]:
    """Let a share of all requests fail; return how many did, and how many of a hundred questions were answered."""
    part = size.share / 100
    common = {
        "429": (part * 0.2, refuses(429, retry_after_s=1)),
        "503": (part * 0.2, refuses(503)),
        "hang": (part * 0.1, hangs(3 * size.timeout_s)),
        "break": (part * 0.1, breaks()),
    }
    chat = common | {"cut": (part * 0.2, cuts(world.openai)), "garbled": (part * 0.2, garbles())}
    trouble = Trouble({CHAT: chat, EMBEDDINGS: common | {"no json": (part * 0.2, says_no_json())}}, seed=seed)
    world.openai.trouble = trouble
    asked = await crowd.ask(size.mentions, per_second=size.per_second)
    await crowd.answered(timeout_s=ANSWERED_S + size.timeout_s)
    await crowd.settled(quiet_s=1)
    world.openai.trouble = lambda _: None
    return trouble.happened.total(), 100 * judge(history_of(world.slack, asked)).answered / len(asked)


async def _gone(world: World, crowd: Crowd, size: Size) -> list[float]:
    """Have no model for a while; return when it was asked meanwhile. As many ask at once as it may fail."""
    await crowd.ask(1)
    await crowd.answered(timeout_s=ANSWERED_S)  # a success, so that no former failure counts
    began = time.monotonic()
    world.openai.trouble = down(CHAT, MODELS)
    await crowd.ask(OPENS_AFTER)
    await asyncio.sleep(3)
    await crowd.ask(OPENS_AFTER, per_second=1)
    await asyncio.sleep(began + RESTS_S + 1 - time.monotonic())
    await crowd.ask(1)  # when the rest is over, somebody comes who wants something
    await asyncio.sleep(max(0, began + size.down_s - time.monotonic()))
    ended = time.monotonic()
    world.openai.trouble = lambda _: None
    await crowd.answered(timeout_s=ANSWERED_S)
    return [at for at, path in world.openai.arrivals if path == CHAT and began <= at <= ended]


async def _embedder_gone(world: World, crowd: Crowd, size: Size) -> list[Message]:
    """Have no embedder for a while, and a model that works."""
    world.openai.trouble = down(EMBEDDINGS, MODELS)
    asked = await crowd.ask(OPENS_AFTER)
    await asyncio.sleep(size.wait_s / 2)
    world.openai.trouble = lambda _: None
    await crowd.answered(timeout_s=ANSWERED_S + RESTS_S)
    return asked


def breaker_of(arrivals: Sequence[float]) -> tuple[int, int, float]:
    """Return how many requests came before the first rest, how many during it, and how long it was.

    A request within two seconds of the one before belongs to what was under way when the model was given up.
    """
    if len(arrivals) < OPENS_AFTER:
        return len(arrivals), 0, float("inf")
    opened = arrivals[OPENS_AFTER - 1]
    before = sum(at <= opened + 2 for at in arrivals)
    at_rest = sum(opened + 2 < at < opened + RESTS_S - 1 for at in arrivals)
    probe = next((at for at in arrivals if at >= opened + RESTS_S - 1), float("inf"))
    return before, at_rest, probe - opened


def _slowest(verdict: Verdict) -> float:
    asked = verdict.history.asked if verdict.history else []
    return max((verdict.answered_at.get(a, float("inf")) - a.sent_at for a in asked), default=0.0)


def _stated(openai: FakeOpenAI) -> int:
    return sum(t.prompt_tokens + t.completion_tokens for t in (openai.chat_reported, openai.embedding_reported))


async def _tokens_off(world: World) -> tuple[int, list[str]]:
    """Return by how many tokens the usage recorded differs from what the provider stated, and in what."""
    rows = await world.postgres.fetch(
        "SELECT model, count(*) AS calls, sum(prompt_tokens) AS asked, sum(completion_tokens) AS said"
        " FROM usage_events GROUP BY model"
    )
    recorded = {"chat": Tally(), "embedding": Tally()}
    for row in rows:
        kind = "embedding" if "embedding" in row["model"] else "chat"
        tally = recorded[kind]
        tally.calls += row["calls"]
        tally.prompt_tokens += row["asked"]
        tally.completion_tokens += row["said"]
    stated = {"chat": world.openai.chat_reported, "embedding": world.openai.embedding_reported}
    off = sum(
        abs(stated[kind].prompt_tokens - recorded[kind].prompt_tokens)
        + abs(stated[kind].completion_tokens - recorded[kind].completion_tokens)
        for kind in stated
    )
    return off, [f"{kind}: stated {stated[kind]}, recorded {recorded[kind]}" for kind in stated if off]
