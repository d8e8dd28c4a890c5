"""People and channels by Slack's word; whoever isn't surely one of us counts as less."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from bot.errors import InvalidSettings, NotFound
from bot.playground.local import LocalSlack
from bot.slack.client import Clients
from bot.slack.directory import SlackDirectory, SlackThreads, file_from, kind_of
from bot.slack.payloads import person_from
from bot.values import ChannelKind, Person, UserKind
from tests.conftest import TEAM
from tests.slack.acts import calls_of


@pytest.fixture
async def clients(slack: LocalSlack) -> AsyncIterator[Clients]:
    clients = Clients(slack.bot_token, base_url=slack.api_url)
    yield clients
    await clients.close()


@pytest.fixture
def directory(clients: Clients) -> SlackDirectory:
    return SlackDirectory(clients.reading, max_age_s=60)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({}, UserKind.MEMBER),
        ({"team_id": TEAM}, UserKind.MEMBER),
        ({"team_id": "T0OTHER"}, UserKind.EXTERNAL),
        ({"is_stranger": True}, UserKind.EXTERNAL),
        ({"is_restricted": True}, UserKind.GUEST),
        ({"is_ultra_restricted": True}, UserKind.GUEST),
    ],
)
def test_a_person_is_a_member_a_guest_or_from_outside(said: dict[str, object], kind: UserKind) -> None:
    assert person_from({"id": "U1", **said}, team_id=TEAM).kind is kind


def test_a_person_has_the_name_colleagues_see() -> None:
    profile = {"display_name": "", "real_name": "Ada L", "email": "ada@example.com"}

    assert person_from({"id": "U1", "profile": profile, "is_owner": True}, team_id=TEAM) == Person(
        "U1", "Ada L", email="ada@example.com", kind=UserKind.MEMBER, is_admin=True
    )
    assert person_from({"id": "U1"}, team_id=TEAM).name == "U1"
    assert person_from({"id": "U1", "profile": profile, "is_restricted": True}, team_id=TEAM).email is None


async def test_nobody_is_known_to_be_in_a_public_channel_that_we_are_not_in(
    slack: LocalSlack, directory: SlackDirectory
) -> None:
    guest = slack.add_user("Gast", kind="guest")
    general = slack.add_channel("lobby", members=[guest])
    inside = await directory.channel(TEAM, general.id)

    slack.leave(slack.store.bot, general)
    outside = await directory.channel(TEAM, general.id)

    assert guest.id in inside.member_ids
    assert (outside.member_ids, outside.has_outsiders) == (frozenset(), True)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"is_private": False}, ChannelKind.PUBLIC),
        ({"is_private": True}, ChannelKind.PRIVATE),
        ({}, ChannelKind.PRIVATE),
        ({"is_group": True, "is_private": False}, ChannelKind.PRIVATE),
        ({"is_mpim": True, "is_private": True}, ChannelKind.MPIM),
        ({"is_im": True}, ChannelKind.IM),
    ],
)
def test_a_channel_is_private_when_in_doubt(said: dict[str, object], kind: ChannelKind) -> None:
    assert kind_of(said) is kind


def test_a_stub_of_a_file_has_little_more_than_an_id() -> None:
    file = file_from({"id": "F1"}, team_id=TEAM, channel_id="C1", message_ts="1", thread_ts="1")

    assert (file.filename, file.url, file.size_bytes, file.user_id, file.is_external) == ("F1", None, 0, "", False)


async def test_a_channel_with_a_guest_has_outsiders(slack: LocalSlack, directory: SlackDirectory) -> None:
    general, handbook = slack.store.channel("general"), slack.store.channel("handbook")

    assert (await directory.channel(TEAM, general.id)).has_outsiders
    assert not (await directory.channel(TEAM, handbook.id)).has_outsiders
    assert (await directory.channel(TEAM, handbook.id)).member_ids >= {slack.store.user("Ada").id}


async def test_members_are_read_page_by_page(slack: LocalSlack, directory: SlackDirectory) -> None:
    people = [slack.add_user(f"Person {number}") for number in range(230)]
    crowd = slack.add_channel("crowd", members=people)

    assert len((await directory.channel(TEAM, crowd.id)).member_ids) == 231


async def test_a_member_slack_does_not_know_counts_as_an_outsider(slack: LocalSlack, directory: SlackDirectory) -> None:
    handbook = slack.store.channel("handbook")
    slack.faults.refuse("users.info", "user_not_found", times=1)

    assert (await directory.channel(TEAM, handbook.id)).has_outsiders


async def test_a_channel_without_the_bot_is_not_found(slack: LocalSlack, directory: SlackDirectory) -> None:
    secret = slack.add_channel("secret", kind=ChannelKind.PRIVATE, members=["Ada"], with_bot=False)

    with pytest.raises(NotFound):
        await directory.channel(TEAM, secret.id)


async def test_names_of_strangers_are_left_out(slack: LocalSlack, directory: SlackDirectory) -> None:
    ada = slack.store.user("Ada").id

    assert await directory.names(TEAM, f"<@{ada}> <@U0NOBODY>") == {ada: "Ada"}


async def test_a_person_is_asked_for_once_while_the_answer_is_young(
    slack: LocalSlack, directory: SlackDirectory
) -> None:
    ada = slack.store.user("Ada").id
    await directory.person(TEAM, ada)
    await directory.person(TEAM, ada)

    assert len([call for call in slack.calls if call.method == "users.info"]) == 1


async def test_a_token_that_is_refused_is_a_matter_of_settings(slack: LocalSlack) -> None:
    clients = Clients("xoxb-wrong", base_url=slack.api_url)
    try:
        with pytest.raises(InvalidSettings):
            await SlackDirectory(clients.reading, max_age_s=60).person(TEAM, "U1")
    finally:
        await clients.close()


async def test_a_thread_is_read_with_names_and_without_our_own_words(
    slack: LocalSlack, clients: Clients, directory: SlackDirectory
) -> None:
    root = await slack.share("Ben", "general", ("a.txt", b"words", "text/plain"), text="Look, @Ada: a < b")
    await clients.posting.chat_postMessage(channel=root.channel_id, thread_ts=root.ts, text="Hello!")
    for number in range(3):
        await slack.say("Ada", "general", f"Remark {number}", thread_ts=root.ts)

    threads = SlackThreads(clients.reading, directory, bot_user_id=slack.store.bot.id)
    turns, files = await threads.read_thread(TEAM, root.channel_id, root.ts)

    assert [(turn.author, turn.text) for turn in turns] == [
        ("Ben", "Look, @Ada: a < b"),
        *(("Ada", f"Remark {number}") for number in range(3)),
    ]
    assert {turn.author: turn.author_id for turn in turns} == {
        name: slack.store.user(name).id for name in ("Ada", "Ben")
    }
    assert [file.filename for file in files] == ["a.txt"]


@pytest.mark.parametrize("strangers", [0, 3])
async def test_a_channel_of_a_thousand_is_known_within_slacks_limits(
    slack: LocalSlack, directory: SlackDirectory, strangers: int
) -> None:
    people = [slack.add_user(f"Person {number}") for number in range(1_000)]
    crowd = slack.add_channel("crowd", members=people)
    for person in people[:strangers]:
        slack.change_user(person, kind=UserKind.GUEST)
    started = time.monotonic()

    known = await directory.channel(TEAM, crowd.id)
    again = await directory.channel(TEAM, crowd.id)

    assert known.has_outsiders is bool(strangers)
    assert again == known
    assert len(known.member_ids) == 1_001
    assert len(calls_of(slack, "users.list")) <= 2, "20 a minute"
    assert len(calls_of(slack, "users.info")) <= 10, "100 a minute"
    assert time.monotonic() - started < 30
