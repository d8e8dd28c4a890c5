"""The bot in a process of its own: its memory, and how soon the first words of an answer come."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.pdf import pdf_of
from benchmarks.place import shared_folder, temporary_home
from benchmarks.result import Measure
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled
from bot.playground.state import Message
from bot.smoke import IDLE_S, shipped_cases

MB = 2**20
SAMPLE_S = 0.05


async def measure(*, questions: int = 10, pdf: tuple[str, bytes] | None = None) -> list[Measure]:
    """Ask the shipped questions of one document, then let the bot read a large one."""
    case = shipped_cases()[0]
    asks = [turn.ask for turn in case.turns if turn.expect]
    name, data = pdf or large_pdf()
    async with LocalSlack() as slack, _bot(slack) as bot:
        slack.add_channel("general", members=[slack.add_user("Ada")])
        root = await slack.share("Ada", "general", *case.files)
        await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=120)
        first_ms = [await _ask(slack, root, asks[0])]
        memory = bot.memory_full_info()
        first_ms += [await _ask(slack, root, asks[number % len(asks)]) for number in range(questions)]
        started = time.monotonic()
        with watched(bot) as peak:
            root = await slack.share("Ada", "general", (name, data))
            await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=1200)
        read_s = time.monotonic() - started
    return [
        Measure("first_text_ms", "First text after the event", median(first_ms[1:]), "ms", at_most=300,
                note=f"median of {questions} questions to an idle bot, local mode; the very first {first_ms[0]:.0f}"),
        Measure("memory_mb", "Memory after the first answer", memory.rss / MB, "MB", at_most=500,
                note=f"resident; its own alone {memory.uss / MB:.0f}"),
        Measure("ingest_memory_mb", f"Peak while reading a PDF of {len(data) / 1e6:.1f} MB", peak.own / MB, "MB",
                at_most=700, note=f"resident, every {SAMPLE_S * 1000:.0f} ms; the sandbox's child {peak.child / MB:.0f};"
                f" {name} in {read_s:.0f} s"),
    ]  # fmt: skip


def large_pdf() -> tuple[str, bytes]:
    """Return name and bytes of a PDF of some 2 MB: one from the folder beside the repository, else a made-up one."""
    sample = shared_folder() / "data" / "samples" / "uber_2021.pdf"
    return (sample.name, sample.read_bytes()) if sample.exists() else ("made-up.pdf", pdf_of(pages=300, size=2 * MB))


@asynccontextmanager
async def _bot(slack: LocalSlack) -> AsyncIterator[psutil.Process]:
    """Run `bot run` against the local Slack; yield its process once it is connected."""
    here = os.environ  # noqa: TID251  # a child's environment is made from ours, without its settings
    kept = {name: here[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in here}
    with temporary_home() as home:
        environment = kept | {
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "RECOLLECT_HOME": str(home),
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
            "HTTP_PORT": "0",
            "LOG_LEVEL": "WARNING",
        }
        command = [sys.executable, "-m", "bot", "run"]
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=home)
        try:
            async with asyncio.timeout(60):
                while not slack.sockets.connection_count:  # noqa: ASYNC110  # it is another process that connects
                    await asyncio.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            await process.wait()


async def _ask(slack: LocalSlack, root: Message, ask: str) -> float:
    """Ask an idle bot; return the milliseconds until the first words stood there."""
    await asyncio.sleep(IDLE_S)
    question = await slack.mention("Ada", "general", ask, thread_ts=root.ts)
    await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=60)
    return slack.timing(question).first_text_ms or float("nan")


@dataclass(slots=True)
class Peak:
    """The most bytes seen resident: of the bot, and of its children other than PostgreSQL together."""

    own: int = 0
    child: int = 0


@contextmanager
def watched(process: psutil.Process) -> Iterator[Peak]:
    """Look at a process every so often, from a thread, until the block ends."""
    peak, done = Peak(), threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_S):
            peak.own = max(peak.own, process.memory_info().rss)
            peak.child = max(peak.child, sum(map(_resident, process.children(recursive=True))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _resident(child: psutil.Process) -> int:
    try:
        return 0 if child.name().startswith("postgres") else int(child.memory_info().rss)
    except psutil.NoSuchProcess:  # it ended while we looked
        return 0
