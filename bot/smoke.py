"""The main job without a person: share files, ask, and require the expected words in what the bot quotes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console

from bot.app import running
from bot.config import Settings
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled
from bot.playground.state import Message

REPLY_TIMEOUT_S = 60
INGEST_TIMEOUT_S = 300
IDLE_S = 1.5
"""Pause before a question: Slack takes one message a second per channel, and the time of an idle bot is asked for."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, and the words its quotes must hold; None: it must be refused."""

    ask: str
    expect: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """Files shared in one thread, and what is asked there."""

    files: tuple[Path, ...]
    turns: tuple[Turn, ...]


@dataclass(slots=True)
class Report:
    """What was measured."""

    passed: int = 0
    failed: int = 0
    cold_start_s: float = 0.0
    ingest_s: list[float] = field(default_factory=list)
    first_text_ms: list[float] = field(default_factory=list)
    answer_ms: list[float] = field(default_factory=list)

    def last_line(self) -> str:
        """Return the line a script can read. Times are medians, but for ingestion, which is a sum."""
        verdict = "ok" if self.passed and not self.failed else "failed"
        return (
            f"smoke: {verdict} passed={self.passed} failed={self.failed} cold_start_s={self.cold_start_s:.2f}"
            f" ingest_s={sum(self.ingest_s):.2f} first_text_ms={_median(self.first_text_ms):.0f}"
            f" answer_ms={_median(self.answer_ms):.0f}"
        )


def shipped_cases() -> list[Case]:
    """Return the questions the project brings along, with its own three documents."""
    folder = Path(str(resources.files("bot") / "smoke_files"))
    written = tomllib.loads((folder / "questions.toml").read_text())
    return [
        Case(
            tuple(folder / name for name in conversation["files"]),
            tuple(Turn(turn["ask"], turn.get("expect")) for turn in conversation["turn"]),
        )
        for conversation in written["conversation"]
    ]


async def smoke(cases: Sequence[Case], settings: Settings, *, console: Console | None = None) -> int:
    """Run every case against the real bot in a throwaway home; print each result; return the exit code."""
    out = console or Console()
    report = Report()
    async with _bot(settings, report) as slack:
        for case in cases:
            await _run_case(slack, case, report, out)
    out.print(report.last_line(), highlight=False, soft_wrap=True)
    return 1 if report.failed or not report.passed else 0


@asynccontextmanager
async def _bot(settings: Settings, report: Report) -> AsyncIterator[LocalSlack]:
    """Run the local Slack and the bot, over Socket Mode, on a home that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="recollect-smoke-") as home:
        os.chmod(home, 0o755)  # noqa: PTH101, S103  # the embedded server's account must be able to enter
        async with LocalSlack() as slack:
            slack.add_channel("general", members=[slack.add_user("Ada")])
            started = time.monotonic()
            async with running(playground_settings(settings, slack, home=Path(home))):
                report.cold_start_s = time.monotonic() - started
                yield slack


def playground_settings(settings: Settings, slack: LocalSlack, *, home: Path | None) -> Settings:
    """Return settings that point the bot to a local Slack, and, with a home, to an embedded database there."""
    update: dict[str, Any] = {
        "slack_bot_token": SecretStr(slack.bot_token),
        "slack_app_token": SecretStr(slack.app_token),
        "slack_signing_secret": None,
        "slack_client_id": None,
        "slack_client_secret": None,
        "slack_api_url": slack.api_url,
        "http_port": 0,
    }
    if home is not None:
        update |= {"recollect_home": home, "database_url": None, "database_owner_url": None}
    return settings.model_copy(update=update)


async def _run_case(slack: LocalSlack, case: Case, report: Report, out: Console) -> None:
    started = time.monotonic()
    root = await slack.share("Ada", "general", *case.files)
    try:
        receipt = await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=INGEST_TIMEOUT_S)
    except TimeoutError:
        report.failed += max(1, len(case.turns))
        out.print(f"FAIL no receipt for {_names(case)} within {INGEST_TIMEOUT_S} s", markup=False, highlight=False)
        return
    report.ingest_s.append(time.monotonic() - started)
    out.print(receipt.text, markup=False, highlight=False)
    for turn in case.turns:
        await asyncio.sleep(IDLE_S)
        await _run_turn(slack, root, turn, report, out)


def _names(case: Case) -> str:
    return ", ".join(file.name for file in case.files)


async def _run_turn(slack: LocalSlack, root: Message, turn: Turn, report: Report, out: Console) -> None:
    question = await slack.mention("Ada", "general", turn.ask, thread_ts=root.ts)
    try:
        reply = await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=REPLY_TIMEOUT_S)
    except TimeoutError:
        report.failed += 1
        out.print(f"FAIL {turn.ask}\n     no answer within {REPLY_TIMEOUT_S} s", markup=False, highlight=False)
        return
    quotes = quoted_words(reply)
    good = _is_refusal(reply) if turn.expect is None else any(_folded(turn.expect) in _folded(q) for q in quotes)
    report.passed += good
    report.failed += not good
    timing = slack.timing(question)
    report.first_text_ms += [timing.first_text_ms] if timing.first_text_ms is not None else []
    report.answer_ms += [timing.answer_ms] if timing.answer_ms is not None else []
    out.print(f"{'ok  ' if good else 'FAIL'} {turn.ask}", markup=False, highlight=False)
    if not good:
        out.print(
            f"     expected: {turn.expect or 'nothing found'}\n     quoted: {quotes}", markup=False, highlight=False
        )


def _is_refusal(message: Message) -> bool:
    """True when the bot says that it found nothing; an apology for a failure is no refusal."""
    return not quoted_words(message) and "nearest_passages" in json.dumps(message.blocks)


def quoted_words(message: Message) -> list[str]:
    """Return the quotes in a message's sources, as they are shown."""
    parts = [part for block in message.blocks if block["type"] == "rich_text" for part in block["elements"]]
    quotes = [part for part in parts if part["type"] == "rich_text_quote"]
    return ["".join(element.get("text", "") for element in part["elements"]) for part in quotes]


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0
