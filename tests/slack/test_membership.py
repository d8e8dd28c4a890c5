"""What changes in Slack about channels and people counts at the very next question, over the wire.

What is known is trusted for an hour here: what changes, only Slack's events can have told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.repositories.users import UserRepository
from bot.services.users import Scope, UserService
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.slack.acts import calls_of, note, shared, until, value
from tests.slack.conftest import StartBot
from tests.slack.test_commands import said

PLANS = note("plans.txt", "The merger with Northwind is planned for the third of March.")
QUESTION = "When is the merger with Northwind planned?"


@pytest.fixture
async def bot(start_bot: StartBot) -> AsyncIterator[WebServer]:
    async with start_bot(membership_age_s=3600.0) as server:
        yield server


@pytest.fixture
async def leads(slack: LocalSlack) -> str:
    """A private channel with Ada and Ben in it."""
    slack.join("Ben", "leads")
    return "leads"


async def knows(slack: LocalSlack, who: str, *, channel: str | None = None) -> bool:
    """Ask as somebody, in a channel or else in direct messages, and tell whether the answer quotes the plans."""
    await slack.settle()
    if channel is None:
        question = await slack.say(who, slack.direct(who), QUESTION)
        reply = await slack.wait_for_reply(slack.direct(who), question.ts, timeout=20)
    else:
        question = await slack.mention(who, channel, QUESTION)
        reply = await slack.wait_for_reply(channel, question.ts, timeout=20)
    if "third of March" in words_of(reply):
        assert any("third of March" in words for words in quoted_words(reply))
        return True
    assert "found nothing" in words_of(reply)
    return False


async def test_who_leaves_a_private_channel_gets_nothing_of_it_until_they_are_back(
    slack: LocalSlack, bot: WebServer, leads: str
) -> None:
    await shared(slack, PLANS, channel=leads)
    assert await knows(slack, "Ben")

    slack.leave("Ben", leads)
    assert not await knows(slack, "Ben")
    assert "Nothing that you may read" in words_of(await said(slack, "Ben", "/find", "merger"))
    assert await knows(slack, "Ada")

    slack.join("Ben", leads)
    assert await knows(slack, "Ben")


async def test_an_archived_channel_stays_as_readable_as_slack_keeps_it(
    slack: LocalSlack, bot: WebServer, leads: str
) -> None:
    await shared(slack, PLANS, channel=leads)

    for archived in (True, False):
        slack.archive(leads, archived=archived)
        assert await knows(slack, "Ben")
        assert len(calls_of(slack, "conversations.members")) >= 1
    slack.remove_channel(leads)
    assert not await knows(slack, "Ben")


async def test_a_public_channel_that_turns_private_is_its_members_alone(slack: LocalSlack, bot: WebServer) -> None:
    slack.add_user("Dora")
    slack.add_channel("town", members=["Ada", "Ben", "Dora"])
    await shared(slack, PLANS, channel="handbook")
    assert await knows(slack, "Dora")
    assert await knows(slack, "Dora", channel="town")

    slack.convert("handbook", "private")
    assert not await knows(slack, "Dora")
    assert not await knows(slack, "Ada", channel="town")
    assert await knows(slack, "Ada")

    slack.convert("handbook", "public")
    assert await knows(slack, "Dora")


async def test_where_another_company_reads_along_only_the_channel_itself_is_used(
    slack: LocalSlack, bot: WebServer
) -> None:
    slack.add_channel("town", members=["Ada", "Ben"])
    await shared(slack, PLANS, channel="handbook")
    assert await knows(slack, "Ada", channel="town")

    slack.connect("town")
    assert not await knows(slack, "Ada", channel="town")
    assert await knows(slack, "Ada", channel="handbook")

    slack.disconnect("town")
    assert await knows(slack, "Ada", channel="town")


async def test_who_becomes_a_guest_reads_their_channels_alone_and_nobody_reads_others_before_them(
    slack: LocalSlack, bot: WebServer
) -> None:
    slack.add_channel("town", members=["Ada", "Ben"])
    slack.leave("Ben", "handbook")
    await shared(slack, PLANS, channel="handbook")
    assert await knows(slack, "Ben")
    assert await knows(slack, "Ada", channel="town")

    slack.change_user("Ben", kind="guest")
    assert not await knows(slack, "Ben")
    assert not await knows(slack, "Ada", channel="town")

    slack.change_user("Ben", kind="member")
    assert await knows(slack, "Ben")
    assert await knows(slack, "Ada", channel="town")


async def test_a_guest_who_comes_into_a_channel_closes_the_others_to_it(slack: LocalSlack, bot: WebServer) -> None:
    slack.add_channel("town", members=["Ada", "Ben"])
    await shared(slack, PLANS, channel="handbook")
    assert await knows(slack, "Ada", channel="town")

    slack.join("Cleo", "town")

    assert not await knows(slack, "Ada", channel="town")


async def test_a_guest_who_comes_back_closes_the_others_to_a_channel_again(slack: LocalSlack, bot: WebServer) -> None:
    slack.add_channel("town", members=["Ada", "Ben"])
    slack.leave("Ben", "handbook")
    slack.change_user("Ben", kind="guest")
    await shared(slack, PLANS, channel="handbook")
    assert not await knows(slack, "Ben")
    assert not await knows(slack, "Ada", channel="town")

    slack.change_user("Ben", deleted=True)
    assert await knows(slack, "Ada", channel="town"), "who sees nothing of Slack any more is in nobody's way"

    slack.change_user("Ben", deleted=False)
    assert not await knows(slack, "Ada", channel="town")


async def test_whose_account_ends_has_no_key_any_more_and_what_they_shared_stays(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, PLANS, who="Ben")
    async with sessions.tenant(TEAM) as session:
        ben = await UserRepository(session).get_by(TEAM, slack_user_id=slack.store.user("Ben").id)
    assert ben is not None
    keys = [await UserService(sessions).create_key(TEAM, ben.id, scopes=[Scope.READ]) for _ in range(2)]
    assert [await answered(bot, key) for key in keys] == [200, 200]

    slack.change_user("Ben", deleted=True)
    await slack.settle()

    assert [await answered(bot, key) for key in keys] == [401, 401]
    assert await value(sessions, "SELECT count(*) FROM audit_log WHERE action = 'key.revoked'") == 2
    assert await knows(slack, "Ada", channel="general")


async def answered(bot: WebServer, key: str) -> int:
    """Return with which status the HTTP API answers the holder of a key."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{bot.url}/v1/users/me", headers={"Authorization": f"Bearer {key}"}) as response,
    ):
        return response.status


