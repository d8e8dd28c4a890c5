"""One question from end to end, the bot in this process: the statements it sends, and where the time goes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import sqlalchemy
from sqlalchemy import event

from benchmarks.place import temporary_home
from benchmarks.result import Measure
from bot.app import running
from bot.config import Settings
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled
from bot.playground.state import Message
from bot.smoke import IDLE_S, playground_settings, shipped_cases

_CARRIERS = "(inbox|work|deliveries|channel_paces|tombstones|workspaces|procrastinate_jobs)"
CLAIM = re.compile(
    rf"\s*(WITH \w+ AS( MATERIALIZED)? \(\s*)?(INSERT INTO|UPDATE|SELECT [^;]*? FROM|SELECT EXISTS \(SELECT 1 FROM) {_CARRIERS}\b"
    r"|\s*SELECT (unnest\(procrastinate|pg_advisory)"
)
"""Statements of the inbox, the queue, the pace and deliveries, which the limit leaves out; the tenant's scope is another."""

SCOPE = "enter_workspace("


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement, and the monotonic seconds at which it went out and came back."""

    text: str
    at: float
    back: float


@contextmanager
def statements() -> Iterator[list[Sent]]:
    """Collect every statement that any engine of this process sends."""
    sent: list[Sent] = []
    begun: dict[int, float] = {}

    def before(_connection: object, cursor: object, *_: object) -> None:
        begun[id(cursor)] = time.monotonic()

    def after(_connection: object, cursor: object, statement: str, *_: object) -> None:
        sent.append(Sent(statement, begun.pop(id(cursor)), time.monotonic()))

    listeners = (("before_cursor_execute", before), ("after_cursor_execute", after))
    for name, listener in listeners:
        event.listen(sqlalchemy.Engine, name, listener)
    try:
        yield sent
    finally:
        for name, listener in listeners:
            event.remove(sqlalchemy.Engine, name, listener)


async def measure(*, questions: int = 10) -> list[Measure]:
    """Ask the shipped questions of one document; the first two are for warming up."""
    case = shipped_cases()[0]
    asks = [turn.ask for turn in case.turns if turn.expect]
    counts: list[list[str]] = []
    stages: list[list[float]] = []
    with temporary_home() as home:
        async with LocalSlack() as slack:
            slack.add_channel("general", members=[slack.add_user("Ada")])
            async with running(playground_settings(Settings(), slack, home=home)):
                root = await slack.share("Ada", "general", *case.files)
                await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=120)
                for number in range(questions + 2):
                    await asyncio.sleep(IDLE_S)
                    with statements() as sent:
                        question = await _ask(slack, root, asks[number % len(asks)])
                    if number >= 2:
                        counts.append([s.text for s in sent if not CLAIM.match(s.text) and SCOPE not in s.text])
                        stages.append(_stages(slack, question, sent))
    worst = max(counts, key=len)
    return [
        Measure("turn_statements", "Statements per answered question", len(worst), at_most=3,
                note=f"most of {questions}: {', '.join(_title(statement) for statement in worst)}"),
        Measure("turn_first_text_ms", "First text, bot and Slack in one process", _median(stages, -1), "ms",
                note=_where(stages)),
    ]  # fmt: skip


async def _ask(slack: LocalSlack, root: Message, ask: str) -> Message:
    """Ask, and return the question when all that it means is done."""
    question = await slack.mention("Ada", "general", ask, thread_ts=root.ts)
    await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=60)
    await asyncio.sleep(0.3)  # what is written after the answer stands
    return question


STAGES = ("stored", "claimed", "turn begun", "search sent", "found", "sentences scored", "first text")


def _stages(slack: LocalSlack, question: Message, sent: Sequence[Sent]) -> list[float]:
    """Return the milliseconds from the event's sending to the end of each of STAGES."""
    start = min(delivery.queued_at for delivery in slack.delivered(question))

    def first(mark: str) -> Sent:
        return next(s for s in sent if mark in s.text and s.at >= start)

    stored, search, reply = first("INSERT INTO work"), first("asked AS MATERIALIZED"), first("INSERT INTO deliveries")
    claimed = next(s for s in sent if "UPDATE work SET epoch = epoch + 1" in s.text and s.at >= stored.back)
    begun = first("INSERT INTO conversations")
    first_text = slack.timing(question).first_text_ms
    moments = (stored.back, claimed.back, begun.back, search.at, search.back, reply.at)
    return [*(1000 * (moment - start) for moment in moments), first_text if first_text is not None else float("nan")]


def _median(stages: Sequence[Sequence[float]], position: int) -> float:
    return median(each[position] for each in stages)


def _where(stages: Sequence[Sequence[float]]) -> str:
    """Return how long each stage took, in words."""
    shares = [[end - begin for begin, end in zip([0.0, *each], each, strict=False)] for each in stages]
    return "of it " + ", ".join(f"{name} {_median(shares, i):.0f}" for i, name in enumerate(STAGES))


def _title(statement: str) -> str:
    if "INSERT INTO conversations" in statement:
        return "begin the turn"
    if "asked AS MATERIALIZED" in statement:
        return "search"
    if "INSERT INTO usage_events" in statement:
        return "record the answer"
    return " ".join(statement.split())[:60]
