"""What was spent is recorded once, also when the database is away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import DatabaseUnavailable, ModelUnavailable, ServiceUnavailable
from bot.services.ports import Unclaimed
from bot.services.usage import UsageService
from bot.values import Answer, Spending, Usage, new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.services.asking import GOOD, answers_stored, ask, question, rows
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat


class Away(Sessions):
    """A database that is away for a number of transactions."""

    def __init__(self, sessions: Sessions, *, for_the_next: int = 10**6) -> None:
        self._real = sessions
        self.left = for_the_next

    @asynccontextmanager
    async def tenant(self, team_id: str) -> AsyncIterator[AsyncSession]:
        if self.left > 0:
            self.left -= 1
            raise DatabaseUnavailable("away")
        async with self._real.tenant(team_id) as session:
            yield session


def spending(tokens: int = 10) -> Spending:
    return Spending(Usage("m", tokens, 1), new_id())


async def recorded(sessions: Sessions, team_id: str = TEAM) -> list[int]:
    async with sessions.tenant(team_id) as session:
        return list(await session.scalars(text("SELECT prompt_tokens FROM usage_events ORDER BY prompt_tokens")))


async def test_what_is_noted_is_recorded_soon(sessions: Sessions) -> None:
    usage = UsageService(sessions)

    usage.note(TEAM, spending(1))
    usage.note(TEAM, spending(2))
    usage.note(OTHER_TEAM, spending(3))
    await usage.close()

    assert await recorded(sessions) == [1, 2]
    assert await recorded(sessions, OTHER_TEAM) == [3]


async def test_what_is_noted_twice_counts_once(sessions: Sessions) -> None:
    usage, spent = UsageService(sessions), spending()

    usage.note(TEAM, spent)
    usage.note(TEAM, spent)
    await usage.close()
    usage.note(TEAM, spent)
    await usage.close()

    assert await recorded(sessions) == [10]


async def test_an_estimate_is_not_recorded(sessions: Sessions) -> None:
    usage = UsageService(sessions)

    usage.note(TEAM, Spending(Usage("m", 5, 5, stated=False)))
    await usage.close()

    assert await recorded(sessions) == []


async def test_what_the_database_does_not_take_now_it_takes_later(sessions: Sessions) -> None:
    usage = UsageService(Away(sessions, for_the_next=3), retry_s=0.02)

    usage.note(TEAM, spending(1))
    await asyncio.sleep(0)
    usage.note(TEAM, spending(2))
    await usage.close()

    assert await recorded(sessions) == [1, 2]


async def test_what_the_database_never_takes_is_said_to_be_lost(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = UsageService(Away(sessions), retry_s=0.02)

    usage.note(TEAM, spending())
    await usage.close(grace_s=0.1)

    assert "usage.lost" in capsys.readouterr().out
    assert await recorded(sessions) == []


async def test_what_cannot_be_recorded_does_not_keep_the_rest_waiting(sessions: Sessions) -> None:
    usage = UsageService(sessions)

    with capture_logs() as logs:
        usage.note(TEAM, Spending(Usage("m", 2**40, 1)))
        await usage.close()
        usage.note(TEAM, spending())
        await usage.close()

    assert [entry["event"] for entry in logs] == ["usage.refused"]
    assert await recorded(sessions) == [10]


async def test_a_block_that_fails_has_its_spending_noted_and_one_that_ends_well_has_not(sessions: Sessions) -> None:
    usage = UsageService(sessions)

    def spend(tokens: int, *, end: BaseException | None = None) -> None:
        with usage.noting_failures(TEAM) as spent:
            spent.append(spending(tokens))
            if end is not None:
                raise end

    with pytest.raises(ZeroDivisionError):
        spend(1, end=ZeroDivisionError())
    spend(2)
    with pytest.raises(asyncio.CancelledError):
        spend(3, end=asyncio.CancelledError())
    await usage.close()

    assert await recorded(sessions) == [1, 3]


async def test_an_unused_service_closes_at_once(sessions: Sessions) -> None:
    await UsageService(sessions).close()


# What answers cost


async def test_what_was_spent_before_a_failure_is_counted_and_the_next_attempt_too(house: House) -> None:
    await house.share()

    class Unreachable(NotedReply):
        async def finish(self, answer: Answer) -> str:
            raise ServiceUnavailable("Slack is down")

    with pytest.raises(ServiceUnavailable):
        await house.answers(ScriptedChat(GOOD)).answer(question(), Unreachable(), claim=Unclaimed())
    await ask(house)
    await house.usage.close()

    used = await rows(house, "SELECT prompt_tokens, completion_tokens FROM usage_events")
    assert used == [{"prompt_tokens": 120, "completion_tokens": 7}] * 2


async def test_what_a_broken_stream_stated_is_counted(house: House) -> None:
    await house.share()
    chat = ScriptedChat("The office ", Usage("scripted", 30, 2), ModelUnavailable("cut"))

    with pytest.raises(ModelUnavailable):
        await house.answers(chat).answer(question(), NotedReply(), claim=Unclaimed())
    await house.usage.close()

    (used,) = await rows(house, "SELECT prompt_tokens, completion_tokens FROM usage_events")
    assert used == {"prompt_tokens": 30, "completion_tokens": 2}


async def test_a_record_whose_fate_nobody_knows_counts_once(house: House) -> None:
    await house.share()
    answers = house.answers(ScriptedChat(GOOD))
    spent: list[Spending] = []

    class Remembering(UsageService):
        @contextmanager
        def noting_failures(self, team_id: str) -> Iterator[list[Spending]]:
            with super().noting_failures(team_id) as spending:
                yield spending
                spent.extend(spending)

    answers._usage = Remembering(house.sessions)
    await answers.answer(question(), NotedReply(), claim=Unclaimed())

    for spending in spent:  # as after a commit whose acknowledgement was lost
        house.usage.note(TEAM, spending)
    await house.usage.close()

    assert len(spent) == 1
    assert len(await rows(house, "SELECT 1 FROM usage_events")) == 1


async def test_an_estimate_stands_with_its_answer_and_is_nobodys_bill(house: House) -> None:
    await house.share()

    await ask(house, GOOD, Usage("scripted", 50, 5, stated=False))
    await house.usage.close()

    assert await rows(house, "SELECT 1 FROM usage_events") == []
    assert [row["token_count"] for row in await answers_stored(house)] == [55]


async def test_where_no_model_was_asked_nothing_was_spent(house: House) -> None:
    asked = await ask(house)
    await house.usage.close()

    assert asked.chat.prompts == []
    assert await rows(house, "SELECT 1 FROM usage_events") == []
