"""The offer to say more in private, over the wire: who presses the button gets what they may read, and nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.slack.blocks import OFFER
from bot.slack.http import EVENTS_PATH
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.contracts import Contracts
from tests.slack.acts import buttons, count, note, shared, worked_off
from tests.slack.conftest import StartBot
from tests.slack.test_http import over_http

PLANS = note("plans.txt", "The merger with Northwind is planned for the third of March.")
TEA = note("tea.txt", "The kitchens were merged last year. Northwind is a brand of tea in the canteen.")
QUESTION = "When is the merger with Northwind planned?"


async def pressed(slack: LocalSlack, who: str, offer: Message) -> Message:
    """Press the button, and return what the one who pressed sees in the end."""
    at = await slack.click(who, offer, "answer_privately")
    place = slack.store.channels[offer.channel_id]
    return await slack.wait_for_ephemeral(who, place, after=at, until=lambda m: m.text != "Looking …", timeout=20)


async def offered(slack: LocalSlack, who: str = "Ada", *, channel: str = "handbook") -> Message:
    """Ask where the plans may not be used."""
    question = await slack.mention(who, channel, QUESTION)
    return await slack.wait_for_reply(channel, question.ts, timeout=20)


async def test_the_asker_is_offered_more_and_gets_it_alone(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, PLANS, channel="leads")
    await shared(slack, TEA, channel="handbook")

    offer = await offered(slack)
    told = await pressed(slack, "Ada", offer)
    await worked_off(sessions)

    assert OFFER in words_of(offer)
    assert "answer_privately" in buttons(offer)
    assert not any(word in words_of(offer) for word in ("plans.txt", "March", "leads", "Ada"))
    assert any("third of March" in words for words in quoted_words(told))
    assert "plans.txt" in words_of(told)
    assert (told.seen_by, told.thread_ts) == (slack.store.user("Ada").id, offer.root_ts)
    assert slack.ephemerals("Ben", "handbook") == []
    assert not any("March" in words_of(reply) for reply in slack.replies("handbook", offer.root_ts))


async def test_who_else_presses_gets_what_they_may_read_themselves(slack: LocalSlack, bot: WebServer) -> None:
    await shared(slack, PLANS, channel="leads")
    slack.join("Cleo", "handbook")
    slack.add_channel("guests", kind="private", members=["Cleo"])
    await shared(
        slack, note("mine.txt", "The merger with Northwind is planned, says Cleo."), channel="guests", who="Cleo"
    )

    offer = await offered(slack)

    assert OFFER in words_of(offer)
    assert "found nothing" in words_of(await pressed(slack, "Ben", offer))
    guests = await pressed(slack, "Cleo", offer)
    assert "says Cleo" in words_of(guests)
    assert "March" not in words_of(guests)
    assert "third of March" in words_of(await pressed(slack, "Ada", offer))


async def test_who_has_lost_it_between_the_offer_and_the_click_gets_nothing(slack: LocalSlack, bot: WebServer) -> None:
    slack.join("Ben", "leads")
    await shared(slack, PLANS, channel="leads")
    offer = await offered(slack, "Ben")
    assert OFFER in words_of(offer)

    slack.leave("Ben", "leads")
    await slack.settle()
    assert "found nothing" in words_of(await pressed(slack, "Ben", offer))

    slack.change_user("Ben", deleted=True)
    await slack.settle()
    assert "account is deactivated" in words_of(await pressed(slack, "Ben", offer))


async def test_who_may_read_no_more_is_offered_nothing(slack: LocalSlack, bot: WebServer) -> None:
    await shared(slack, PLANS, channel="leads")

    answer = await offered(slack, "Ben")

    assert OFFER not in words_of(answer)
    assert buttons(answer) == ["nearest_passages"]


async def test_over_http_a_click_is_opened_again_from_its_form(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot(**over_http(slack)) as server:
        await slack.deliver_over_http(server.url + EVENTS_PATH)
        await shared(slack, PLANS, channel="leads")

        told = await pressed(slack, "Ada", await offered(slack))
        await worked_off(sessions)

    assert "third of March" in words_of(told)
    assert await count(sessions, "inbox WHERE convert_from(body, 'UTF8') LIKE '%block_actions%'") == 1


@pytest.mark.usefixtures("bot")
async def test_a_question_that_is_gone_is_asked_for_and_offers_keep_to_slacks_types(
    slack: LocalSlack, sessions: Sessions, shared_folder: Path
) -> None:
    await shared(slack, PLANS, channel="leads")
    offer = await offered(slack)
    await worked_off(sessions)
    async with sessions.tenant(slack.store.team_id) as session:
        await session.execute(text("DELETE FROM messages"))

    assert "ask it again" in words_of(await pressed(slack, "Ada", offer))
    Contracts(shared_folder).check_all(slack.events, slack.calls)
