"""Hostile files on their whole way in: from Slack's host into the sandbox, one after the other, a good one after each."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import psutil

from bot.errors import ServiceUnavailable, UnreadableFile
from bot.parsing import sandbox
from bot.parsing.reasons import Limits
from bot.slack import downloads, files
from bot.values import ParsedDocument, SharedFile
from tests.attacks import taken_over
from tests.attacks.canary import Canary, canary
from tests.attacks.hostile import HostileFile
from tests.attacks.hostile_files import every_file, some_files
from tests.attacks.slack_host import TOKEN, SlackHost, answers, slack_host
from tests.faults.report import Figure, Result, Scale
from tests.parsing.builders import docx, paragraph

T = TypeVar("T")

NUMBER, TITLE = 10, "hostile files"
SABOTAGES = {
    "walls": "connections",
    "landlock": "writes",
    "seccomp": "connections",
    "memory": "child_peak_mb",
    "time": "unfinished",
    "unpacking": "accepted",
    "login": "login_pages",
    "hosts": "connections",
    "token": "tokens",
}
OWN_CONTROLS = frozenset(SABOTAGES)
"""All of them are switched off here: in the child that opens a file, or around the fetching of it."""

GROWTH_MB = 100
PEAK_MB = 640
"""512 are allowed, and looked for every 50 ms; the kernel lets a child have 544 of its own, and the rest is libraries."""
SLOWER = 2
_MEBIBYTE = 2**20
_LOOK_EVERY_S = 0.05
_EVIDENCE = 30
_GOOD = docx(*(paragraph(f"Good words, line {number}.") for number in range(200)))
_REACHES, _WASTES = "takes over, reaches out", "takes over, wastes"


@dataclass(frozen=True, slots=True)
class Size:
    """How many files (None: all, else `whole` categories and some of the others), and how many there must be at least.

    `deadline_s` is how long each may take, `limits` those it is read under; `good` files are read before the first.
    """

    files: int | None
    least: int
    deadline_s: float
    limits: Limits
    good: int
    whole: tuple[str, ...] = (_REACHES,)


SIZES = {
    Scale.QUICK: Size(90, 60, 60, Limits(wall_s=6, cpu_s=4), 20),
    Scale.FULL: Size(None, 200, 60, Limits(), 60),
    Scale.SELFTEST: Size(45, 30, 15, Limits(wall_s=6, cpu_s=3), 20, (_REACHES, _WASTES, "zip bomb")),
}


@dataclass(slots=True)
class Seen:
    """What became of the files. Lists hold the names of those that did what nothing may do."""

    files: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    login_pages: list[str] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    good_failed: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    good_before_s: list[float] = field(default_factory=list)
    good_after_s: list[float] = field(default_factory=list)
    growth_mb: float = 0.0
    child_peak_mb: float = 0.0


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size, dice = SIZES[scale], random.Random(seed)
    _switch_off(sabotage)
    async with canary() as watched, slack_host(watched.traps.address) as (host, slack_files):
        attack = Attack(watched, host, slack_files, size, sabotage)
        chosen = every_file() if size.files is None else some_files(size.files, dice, whole=size.whole)
        await attack.warm_up()
        for file in dice.sample(chosen, len(chosen)):
            await attack.open(file)
        for name, told in answers(host).items():
            await attack.fetch(name, told)
    return Result(NUMBER, TITLE, scale.value, seed, figures_of(attack.seen, size), evidence_of(attack.seen))


def _switch_off(sabotage: str | None) -> None:
    """Take a control of the fetching away, in this process; those of the sandbox go in each child, or in its limits."""
    if sabotage == "login":
        files._is_login_page = lambda *_: False
    elif sabotage == "hosts":
        setattr(downloads.Downloads, "_trusts", lambda _, url: url.host == "127.0.0.1")  # noqa: B010  # for mypy
    elif sabotage == "token":
        downloads._PLAIN["Authorization"] = f"Bearer {TOKEN}"


def _limits(limits: Limits, sabotage: str | None) -> Limits:
    if sabotage == "memory":
        return replace(limits, resident_bytes=2**40, own_bytes=2**30, address_space_bytes=2**30)
    return replace(limits, wall_s=600, cpu_s=600) if sabotage == "time" else limits


class Attack:
    """Brings files in one after the other, and sees what each does."""

    def __init__(
        self, watched: Canary, host: SlackHost, slack_files: files.SlackFiles, size: Size, sabotage: str | None
    ) -> None:
        self.seen = Seen()
        self._canary = watched
        self._host = host
        self._files = slack_files
        self._size = size
        self._limits = _limits(size.limits, sabotage)
        self._sabotage = sabotage

    async def warm_up(self) -> None:
        """Read the good file a few times before anything hostile comes."""
        await self._read_good("the first good file")
        for _ in range(self._size.good):
            self.seen.good_before_s.append(await self._read_good("a good file beforehand"))

    async def open(self, file: HostileFile) -> None:
        """Fetch and parse one file, then a good one."""
        told = self._host.serve(file.make(self._canary.traps), file.filename)
        document = await self._outcome(file.name, self._bring(told, owned=file.category in {_REACHES, _WASTES}))
        if document is not None:
            self.seen.read.append(file.name)
            if file.refused:
                self.seen.accepted.append(file.name)
            if any(word in document.text for word in (self._canary.mark, "root:x:0", "PATH=")):
                self.seen.secrets.append(file.name)
        await self._look(file.name)

    async def fetch(self, name: str, told: SharedFile) -> None:
        """Fetch what isn't a file; bytes that come of it would be taken for one."""
        data = await self._outcome(name, self._files.fetch(told, max_bytes=self._limits.file_bytes))
        if data is not None:
            (self.seen.login_pages if name.startswith("login") else self.seen.accepted).append(name)
        await self._look(name)

    async def _bring(self, told: SharedFile, *, owned: bool) -> ParsedDocument:
        data = await self._files.fetch(told, max_bytes=self._limits.file_bytes)
        if self._sabotage is None and not owned:
            return await sandbox.parse_in_sandbox(data, told.filename, limits=self._limits)
        command = taken_over.command(owned=owned, without=self._sabotage, mark=self._canary.mark)
        return await sandbox.run_child(command, data, told.filename, limits=self._limits)

    async def _outcome(self, name: str, bring: Coroutine[Any, Any, T]) -> T | None:
        """Return what came of a file; None when it was refused, which is how most must end."""
        self.seen.files.append(name)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._size.deadline_s), self._measured():
                return await bring
        except (UnreadableFile, ServiceUnavailable) as refusal:
            self.seen.reasons[name] = str(refusal)[:200]
        except TimeoutError:
            self.seen.unfinished.append(name)
        except Exception as error:  # noqa: BLE001  # whatever it is, it would have cost more than the file
            self.seen.broken.append(f"{name}: {error!r}")
        finally:
            self.seen.seconds[name] = time.monotonic() - began
        return None

    @asynccontextmanager
    async def _measured(self) -> AsyncIterator[None]:
        """Keep the most that this process gained meanwhile, and the most that its children held."""
        process = psutil.Process()
        before = process.memory_info().rss

        async def look() -> None:
            while True:
                gained = (process.memory_info().rss - before) / _MEBIBYTE
                held = sum(_own_bytes(child) for child in process.children(recursive=True)) / _MEBIBYTE
                self.seen.growth_mb = max(self.seen.growth_mb, gained)
                self.seen.child_peak_mb = max(self.seen.child_peak_mb, held)
                await asyncio.sleep(_LOOK_EVERY_S)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()

    async def _look(self, name: str) -> None:
        """See how far the file reached, and whether a good one is read as before."""
        self.seen.good_after_s.append(await self._read_good(name))
        for reached, found in (
            (self.seen.connections, self._canary.connections),
            (self.seen.tokens, self._host.tokens),
            (self.seen.writes, self._canary.written()),
            (self.seen.left, self._canary.left()),
            (self.seen.signals, ["a signal"] * self._canary.signals),
        ):
            reached += [f"{name}: {what}" for what in found]
        self._canary.connections.clear()
        self._host.tokens.clear()
        self._canary.signals = 0

    async def _read_good(self, after: str) -> float:
        """Return how many seconds the good file takes; name what came before it when it isn't read."""
        told = self._host.serve(_GOOD, "good.docx")
        began = time.monotonic()
        try:
            data = await self._files.fetch(told, max_bytes=self._limits.file_bytes)
            document = await sandbox.parse_in_sandbox(data, told.filename)
            if "Good words, line 199." not in document.text:
                self.seen.good_failed.append(after)
        except Exception as error:  # noqa: BLE001  # it is what is looked for
            self.seen.good_failed.append(f"{after}: {error!r}")
        return time.monotonic() - began


