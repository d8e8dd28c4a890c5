"""What people do in these tests, and what they look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled
from bot.playground.state import Message
from tests.conftest import TEAM

File = tuple[str, bytes, str]

_WORDS = (
    b"# Opening hours\n\nThe office opens at eight in the morning and closes at six.\n\n"
    b"# Holidays\n\nEvery employee has twenty-seven days of holiday a year. Up to five days carry over into March.\n\n"
    b"# Travel\n\nTrain tickets are booked by the travel desk in second class.\n"
)
HANDBOOK: File = ("handbook.md", _WORDS, "text/markdown")


def note(name: str, words: str) -> File:
    """Return a text file."""
    return name, words.encode(), "text/plain"


async def shared(slack: LocalSlack, *files: File, channel: str = "general", who: str = "Ada") -> Message:
    """Share files, wait for the receipt, and return the message that shared them."""
    root = await slack.share(who, channel, *files)
    await slack.wait_for_reply(channel, root.ts, until=is_settled, timeout=60)
    return root


async def asked(
    slack: LocalSlack, question: str, root: Message, *, who: str = "Ada", channel: str = "general"
) -> Message:
    """Ask in the thread and return the whole reply."""
    message = await slack.mention(who, channel, question, thread_ts=root.ts)
    return await slack.wait_for_reply(channel, root.ts, after=message.ts, timeout=30)


async def count(sessions: Sessions, what: str) -> int:
    """Return the number of rows of a table, with or without a condition."""
    return int(await value(sessions, f"SELECT count(*) FROM {what}"))


async def value(sessions: Sessions, statement: str) -> Any:
    """Return the first value that a statement gives."""
    async with sessions.tenant(TEAM) as session:
        return await session.scalar(text(statement))


async def last_heard(sessions: Sessions, ago: str) -> None:
    """Let Slack have been heard for the last time so long ago: an interval as PostgreSQL writes it."""
    async with sessions.tenant(TEAM) as session:
        await session.execute(text(f"UPDATE workspaces SET heard_at = now() - interval '{ago}'"))


async def until(what: Callable[[], Any], *, within_s: float = 10) -> Any:
    """Return what `what` returns once that is truthy; it may be a coroutine function."""
    async with asyncio.timeout(within_s):
        while True:
            found = what()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            await asyncio.sleep(0.05)


async def worked_off(sessions: Sessions) -> None:
    """Return when no work is queued or running."""

    async def idle() -> bool:
        return await count(sessions, "work WHERE state IN ('queued', 'running')") == 0

    await until(idle, within_s=30)


def running_work(kind: str) -> list[asyncio.Task[Any]]:
    """Return the tasks of the bot that work on this kind of thing."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(f"{kind}:")]


def buttons(message: Message) -> list[str]:
    """Return the action ids of a message's buttons."""
    rows = [block.get("elements") or [] for block in message.blocks if block["type"] == "actions"]
    beside = [block["accessory"] for block in message.blocks if "accessory" in block]
    return [element["action_id"] for element in [*(e for row in rows for e in row), *beside]]


def calls_of(slack: LocalSlack, method: str) -> list[dict[str, Any]]:
    """Return the arguments of every call of a method that succeeded."""
    return [call.args for call in slack.calls if call.method == method and call.error is None]
