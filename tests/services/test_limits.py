"""What is too much, who is told, and what it costs nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from bot.db.engine import Sessions
from bot.errors import TooManyRequests
from bot.repositories.usage import UsageRepository
from bot.services.limits import Kind, Limits, LimitService
from bot.services.ports import Unclaimed
from bot.values import Audience, Role, Spending, Turn, Usage
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import counted_statements, exhaust
from tests.services.asking import ask, question, rows
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat


def asked(number: int) -> str:
    return f"17000001{number:02}.000000"


async def refused(what: Callable[[], Awaitable[object]]) -> TooManyRequests:
    with pytest.raises(TooManyRequests) as error:
        await what()
    return error.value


# Requests


async def test_ten_minutes_worth_is_let_in_at_once_and_no_more(sessions: Sessions) -> None:
    service = LimitService(sessions, Limits(user_requests=1))

    outcomes = await asyncio.gather(
        *(service.admit(TEAM, "U1", Kind.REQUESTS) for _ in range(30)), return_exceptions=True
    )

    turned_away = [outcome for outcome in outcomes if isinstance(outcome, TooManyRequests)]
    assert (outcomes.count(None), len(turned_away)) == (10, 20)
    assert all(0 < error.retry_after_s <= 60 for error in turned_away)
    assert turned_away[0].user_message.startswith(
        "That was more than I take from one person: 1 a minute, 10 at once. Please try again in "
    )


async def test_one_persons_flood_is_nobody_elses(sessions: Sessions) -> None:
    service = LimitService(sessions, Limits(user_requests=1, user_uploads=1))
    await exhaust(sessions, "requests:U1")

    await refused(lambda: service.admit(TEAM, "U1", Kind.REQUESTS))

    await service.admit(TEAM, "U2", Kind.REQUESTS)
    await service.admit(TEAM, "U1", Kind.UPLOADS)
    await service.admit(OTHER_TEAM, "U1", Kind.REQUESTS)


async def test_what_isnt_limited_costs_no_statement(house: House) -> None:
    with counted_statements(house.engine) as statements:
        await LimitService(house.sessions, Limits()).admit(TEAM, "U1", Kind.REQUESTS)

    assert statements == []


# Questions


async def full_at(house: House) -> dict[str, datetime]:
    return {row["name"]: row["full_at"] for row in await rows(house, "SELECT name, full_at FROM rate_buckets")}


async def test_a_question_too_many_is_refused_before_anything_is_searched_written_or_stored(house: House) -> None:
    await house.share()
    limits, chat, reply = Limits(user_questions=1), ScriptedChat("[1]"), NotedReply()
    await exhaust(house.sessions, "questions:U1")

    error = await refused(
        lambda: house.answers(chat, limits=limits).answer(question(ts=asked(0)), reply, claim=Unclaimed())
    )

    assert error.user_message.startswith(
        "You've asked more questions than I take from one person: 1 a minute, 10 at once. I answer again in "
    )
    assert 0 < error.retry_after_s <= 7_200
    assert chat.prompts == []
    assert reply.events == []
    assert await rows(house, "SELECT 1 FROM messages") == []
    assert (await ask(house, about=question(ts=asked(1), user="U2"), limits=limits)).answer.found


async def test_what_is_refused_takes_nothing_from_what_all_share(house: House) -> None:
    await house.share()
    limits = Limits(user_questions=1, workspace_questions=2)
    await ask(house, about=question(ts=asked(0)), limits=limits)
    await exhaust(house.sessions, "questions:U1")
    before = await full_at(house)

    await refused(lambda: ask(house, about=question(ts=asked(1)), limits=limits))

    assert before.keys() == {"questions", "questions:U1"}
    assert await full_at(house) == before


async def test_all_together_may_ask_too_much_too(house: House) -> None:
    await house.share()
    await exhaust(house.sessions, "questions")

    error = await refused(lambda: ask(house, limits=Limits(workspace_questions=1)))

    assert error.user_message.startswith(
        "Everybody here together has asked more questions than I take: 1 a minute, 10 at once."
    )


async def test_a_question_that_is_tried_again_counts_once(house: House) -> None:
    await house.share()
    limits = Limits(user_questions=1)
    await ask(house, about=question(ts=asked(0)), limits=limits)
    before = await full_at(house)

    await ask(house, about=question(ts=asked(0)), limits=limits)

    assert await full_at(house) == before


async def test_a_turn_with_limits_costs_three_statements_too(house: House) -> None:
    await house.share()

    with counted_statements(house.engine) as statements:
        await ask(house, limits=Limits(user_questions=30, workspace_questions=600, workspace_tokens_per_day=10**6))

    assert len(statements) <= 3, statements


async def test_who_asks_past_slack_is_limited_alike(house: House) -> None:
    limits, user_id = Limits(user_questions=1), await house.user_id()
    answers, audience = house.answers(ScriptedChat("[1]"), limits=limits), Audience(TEAM, frozenset({"C1"}))
    await answers.ask(audience, "When does the office open?", user_id=user_id)
    await exhaust(house.sessions, "questions:U1")

    await refused(lambda: answers.ask(audience, "When does the office open?", user_id=user_id))

    assert len(await rows(house, "SELECT 1 FROM conversations")) == 1
    assert list(await full_at(house)) == ["questions:U1"], "what they ask past Slack comes from the same bucket"


async def test_a_message_read_with_its_thread_that_an_edit_makes_a_question_counts_once(house: House) -> None:
    await house.share()
    house.threads.turns = [Turn(Role.USER, "When does it open?", author="Ben", ts=asked(1), author_id="U2")]
    await ask(house, about=question(ts=asked(2), thread_ts=asked(0)))
    limits, edited = (
        Limits(user_questions=1),
        question("When does the office open?", ts=asked(1), thread_ts=asked(0), user="U2"),
    )
    assert await full_at(house) == {}

    await ask(house, about=edited, limits=limits)
    before = await full_at(house)
    await ask(house, about=edited, limits=limits)

    assert list(before) == ["questions:U2"]
    assert await full_at(house) == before
    stored = await rows(house, f"SELECT content FROM messages WHERE slack_ts = '{asked(1)}'")
    assert [row["content"] for row in stored] == ["When does the office open?"]


# The day's tokens


async def spend(sessions: Sessions, tokens: int, *, team_id: str = TEAM) -> None:
    async with sessions.tenant(team_id) as session:
        await UsageRepository(session).record(team_id, [Spending(Usage("model", tokens - 1, 1))])


async def test_when_the_days_tokens_are_spent_no_model_is_asked(house: House) -> None:
    await house.share()
    limits, chat, user_id = Limits(workspace_tokens_per_day=1_000), ScriptedChat("[1]"), await house.user_id()
    await spend(house.sessions, 999)
    await ask(house, about=question(ts=asked(0)), limits=limits)
    await spend(house.sessions, 1)
    answers, audience = house.answers(chat, limits=limits), Audience(TEAM, frozenset({"C1"}))

    by_mention = await refused(lambda: answers.answer(question(ts=asked(1)), NotedReply(), claim=Unclaimed()))
    by_api = await refused(lambda: answers.ask(audience, "When does the office open?", user_id=user_id))

    assert chat.prompts == []
    for error in (by_mention, by_api):
        assert "today" in error.user_message
        assert 0 < error.retry_after_s <= 86_400


async def test_yesterdays_tokens_and_another_workspaces_are_not_todays(house: House) -> None:
    await house.share()
    await spend(house.sessions, 5_000)
    await rows(house, "UPDATE usage_events SET created_at = created_at - interval '1 day' RETURNING id")
    await spend(house.sessions, 5_000, team_id=OTHER_TEAM)

    answered = await ask(house, limits=Limits(workspace_tokens_per_day=1_000))

    assert answered.answer.found
