"""Asking in a test: the question, what came of it, and what was stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from bot.services.ports import Unclaimed
from bot.values import Answer, Question, Usage
from tests.conftest import TEAM
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat

ROOT = "1700000000.000000"
GOOD = "The office opens at eight in the morning. [1]"


def question(
    words: str = "When does the office open?",
    *,
    ts: str = "1700000100.000000",
    thread_ts: str | None = None,
    channel: str = "C1",
    user: str = "U1",
) -> Question:
    return Question(TEAM, channel, user, ts, thread_ts or ts, words)


@dataclass(frozen=True)
class Asked:
    """What came of one question."""

    answer: Answer
    reply: NotedReply
    chat: ScriptedChat


async def ask(house: House, *script: str | Usage | Exception, about: Question | None = None, **options: Any) -> Asked:
    """Ask, and let the model say `script`."""
    chat, reply = ScriptedChat(*(script or (GOOD,))), NotedReply()
    answer = await house.answers(chat, **options).answer(about or question(), reply, claim=Unclaimed())
    assert answer is not None
    return Asked(answer, reply, chat)


async def rows(house: House, statement: str) -> list[dict[str, Any]]:
    async with house.sessions.tenant(TEAM) as session:
        return [dict(row) for row in (await session.execute(text(statement))).mappings()]


async def answers_stored(house: House) -> list[dict[str, Any]]:
    return await rows(house, "SELECT * FROM messages WHERE role = 'assistant' ORDER BY id")
