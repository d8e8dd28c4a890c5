"""The bot dies at chosen places, again and again; whoever asked or shared something meanwhile never learns of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bot.playground.reading import is_settled
from bot.playground.state import Message
from tests.faults.checker import Verdict, history_of, judge
from tests.faults.crash import POINTS, POISON
from tests.faults.load import Crowd
from tests.faults.postgres import Postgres
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale, result_of
from tests.faults.world import World, open_world

NUMBER, TITLE = 2, "death at twelve places"
SABOTAGES = {"lookup": "duplicated", "store_first": "unanswered"}

AT_ONCE = 2
"""Worlds at a time: a start of the bot is work for one core."""


@dataclass(frozen=True, slots=True)
class Size:
    points: tuple[str, ...]
    rounds: int
    stall_s: float
    timeout_s: float


SIZES = {
    Scale.QUICK: Size(("posted, not yet stored", "chunks inserted, not committed"), 2, 3, 45),
    Scale.FULL: Size(tuple(POINTS), 20, 3, 90),
    Scale.SELFTEST: Size(("after the inbox row, before the commit", "posted, not yet stored"), 2, 3, 30),
}


@dataclass(slots=True)
class Round:
    """What one place led to: how often the bot died there, and what was wrong afterwards besides its answers."""

    verdict: Verdict
    deaths: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Stage:
    """A bot that can be made to die at one place."""

    world: World
    crowd: Crowd
    process: BotProcess
    flag: Path
    size: Size
    deaths: int = 0
    files: list[Message] = field(default_factory=list)

    def arm(self) -> None:
        """Let the bot die the next time it comes to the place."""
        self.flag.touch()

    async def died(self) -> None:
        """Wait until it did, and is back. One that never came to the place is left alone."""
        for _ in range(round(self.size.timeout_s / 0.05)):
            if not self.flag.exists():
                self.deaths += 1
                await self.process.wait_ready()
                return
            await asyncio.sleep(0.05)
        self.flag.unlink(missing_ok=True)


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    places = asyncio.Semaphore(AT_ONCE)

    async def one(point: str) -> Round:
        async with places:
            return await _at(point, size, seed, sabotage)

    rounds = dict(zip(size.points, await asyncio.gather(*map(one, size.points)), strict=True))
    wrong = [f"{point}: {what}" for point, found in rounds.items() for what in found.wrong]
    expected = len(size.points) * size.rounds
    return result_of(
        NUMBER,
        TITLE,
        scale,
        seed,
        Verdict.merged(found.verdict for found in rounds.values()),
        Figure("deaths", "times the bot died there", sum(r.deaths for r in rounds.values()), at_least=expected),
        Figure("wrong", "files with other than one set of chunks and one receipt", len(wrong), at_most=0, of=expected),
        evidence=[line for point, r in rounds.items() if not r.verdict.is_clean for line in (point, *r.verdict.least())]
        + wrong,
    )


async def _at(point: str, size: Size, seed: int, sabotage: str | None) -> Round:
    """Have the bot die at one place, round after round, and look at what was left of it all."""
    number = list(POINTS).index(point)
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world(f"t02-{number:02}", sabotage=sabotage))
        world.slack.workspace.deliveries.retry_delays_s = [1.0, 5.0, 15.0]  # Slack's own: at once, 1 and 5 minutes
        crowd = Crowd(world.slack, channels=size.rounds, seed=seed + number)
        flag = world.logs / "die"
        process = _process(world, point, flag, size, sabotage)
        stage = Stage(world, crowd, process, flag, size)
        if point != "in a migration":
            await process.start()
            process.keep_up()
            await process.wait_ready()
            await crowd.share_handbook()
        act = ACTS.get(point, _asks)
        for index in range(size.rounds):
            await act(stage, index)
        await crowd.settled()
        verdict = judge(history_of(world.slack, crowd.asked))
        return Round(verdict, stage.deaths, await _wrong_files(stage))


def _process(world: World, point: str, flag: Path, size: Size, sabotage: str | None, **changes: str) -> BotProcess:
    command = [sys.executable, "-m", "tests.faults.crash", point, str(flag), sabotage or "-", "run"]
    environment = world.environment() | {"WORKER_STALL_S": str(size.stall_s)} | changes
    name = f"dying-{len(world.processes)}"
    process = BotProcess(name, command, environment, log=world.logs / f"{name}.log")
    world.processes[name] = process
    return process


async def _asks(stage: Stage, index: int) -> None:
    """Somebody asks, and the bot dies over it."""
    stage.arm()
    question = await stage.crowd.ask_in(stage.crowd.channel(index), 0)
    await stage.died()
    await stage.crowd.answered([question], timeout_s=stage.size.timeout_s)


async def _asks_the_unanswerable(stage: Stage, index: int) -> None:
    """Somebody asks what always fails; the bot dies when it is about to say so."""
    stage.arm()
    question = await stage.crowd.ask_in(stage.crowd.channel(index), 0, f"Where is {POISON} {index}?")
    await stage.died()
    await stage.crowd.answered([question], timeout_s=stage.size.timeout_s)


async def _shares(stage: Stage, index: int) -> None:
    """Somebody shares a file, and the bot dies over it."""
    channel = stage.crowd.channel(index)
    paragraphs = [f"Berth {index}.{number} is let to boat {index * 7919 + number}." for number in range(60)]
    stage.arm()
    message = await stage.world.slack.share(
        channel.members[0], channel, (f"berths-{index}.md", "\n\n".join(paragraphs).encode())
    )
    stage.files.append(message)
    await stage.died()
    await _receipt(stage, message)


async def _is_missed(stage: Stage, index: int) -> None:
    """Somebody asks while the bot is away and Slack gives up; the bot dies over reading what it missed.

    Slack gives up after six minutes; here at once, so the bot is made to believe that it was away for longer.
    """
    slack = stage.world.slack
    slack.workspace.deliveries.retry_delays_s = []
    async with slack.sockets.outage():
        question = await stage.crowd.ask_in(stage.crowd.channel(index), 0)
        await slack.settle()
        stage.arm()
        stage.process.kill9()
        await stage.world.postgres.fetch("UPDATE workspaces SET heard_at = heard_at - interval '2 minutes'")
    await stage.died()
    await stage.crowd.answered([question], timeout_s=stage.size.timeout_s)


async def _migrates(stage: Stage, index: int) -> None:
    """The bot dies in the middle of making its tables, in a database of its own each time."""
    world, name = stage.world, f"fresh_{index}"
    await world.postgres.fetch(f"CREATE DATABASE {name}")
    port = world.database.port
    urls = {"DATABASE_URL": Postgres.url(port), "DATABASE_OWNER_URL": Postgres.url(port, owner=True)}
    fresh = {key: url.replace("/recollect?", f"/{name}?") for key, url in urls.items()}
    stage.process = _process(world, "in a migration", stage.flag, stage.size, world.sabotage, **fresh)
    stage.arm()
    await stage.process.start()
    stage.process.keep_up()
    await stage.died()
    question = await stage.crowd.ask_in(stage.crowd.channel(index), 0)
    await stage.crowd.answered([question], timeout_s=stage.size.timeout_s)
    await stage.process.close()


ACTS: dict[str, Callable[[Stage, int], Awaitable[None]]] = {
    "chunks inserted, not committed": _shares,
    "after embedding": _shares,
    "before the dead letter": _asks_the_unanswerable,
    "in a migration": _migrates,
    "in a backfill": _is_missed,
}


async def _receipt(stage: Stage, message: Message) -> None:
    """Wait for what is said about a file; what is missing is found out later."""
    try:
        await stage.world.slack.wait_for_reply(
            message.channel_id, message.ts, until=is_settled, timeout=stage.size.timeout_s
        )
    except (AssertionError, TimeoutError):
        return


async def _wrong_files(stage: Stage) -> list[str]:
    """Return a line for each shared file that isn't there once, whole, with one receipt."""
    wrong = []
    for message in stage.files:
        receipts = stage.world.slack.replies(message.channel_id, message.ts)
        rows = await stage.world.postgres.fetch(_STORED, message.channel_id, message.ts)
        if len(receipts) != 1 or rows != [{"status": "ready", "is_whole": True}]:
            wrong.append(f"{message.channel_id}:{message.ts}: {len(receipts)} receipts, {rows}")
    return wrong


_STORED = """
    SELECT d.status, (SELECT count(*) = max(c.chunk_index) + 1 AND count(*) = count(DISTINCT c.chunk_index)
                             AND count(*) = (SELECT count(*) FROM chunk_embeddings e WHERE e.document_id = d.id)
                        FROM document_chunks c WHERE c.document_id = d.id) AS is_whole
      FROM documents d JOIN document_shares s ON s.document_id = d.id
     WHERE s.channel_id = $1 AND s.message_ts = $2
"""
