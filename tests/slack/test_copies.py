"""A question that somebody asks anew by the button: it stays theirs no longer than its author's, and its click holds no words."""

from __future__ import annotations

import pytest

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.services.personal import PersonalDataService
from bot.slack.blocks import OFFER
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.slack.acts import count, shared, worked_off
from tests.slack.test_deletions import left_of
from tests.slack.test_offers import PLANS, offered, pressed

HERE = "messages WHERE role = 'user' AND channel_id LIKE 'private:%'"
ANSWERS_HERE = "messages WHERE role = 'assistant' AND channel_id LIKE 'private:%'"


async def test_of_a_click_nothing_is_stored_of_the_answer_under_which_it_was_made(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, PLANS, channel="leads")
    offer = await offered(slack)
    assert "I found nothing about that" in words_of(offer)

    assert "third of March" in words_of(await pressed(slack, "Ada", offer))
    await worked_off(sessions)

    assert await count(sessions, "inbox WHERE position('answer_privately' IN convert_from(body, 'UTF8')) > 0") == 1
    assert "inbox.body" not in await left_of(sessions, "I found nothing about that")


async def test_a_question_goes_from_where_somebody_else_asked_it_anew(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    slack.join("Ben", "leads")
    await shared(slack, PLANS, channel="leads")
    question = await slack.mention("Ada", "handbook", "When is the merger with Northwind planned, asks my quokka?")
    offer = await slack.wait_for_reply("handbook", question.ts, timeout=20)
    assert OFFER in words_of(offer)
    assert "third of March" in words_of(await pressed(slack, "Ben", offer))
    await worked_off(sessions)
    assert await count(sessions, HERE) == 1

    await slack.delete(question)
    await slack.settle()
    await worked_off(sessions)

    assert await left_of(sessions, "quokka") == []
    assert await count(sessions, HERE) == 0
    assert await count(sessions, ANSWERS_HERE) == 0


@pytest.mark.usefixtures("bot")
async def test_a_question_goes_from_there_with_its_author(slack: LocalSlack, sessions: Sessions) -> None:
    slack.join("Ben", "leads")
    await shared(slack, PLANS, channel="leads", who="Ben")
    await slack.mention("Ben", "handbook", "Hello")
    question = await slack.mention("Ada", "handbook", "When is the merger with Northwind planned, asks my quokka?")
    offer = await slack.wait_for_reply("handbook", question.ts, timeout=20)
    assert "third of March" in words_of(await pressed(slack, "Ben", offer))
    await worked_off(sessions)

    await PersonalDataService(sessions).erase(TEAM, slack.store.user("Ada").id)

    assert await left_of(sessions, "quokka") == []
    assert await count(sessions, HERE) == 0


@pytest.mark.usefixtures("bot")
async def test_a_question_goes_with_the_earlier_one_that_it_needs(slack: LocalSlack, sessions: Sessions) -> None:
    slack.join("Ben", "leads")
    await shared(slack, PLANS, channel="leads")
    first = await slack.mention("Ada", "handbook", "Is the merger with Northwind and its quokka planned?")
    await slack.wait_for_reply("handbook", first.ts, timeout=20)
    follow_up = await slack.mention("Ben", "handbook", "When is it planned?", thread_ts=first.ts)
    offer = await slack.wait_for_reply("handbook", first.ts, after=follow_up.ts, timeout=20)
    assert OFFER in words_of(offer)
    assert "third of March" in words_of(await pressed(slack, "Ben", offer))
    await worked_off(sessions)
    assert await count(sessions, f"{HERE} AND content LIKE '%quokka%'") == 1

    await slack.delete(first)
    await slack.settle()
    await worked_off(sessions)

    assert await left_of(sessions, "quokka") == []
