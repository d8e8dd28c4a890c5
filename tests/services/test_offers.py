"""An answer in a channel offers its asker more alone when there is more, and nothing of it comes near the channel."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.repositories.memberships import MembershipRepository
from bot.services.ports import Unclaimed
from bot.services.writer import NOT_FOUND
from bot.values import Answer, AskedBefore, Channel, ChannelKind, Question, UserKind
from tests.conftest import TEAM
from tests.repositories.builders import counted_statements
from tests.services.asking import GOOD, ask, question
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat

SECRET = b"The merger with Northwind is planned for the third of March."
VAGUE = b"The canteen had a merger of two kitchens, and Northwind is a brand of its tea."
MERGER = "When is the merger with Northwind planned?"
SAYS_TEA = "Northwind is a brand of tea. [1]"


@pytest.fixture
async def house(house: House) -> House:
    """The house, with the plans in the private channel G1, where U1 is, and a guest U8 in C2 and the private G2."""
    house.slack.add_person("U8", kind=UserKind.GUEST)
    house.slack.add_channel("C2", "U1", "U2", "U8", "U9", has_outsiders=True)
    house.slack.add_channel("G2", "U8", kind=ChannelKind.PRIVATE, has_outsiders=True)
    await house.share(SECRET, file_id="FG", filename="plans.txt", channel="G1")
    for channel in ("C1", "C2", "G2"):
        await house.audiences.refresh(TEAM, [channel])
    house.slack.asked.clear()
    return house


async def asked(house: House, about: Question, *script: str) -> tuple[Answer, ScriptedChat]:
    done = await ask(house, *(script or (GOOD,)), about=about)
    return done.answer, done.chat


async def test_when_nothing_is_found_here_and_something_is_elsewhere_it_is_offered(house: House) -> None:
    answer, chat = await asked(house, question(MERGER))

    assert (answer.text, answer.found, answer.offers_more) == (NOT_FOUND, False, True)
    assert answer.citations == ()
    assert chat.prompts == []


async def test_when_something_better_is_elsewhere_it_is_offered_and_the_model_never_sees_it(house: House) -> None:
    await house.share(VAGUE, file_id="FT", filename="tea.txt", channel="C1")

    answer, chat = await asked(house, question(MERGER), SAYS_TEA)

    assert answer.offers_more
    assert [passage.filename for passage in chat.prompts[0].passages] == ["tea.txt"]
    assert "March" not in str(chat.prompts)
    assert "plans.txt" not in repr(answer)


async def test_what_is_said_best_in_the_channel_needs_no_offer(house: House) -> None:
    await house.share(SECRET, file_id="FC", filename="also.txt", channel="C1")

    answer, _ = await asked(house, question(MERGER), "The merger is planned for the third of March. [1]")

    assert answer.found
    assert not answer.offers_more


@pytest.mark.parametrize(
    ("user", "channel"),
    [("U2", "C1"), ("U8", "C2"), ("U9", "C2"), ("U7", "C2")],
    ids=["another member", "a guest", "a guest of one channel", "somebody of another company"],
)
async def test_nobody_is_offered_what_they_may_not_read(house: House, user: str, channel: str) -> None:
    house.slack.add_person("U7", kind=UserKind.EXTERNAL)
    await house.share(SECRET, file_id="FC", filename="public.txt", channel="C1" if channel == "C2" else "G1")

    answer, chat = await asked(house, question(MERGER, user=user, channel=channel))

    assert not answer.found
    assert not answer.offers_more
    assert chat.prompts == []


async def test_a_guest_is_offered_what_is_in_their_own_channels(house: House) -> None:
    await house.share(SECRET, file_id="FG2", filename="ours.txt", channel="G2", user="U8")

    answer, _ = await asked(house, question(MERGER, user="U8", channel="C2"))

    assert answer.offers_more


async def test_where_outsiders_read_along_a_member_is_offered_what_is_public(house: House) -> None:
    await house.share(SECRET, file_id="FC", filename="public.txt", channel="C1")

    answer, _ = await asked(house, question(MERGER, user="U2", channel="C2"))

    assert not answer.found
    assert answer.offers_more


async def test_an_answer_to_the_asker_alone_offers_nothing_it_says_it(house: House) -> None:
    reply = NotedReply()

    answer = await house.answers(ScriptedChat("On the third of March. [1]")).answer(
        question(MERGER, channel="private:U1"), reply, private=True, claim=Unclaimed()
    )

    assert answer is not None
    assert answer.found
    assert not answer.offers_more


async def test_what_its_asker_has_lost_meanwhile_is_not_offered(house: House) -> None:
    house.slack.channels["G1"] = Channel("G1", ChannelKind.PRIVATE, "g1", has_outsiders=False)
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE channels SET synced_at = now() - interval '90 s' WHERE channel_id = 'G1'"))

    answer, _ = await asked(house, question(MERGER))

    assert not answer.offers_more
    assert house.slack.asked == ["G1"], "Slack is asked about that channel alone"


async def test_while_slack_does_not_say_what_holds_nothing_is_offered_and_the_answer_comes(house: House) -> None:
    await house.share()
    async with house.sessions.tenant(TEAM) as session:
        await MembershipRepository(session).record_channel_change(TEAM, "G1")
    house.slack.is_down = True

    answer, _ = await asked(house, question(MERGER))

    assert (answer.found, answer.offers_more) == (False, False)


async def test_an_offer_costs_one_statement_and_only_who_could_read_more_pays(house: House) -> None:
    await house.share()
    costs = {}
    for user in ("U1", "U3"):
        with counted_statements(house.engine) as statements:
            await ask(house, about=question(user=user, ts=f"17000001{user[1]}0.000000"))
        costs[user] = len(statements)

    assert costs == {"U1": 4, "U3": 3}


async def test_a_question_is_asked_again_with_what_it_refers_to(house: House) -> None:
    await house.share()
    answers = house.answers(ScriptedChat(GOOD))
    first = question("When does the office open?")
    await answers.answer(first, NotedReply(), claim=Unclaimed())
    later = question("And on Fridays?", ts="1700000200.000000", thread_ts=first.ts)
    await answers.answer(later, NotedReply(), claim=Unclaimed())

    assert await answers.asked_before(TEAM, channel_id="C1", ts=first.ts) == AskedBefore(
        first.text, (f"C1:{first.ts}",)
    )
    assert await answers.asked_before(TEAM, channel_id="C1", ts=later.ts) == AskedBefore(
        f"{first.text} {later.text}", (f"C1:{first.ts}", f"C1:{later.ts}")
    )
    assert await answers.asked_before(TEAM, channel_id="C1", ts="1.5") is None
    assert await answers.asked_before(TEAM, channel_id="C2", ts=first.ts) is None
