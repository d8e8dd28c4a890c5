from __future__ import annotations

import time

from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.contracts import Contracts
from tests.playground.conftest import Listener, refused


async def test_a_phantom_is_the_same_gesture_in_another_message(
    slack: LocalSlack, app: Listener, ada: User, general: Channel, contracts: Contracts
) -> None:
    root = await slack.say(ada, general, "root")
    question = await slack.mention(ada, general, "When do we open?", thread_ts=root.ts)

    phantom = await slack.phantom(question)

    mentions = await app.heard("app_mention", count=2)
    assert {event["client_msg_id"] for event in mentions} == {question.client_msg_id}
    assert {event["ts"] for event in mentions} == {question.ts, phantom.ts}
    assert {event["thread_ts"] for event in mentions} == {root.ts}
    contracts.check_all(slack.events, [])


async def test_a_phantom_of_a_question_that_began_a_thread_stands_beside_it(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    question = await slack.mention(ada, general, "When do we open?")
    await client.chat_postMessage(channel=general.id, text="At nine.", thread_ts=question.ts)

    phantom = await slack.phantom(question)

    assert phantom.root_ts == phantom.ts


async def test_events_can_be_held_back_and_delivered_in_any_order_and_number(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    async with slack.holding() as held:
        first = await slack.mention(ada, general, "first")
        await slack.say(ada, general, "second")
    assert app.payloads == []

    await slack.deliver(*reversed(held), held[0])

    heard = [(payload["event"]["type"], payload["event"]["text"][-6:].strip()) for payload in app.payloads]
    assert heard == [("message", "second"), ("app_mention", "first"), ("message", "first"), ("message", "first")]
    assert app.retries == ["0", "0", "0", "1"]
    assert [delivery.event["ts"] for delivery in slack.delivered(first)] == [first.ts, first.ts]


async def test_what_is_said_after_the_block_goes_out_at_once(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    async with slack.holding():
        await slack.say(ada, general, "never heard")

    await slack.say(ada, general, "heard")
    await slack.settle()

    assert [payload["event"]["text"] for payload in app.payloads] == ["heard"]


async def test_an_event_can_lie_about_before_it_is_sent(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    slack.workspace.deliveries.delay_s = lambda delivery: 0.2 if delivery.event["type"] == "message" else 0.0
    started = time.monotonic()

    await slack.mention(ada, general, "When do we open?")
    await slack.settle()

    assert [payload["event"]["type"] for payload in app.payloads] == ["app_mention", "message"]
    assert time.monotonic() - started >= 0.2
    assert all(delivery.ack_s is not None and delivery.ack_s < 0.2 for delivery in slack.deliveries)


async def test_an_edit_that_names_the_bot_is_a_mention_and_a_second_edit_is_none(
    slack: LocalSlack, app: Listener, ada: User, general: Channel, contracts: Contracts
) -> None:
    said = await slack.say(ada, general, "When do we open?")

    await slack.edit(said, f"<@{slack.store.bot.id}> When do we open?")
    await slack.edit(said, f"<@{slack.store.bot.id}> When do we close?")
    await slack.settle()

    [mention] = await app.heard("app_mention")
    assert (mention["ts"], mention["edited"]["user"]) == (said.ts, ada.id)
    assert mention["event_ts"] == mention["edited"]["ts"] > said.ts
    assert "open" in mention["text"]
    contracts.check_all(slack.events, [])


async def test_a_question_that_is_deleted_is_told_with_what_it_said(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    question = await slack.mention(ada, general, "When do we open?")

    await slack.delete(question)

    events = await app.heard("message", count=2)
    deleted = next(event for event in events if event.get("subtype") == "message_deleted")
    assert (deleted["deleted_ts"], deleted["hidden"]) == (question.ts, True)
    assert deleted["previous_message"]["client_msg_id"] == question.client_msg_id


async def test_a_deleted_question_that_was_answered_leaves_a_tombstone_until_its_last_reply_goes(
    slack: LocalSlack, app: Listener, client: AsyncWebClient, ada: User, general: Channel, contracts: Contracts
) -> None:
    question = await slack.mention(ada, general, "When do we open?")
    answer = await client.chat_postMessage(channel=general.id, text="At nine.", thread_ts=question.ts)

    await slack.delete(question)

    await slack.settle()
    [told] = [event for event in slack.events if event.get("subtype") == "message_changed"]
    assert (told["message"]["subtype"], told["message"]["ts"]) == ("tombstone", question.ts)
    assert told["previous_message"]["client_msg_id"] == question.client_msg_id
    contracts.check_event(told)
    [shown] = (await client.conversations_history(channel=general.id))["messages"]
    assert (shown["subtype"], shown["user"], shown["reply_count"]) == ("tombstone", "USLACKBOT", 1)
    thread = (await client.conversations_replies(channel=general.id, ts=question.ts))["messages"]
    assert [(message["ts"], message.get("subtype")) for message in thread] == [
        (question.ts, "tombstone"),
        (answer["ts"], None),
    ]
    again = await client.chat_postMessage(channel=general.id, text="Or at ten.", thread_ts=question.ts)
    assert slack.store.message(general.id, question.ts) is None

    for ts in (answer["ts"], again["ts"]):
        await client.chat_delete(channel=general.id, ts=ts)
    assert (await client.conversations_history(channel=general.id))["messages"] == []
    assert await refused(client.conversations_replies(channel=general.id, ts=question.ts)) == "thread_not_found"