def figures_of(seen: Seen, size: Size) -> list[Figure]:
    """Return the figures of what was seen."""
    files = len(seen.files)

    def none(name: str, title: str, found: Sequence[str]) -> Figure:
        return Figure(name, title, len(found), at_most=0, of=files)

    before, after = _p95(seen.good_before_s), _p95(seen.good_after_s)
    return [
        Figure("files", "hostile files, one by one", files, at_least=size.least),
        Figure("read", "of which came text", len(seen.read), of=files),
        none("unfinished", f"without an end within {size.deadline_s:g} s", seen.unfinished),
        Figure("slowest_s", "the slowest of them", max(seen.seconds.values(), default=math.nan), "s"),
        none("broken", "that broke more than their own reading", seen.broken),
        none("accepted", "read that must be refused", seen.accepted),
        none("login_pages", "login pages taken for the file", seen.login_pages),
        none("tokens", "that got the token at another address", seen.tokens),
        none("connections", "connections to a listener beside", seen.connections),
        none("writes", "files changed outside the parser's folder", seen.writes),
        none("secrets", "secrets in what was read", seen.secrets),
        none("signals", "signals to the bot", seen.signals),
        none("left", "processes left behind", seen.left),
        Figure("growth_mb", "memory the bot gained while one was read, most", seen.growth_mb, "MB", at_most=GROWTH_MB),
        Figure("child_peak_mb", "memory of a child, most", seen.child_peak_mb, "MB", at_most=PEAK_MB),
        none("good_failed", "good files not read right after", seen.good_failed),
        Figure("good_p95_s", "a good file beforehand, p95", before, "s"),
        Figure("good_slower", "a good file right after, p95, times that", after / before, at_most=SLOWER),
    ]


def _own_bytes(process: psutil.Process) -> int:
    """Return the memory that would be free without a process: what hundreds of forks share counts for none of them."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0  # gone while it was looked at


def _p95(seconds: Sequence[float]) -> float:
    """Return the 95th percentile, not a number where there are too few."""
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else math.nan


def evidence_of(seen: Seen) -> list[str]:
    """Return what did what it must not, by name."""
    wrong = {
        "unfinished": seen.unfinished,
        "broken": seen.broken,
        "accepted": seen.accepted,
        "login page": seen.login_pages,
        "token": seen.tokens,
        "connection": seen.connections,
        "write": seen.writes,
        "secret": seen.secrets,
        "signal": seen.signals,
        "left": seen.left,
        "good file failed after": seen.good_failed,
    }
    return [f"{what}: {name}" for what, names in wrong.items() for name in names][:_EVIDENCE]
