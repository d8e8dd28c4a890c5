"""Who may read what, by what Slack said last, and what happens when that has aged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import Forbidden, NotFound, ServiceUnavailable
from bot.repositories.channels import ChannelRepository, personal_channel_id
from bot.repositories.memberships import MembershipRepository
from bot.services.errands import ingest_errand
from bot.services.ports import Unclaimed
from bot.values import Channel, ChannelKind, Person, UserKind
from tests.conftest import TEAM
from tests.services.asking import ROOT, ask, question
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat

EVERYWHERE = ("C1", "C2", "G1")


@pytest.fixture
async def known(house: House) -> House:
    """A workspace whose channels were just read, with something shared in each."""
    for number, channel in enumerate(EVERYWHERE):
        await house.share(f"Note {number}.".encode(), file_id=f"F{number}", filename=f"{number}.txt", channel=channel)
    for user in house.slack.people:
        await house.user_id(user)
    house.slack.asked.clear()
    return house


async def of(house: House, user: str, channel: str = "C1", *, private: bool = False) -> set[str]:
    """Return the channels an answer to `user` in `channel` may use, personal places left out."""
    audience = await house.audiences.of(TEAM, channel_id=channel, user_id=user, private=private)
    return {channel_id for channel_id in audience.channel_ids if not channel_id.startswith("personal:")}


async def age(house: House, seconds: int, *channels: str) -> None:
    statement = text("UPDATE channels SET synced_at = now() - make_interval(secs => :age) WHERE channel_id = ANY(:ids)")
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(statement, {"age": seconds, "ids": list(channels or EVERYWHERE)})


# The rule


async def test_an_answer_in_a_channel_of_members_uses_it_and_public_ones(known: House) -> None:
    assert await of(known, "U1", "C1") == {"C1", "C2"}


async def test_where_outsiders_read_along_only_their_channel_is_used(known: House) -> None:
    assert await of(known, "U1", "C2") == {"C2"}


async def test_an_answer_in_a_private_channel_uses_it_too(known: House) -> None:
    assert await of(known, "U1", "G1") == {"C1", "C2", "G1"}


async def test_an_answer_to_the_asker_alone_uses_all_they_may_read(known: House) -> None:
    assert await of(known, "U1", private=True) == {"C1", "C2", "G1"}
    assert await of(known, "U2", private=True) == {"C1", "C2"}


async def test_a_guest_has_the_channels_they_are_in(known: House) -> None:
    assert await of(known, "U9", "C2") == {"C2"}
    assert await of(known, "U9", private=True) == {"C2"}


async def test_somebody_of_another_company_is_no_member(known: House) -> None:
    known.slack.add_person("U7", kind=UserKind.EXTERNAL)

    assert await of(known, "U7", private=True) == set()


async def test_a_personal_place_is_read_by_its_owner_alone(known: House) -> None:
    owner = personal_channel_id(await known.user_id("U1"))

    for user, private, may in (("U1", True, True), ("U1", False, False), ("U2", True, False)):
        audience = await known.audiences.of(TEAM, channel_id="C1", user_id=user, private=private)
        assert (owner in audience.channel_ids) is may


async def test_an_administrator_reads_no_more_than_others(known: House) -> None:
    assert await of(known, "U3", private=True) == {"C1", "C2"}


# What has aged


async def test_what_was_read_lately_is_not_read_again(known: House) -> None:
    await of(known, "U1")

    assert known.slack.asked == []


async def test_a_private_channel_ages_in_a_minute_and_public_ones_in_five(known: House) -> None:
    await age(known, 90)
    await of(known, "U1", private=True)
    assert known.slack.asked == ["G1"]

    known.slack.asked.clear()
    await age(known, 301, "C1", "C2")
    await of(known, "U1", private=True)
    assert sorted(known.slack.asked) == ["C1", "C2"]


async def test_channels_where_nothing_was_shared_are_not_looked_up(known: House) -> None:
    known.slack.add_channel("C5", "U1")
    await known.audiences.refresh(TEAM, ["C5"])
    await age(known, 3600, "C5")
    known.slack.asked.clear()

    assert "C5" in await of(known, "U1", "C1")
    assert known.slack.asked == []
    await of(known, "U1", "C5")
    assert known.slack.asked == ["C5"], "but for the place of the answer"


async def test_who_left_a_channel_reads_it_no_more(known: House) -> None:
    known.slack.channels["G1"] = Channel("G1", ChannelKind.PRIVATE, "g1", has_outsiders=False)
    await age(known, 90)

    assert "G1" not in await of(known, "U1", private=True)


async def test_who_joined_a_channel_reads_it_from_now_on(known: House) -> None:
    known.slack.add_channel("G1", "U1", "U2", kind=ChannelKind.PRIVATE)
    await known.audiences.refresh(TEAM, ["G1"])

    assert "G1" in await of(known, "U2", private=True)


async def test_a_channel_that_strangers_joined_is_found_out_before_the_answer(known: House) -> None:
    known.slack.add_channel("C1", "U1", "U2", has_outsiders=True)
    await age(known, 301)

    assert await of(known, "U1", "C1") == {"C1"}


async def test_a_channel_slack_does_not_show_us_any_more_is_forgotten(known: House) -> None:
    del known.slack.channels["G1"]
    await age(known, 90)

    assert await of(known, "U1", private=True) == {"C1", "C2"}
    async with known.sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        assert await channels.get(TEAM, "G1") is None
        assert await channels.list_members(TEAM, "G1") == []


async def test_an_unknown_place_is_one_with_strangers_in_it(known: House) -> None:
    assert await of(known, "U1", "C404") == {"C404"}
    assert known.slack.asked == ["C404"]


async def test_a_place_that_turns_out_to_be_of_members_lets_in_no_channel_that_has_aged(known: House) -> None:
    async with known.sessions.tenant(TEAM) as session:
        await ChannelRepository(session).delete(TEAM, "C1")
    await age(known, 301, "C2")
    known.slack.add_channel("C2", "U1", kind=ChannelKind.PRIVATE)

    assert await of(known, "U2", "C1") == {"C1"}
    assert known.slack.asked == ["C1", "C2"]


# What Slack told of


async def tell(house: House, change: Callable[[MembershipRepository], Awaitable[object]]) -> None:
    """Let Slack tell of a change."""
    async with house.sessions.tenant(TEAM) as session:
        await change(MembershipRepository(session))


async def test_a_channel_that_changed_is_read_again_however_young_it_is(known: House) -> None:
    known.slack.channels["G1"] = Channel("G1", ChannelKind.PRIVATE, "g1", has_outsiders=False)

    await tell(known, lambda told: told.record_channel_change(TEAM, "G1"))

    assert "G1" not in await of(known, "U1", private=True)
    assert known.slack.asked == ["G1"]


async def test_a_channel_that_opened_is_read_by_who_could_not_read_it_before(known: House) -> None:
    assert await of(known, "U2", private=True) == {"C1", "C2"}
    known.slack.add_channel("G1", "U1")

    await tell(known, lambda told: told.record_channel_change(TEAM, "G1"))

    assert "G1" in await of(known, "U2", private=True)
    assert known.slack.asked == ["G1"]


async def test_a_channel_that_may_have_opened_holds_nobody_up(known: House) -> None:
    await tell(known, lambda told: told.record_channel_change(TEAM, "G1"))
    known.slack.is_down = True

    assert await of(known, "U2", private=True) == {"C1", "C2"}


async def test_what_changes_while_it_is_read_is_read_again(known: House) -> None:
    await age(known, 90, "G1")

    async def leave() -> None:
        known.slack.meanwhile = None
        known.slack.channels["G1"] = Channel("G1", ChannelKind.PRIVATE, "g1", has_outsiders=False)
        await tell(known, lambda told: told.delete_member(TEAM, "G1", "U1"))

    known.slack.meanwhile = leave

    assert "G1" not in await of(known, "U1", private=True)
    assert await of(known, "U1", private=True) == {"C1", "C2"}, "nor at the next question"


def after_reading(house: House, monkeypatch: pytest.MonkeyPatch, change: Callable[[], Awaitable[object]]) -> None:
    """Let a change come in right after the channels of a question were read and stored, once."""
    refresh, changes = house.audiences.refresh, [change]

    async def refreshed(*arguments: Any, **named: Any) -> set[str]:
        done = await refresh(*arguments, **named)
        if changes:
            await changes.pop()()
        return done

    monkeypatch.setattr(house.audiences, "refresh", refreshed)


@pytest.mark.parametrize("way", ["command", "mention"])
async def test_what_changes_right_after_it_was_read_is_read_again(
    known: House, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    await age(known, 90, "G1")

    async def open_up() -> None:
        known.slack.channels["G1"] = replace(known.slack.channels["G1"], has_outsiders=True)
        await tell(known, lambda told: told.record_channel_change(TEAM, "G1"))

    after_reading(known, monkeypatch, open_up)

    if way == "command":
        assert await of(known, "U1", "G1") == {"G1"}
    else:
        asked = await ask(known, about=question("What do the notes say?", channel="G1"))
        assert {passage.channel_id for passage in asked.chat.prompts[0].passages} == {"G1"}
    assert known.slack.asked.count("G1") == 2


async def test_what_changes_while_files_are_waited_for_is_read_again(known: House) -> None:
    async with known.sessions.tenant(TEAM) as session:
        await known.queue.enqueue(session, ingest_errand(TEAM, "F9", channel_id="G1", message_ts=ROOT, thread_ts=ROOT))

    class Waiting(NotedReply):
        async def show_status(self, status: str) -> None:
            known.slack.channels["G1"] = replace(known.slack.channels["G1"], has_outsiders=True)
            await tell(known, lambda told: told.record_channel_change(TEAM, "G1"))

    chat = ScriptedChat("Nothing.")
    asked = question("What do the notes say?", channel="G1", thread_ts=ROOT)

    await known.answers(chat, file_wait_s=0.1).answer(asked, Waiting(), claim=Unclaimed())

    assert {passage.channel_id for passage in chat.prompts[0].passages} == {"G1"}


async def test_what_changes_as_often_as_it_is_read_is_not_known(known: House) -> None:
    await tell(known, lambda told: told.record_channel_change(TEAM, "G1"))
    known.slack.meanwhile = lambda: tell(known, lambda told: told.record_channel_change(TEAM, "G1"))

    with pytest.raises(ServiceUnavailable):
        await of(known, "U1", private=True)


async def test_who_became_a_guest_is_one_at_once_whatever_is_remembered_of_them(known: House) -> None:
    assert await of(known, "U2", private=True) == {"C1", "C2"}
    known.slack.add_person("U2", kind=UserKind.GUEST)
    known.slack.add_channel("C1", "U1")

    await tell(known, lambda told: told.record_person_change(TEAM, known.slack.people["U2"]))

    assert await of(known, "U2", private=True) == {"C2"}
    assert (await known.audiences.of_user(TEAM, user_id := await known.user_id("U2"))).channel_ids == {
        "C2",
        personal_channel_id(user_id),
    }


async def test_by_the_api_too_a_person_is_who_slack_says_they_are(known: House) -> None:
    user_id = await known.user_id("U2")
    known.slack.add_person("U2", kind=UserKind.GUEST)

    audience = await known.audiences.of_user(TEAM, user_id)

    assert audience.channel_ids == {"C1", "C2", personal_channel_id(user_id)}, "the channels they are in"
    known.slack.add_channel("C1", "U1")
    await known.audiences.refresh(TEAM, ["C1"])
    assert "C1" not in (await known.audiences.of_user(TEAM, user_id)).channel_ids


async def test_who_is_deactivated_is_refused_everywhere(known: House) -> None:
    user_id = await known.user_id("U1")
    await of(known, "U1")
    known.slack.people["U1"] = Person("U1", "Ada", is_deactivated=True)
    await tell(known, lambda told: told.record_person_change(TEAM, known.slack.people["U1"]))

    for refused in (
        of(known, "U1"),
        known.audiences.of_user(TEAM, user_id),
        known.documents.viewer(TEAM, "U1"),
        known.answers().answer(question(), NotedReply(), claim=Unclaimed()),
    ):
        with pytest.raises(Forbidden) as said:
            await refused
        assert "deactivated" in said.value.user_message


async def test_while_slack_does_not_say_who_somebody_is_nothing_is_read(known: House) -> None:
    await of(known, "U1")
    await tell(known, lambda told: told.record_person_change(TEAM, Person("U2", "Bob", is_deactivated=True)))
    known.slack.is_down = True

    with pytest.raises(ServiceUnavailable):
        await of(known, "U1")


# When Slack doesn't answer


async def test_when_slack_does_not_answer_what_has_aged_is_not_relied_on(known: House) -> None:
    await age(known, 301)
    known.slack.is_down = True

    with pytest.raises(ServiceUnavailable):
        await of(known, "U1")
    with pytest.raises(ServiceUnavailable):
        await known.audiences.of_user(TEAM, await known.user_id("U1"))


async def test_an_outage_forgets_no_channel(known: House) -> None:
    known.slack.is_down = True
    with pytest.raises(ServiceUnavailable):
        await known.audiences.refresh(TEAM, EVERYWHERE)

    assert await of(known, "U1", "G1") == {"C1", "C2", "G1"}, "it was read lately, and still stands"


async def test_what_was_read_lately_holds_while_slack_is_away(known: House) -> None:
    known.slack.is_down = True

    assert await of(known, "U1") == {"C1", "C2"}


async def test_somebody_slack_does_not_know_has_no_audience(known: House) -> None:
    with pytest.raises(NotFound):
        await of(known, "U404")


# One person by themselves


async def test_by_the_api_a_person_reads_what_they_could_open_in_slack(known: House) -> None:
    for user, expected in (("U1", {"C1", "C2", "G1"}), ("U2", {"C1", "C2"}), ("U9", {"C2"})):
        user_id = await known.user_id(user)
        audience = await known.audiences.of_user(TEAM, user_id)
        assert audience.channel_ids == expected | {personal_channel_id(user_id)}


async def test_by_the_api_memberships_are_kept_true_too(known: House) -> None:
    await age(known, 90, "G1")
    known.slack.channels["G1"] = Channel("G1", ChannelKind.PRIVATE, "g1", has_outsiders=False)

    audience = await known.audiences.of_user(TEAM, await known.user_id("U1"))

    assert "G1" not in audience.channel_ids
    assert known.slack.asked == ["G1"]


async def test_at_the_command_line_slack_is_not_asked(known: House) -> None:
    await age(known, 3600)
    known.slack.is_down = True

    audience = await known.audiences.known_of_user(TEAM, await known.user_id("U1"))

    assert {"C1", "C2", "G1"} <= audience.channel_ids
    assert known.slack.asked == []


async def test_slack_is_asked_outside_any_transaction(known: House) -> None:
    await age(known, 301, "C1")
    known.slack.on_ask = known.assert_no_transaction

    assert await of(known, "U1") == {"C1", "C2"}


async def test_many_may_ask_at_once(known: House) -> None:
    await age(known, 301)

    audiences = await asyncio.gather(*(of(known, user, private=True) for user in ("U1", "U2", "U9") * 3))

    assert audiences == [{"C1", "C2", "G1"}, {"C1", "C2"}, {"C2"}] * 3