async def test_who_is_deactivated_is_refused_in_words(slack: LocalSlack, bot: WebServer) -> None:
    await shared(slack, PLANS, channel="handbook")
    assert await knows(slack, "Ben")

    slack.change_user("Ben", deleted=True)
    await slack.settle()
    question = await slack.mention("Ben", "handbook", QUESTION)

    refusal = "Your Slack account is deactivated"
    assert refusal in words_of(await slack.wait_for_reply("handbook", question.ts))
    for command in ("/ask", "/find", "/docs"):
        assert refusal in words_of(await said(slack, "Ben", command, "merger", channel="handbook"))

    slack.change_user("Ben", deleted=False)
    assert await knows(slack, "Ben"), "nothing of a deactivated account is remembered"


async def test_a_channel_that_the_bot_was_taken_out_of_is_read_by_nobody(
    slack: LocalSlack, bot: WebServer, leads: str
) -> None:
    await shared(slack, PLANS, channel=leads)
    assert await knows(slack, "Ada")

    slack.leave(slack.store.bot, leads)
    assert not await knows(slack, "Ada")

    slack.join(slack.store.bot, leads)
    assert await knows(slack, "Ada", channel=leads)
    assert await knows(slack, "Ada")


async def test_while_slack_does_not_say_what_holds_now_the_question_waits(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, leads: str
) -> None:
    await shared(slack, PLANS, channel=leads)
    assert await knows(slack, "Ben")
    slack.archive(leads)
    await slack.settle()
    slack.faults.refuse("conversations.info", "", status=503, times=10_000)

    place = slack.direct("Ben")
    question = await slack.say("Ben", place, QUESTION)
    waiting = "SELECT count(*) FROM work WHERE task = 'answer' AND state = 'queued' AND blocked_since IS NOT NULL"
    await until(lambda: value(sessions, waiting))
    assert slack.replies(place, question.ts) == []

    slack.store.channel(leads).members.remove(slack.store.user("Ben").id)
    slack.faults.clear()
    reply = await slack.wait_for_reply(place, question.ts, timeout=30)
    assert "found nothing" in words_of(reply), "never an answer from what held before"


async def test_every_change_is_acknowledged_and_nothing_of_it_kept(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, leads: str
) -> None:
    slack.add_user("Eve", kind="guest", is_told=True)
    slack.rename(leads, "bosses")
    slack.change_user("Ben", is_admin=True)
    for archived in (True, False):
        slack.archive("handbook", archived=archived)
    await slack.settle()

    assert [delivery.event["type"] for delivery in slack.deliveries if delivery.acked_at is None] == []
    assert await value(sessions, "SELECT count(*) FROM inbox") == 0
    assert await value(sessions, "SELECT people_changes FROM workspaces") == 1, "a guest is news, an administrator not"
