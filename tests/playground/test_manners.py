from __future__ import annotations

from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.faults import rate_limited
from bot.playground.local import LocalSlack
from bot.playground.manners import EXAMPLES, Manners
from bot.playground.state import Channel, User
from tests.playground.conftest import refused


def test_a_post_before_its_channels_wait_is_over_counts_as_early() -> None:
    manners = Manners()
    manners.told_to_wait("chat.postMessage", "C1", retry_after_s=3, at=100.0)

    for channel, at in (("C1", 101.0), ("C2", 101.0), ("C1", 103.1)):
        manners.arrived("chat.postMessage", channel, at=at)

    assert manners.early == {"chat.postMessage": 1}
    [breach] = manners.breaches
    assert (breach.place, breach.short_s, breach.after_s) == ("C1", 2.0, 1.0)


def test_for_other_methods_the_wait_counts_everywhere() -> None:
    manners = Manners()
    manners.told_to_wait("conversations.replies", "C1", retry_after_s=3, at=100.0)

    manners.arrived("conversations.replies", "C2", at=101.0)
    manners.arrived("conversations.history", "C2", at=101.0)

    assert manners.early == {"conversations.replies": 1}


def test_what_was_on_its_way_when_slack_refused_and_what_comes_a_hair_early_is_not_blamed() -> None:
    manners = Manners()
    manners.told_to_wait("chat.postMessage", "C1", retry_after_s=1, at=100.0)

    manners.arrived("chat.postMessage", "C1", at=100.04)
    manners.arrived("chat.postMessage", "C1", at=100.96)

    assert not manners.early


def test_two_posts_within_a_second_in_one_channel_are_counted() -> None:
    manners = Manners()

    for channel, at in (("C1", 10.0), ("C2", 10.1), ("C1", 10.5), ("C1", 11.5), ("C2", 11.06)):
        manners.posted("chat.postMessage", channel, at=at)
    manners.posted("chat.update", "C1", at=11.6)

    assert manners.crowded == {"C1": 1}


def test_it_remembers_a_handful_of_thousands_of_breaches() -> None:
    manners = Manners()

    for n in range(5 * EXAMPLES):
        manners.posted("chat.postMessage", "C1", at=n / 10)

    assert manners.crowded["C1"] == 5 * EXAMPLES - 1
    assert len(manners.breaches) == EXAMPLES


async def test_slack_holds_the_app_to_what_it_said(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    slack.faults.put("chat.postMessage", rate_limited(30))
    assert await refused(client.chat_postMessage(channel=general.id, text="one")) == "ratelimited"
    slack.faults.refuse("users.info", "ratelimited", status=429, retry_after_s=30)
    assert await refused(client.users_info(user=ada.id)) == "ratelimited"

    slack.manners._closed = {key: (said - 1, until) for key, (said, until) in slack.manners._closed.items()}
    await client.chat_postMessage(channel=general.id, text="too soon")
    await client.chat_postMessage(channel=general.id, text="and too fast")

    assert slack.manners.early == {"chat.postMessage": 2}
    assert slack.manners.limited == {"chat.postMessage": 1, "users.info": 1}
    assert slack.manners.crowded == {general.id: 1}


async def test_a_long_run_remembers_only_its_last_calls_and_events() -> None:
    async with LocalSlack(history_kept=3, posts_per_second=None) as slack:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        ada = slack.add_user("Ada")
        channel = slack.add_channel("general", members=[ada])
        slack.workspace.deliveries.retry_delays_s = ()
        slack.sockets.ack_timeout_s = 0.01

        for n in range(5):
            await client.chat_postMessage(channel=channel.id, text=str(n))
            await slack.say(ada, channel, str(n))
        await slack.settle()

        assert [call.args["text"] for call in slack.calls] == ["2", "3", "4"]
        assert len(slack.deliveries) == 3
        assert slack.manners.calls["chat.postMessage"] == 5
        assert slack.workspace.deliveries.lost_count == 10
