from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import Forbidden, InvalidRequest, NotFound
from bot.playground.delivery import NotAcknowledged
from bot.playground.interactions import RESPONSE_USES
from bot.playground.local import LocalSlack
from bot.playground.state import Channel, Message, User
from tests.playground.conftest import Json, Listener, refused

BUTTON = {"type": "button", "action_id": "more", "text": {"type": "plain_text", "text": "More"}, "value": "2"}
FEEDBACK = {
    "type": "feedback_buttons",
    "action_id": "feedback",
    "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "good"},
    "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
}
BLOCKS = [
    {"type": "actions", "block_id": "paging", "elements": [BUTTON, {**BUTTON, "action_id": "less"}]},
    {"type": "context_actions", "elements": [FEEDBACK]},
]


@pytest.fixture
async def posted(client: AsyncWebClient, slack: LocalSlack, general: Channel) -> Message:
    """A message of the bot's with buttons."""
    answer = await client.chat_postMessage(channel=general.id, text="answer", blocks=BLOCKS)
    return slack.store.messages[general.id][answer["ts"]]


@pytest.fixture
async def clicked(app: Listener) -> list[Json]:
    """The payloads of clicks as the app received them."""
    bodies: list[Json] = []

    async def on_click(ack: AsyncAck, body: Json) -> None:
        await ack()
        bodies.append(body)

    for action_id in ("more", "less", "feedback"):
        app.app.action(action_id)(on_click)
    return bodies


async def test_a_command_arrives_with_who_where_and_what(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    await slack.command(ada, general, "/ask", "when do we open?")

    [payload] = app.payloads

    assert (payload["command"], payload["text"]) == ("/ask", "when do we open?")
    assert (payload["user_id"], payload["channel_id"], payload["channel_name"]) == (ada.id, general.id, "general")
    assert payload["team_id"] == slack.store.team_id


async def test_a_command_is_answered_to_the_asker_or_to_everyone(
    slack: LocalSlack, app: Listener, ada: User, ben: User, general: Channel
) -> None:
    @app.app.command("/weather")
    async def on_weather(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack(text="one moment")
        await respond(text="sunny")
        await respond(text="sunny, everyone", response_type="in_channel")

    slack.commands["/weather"] = ""
    asked_at = await slack.command(ada, general, "/weather")
    await slack.wait_for_ephemeral(ada, general, after=asked_at, until=lambda message: message.text == "sunny")
    async with asyncio.timeout(5):
        while not slack.store.top_level(general.id):
            await asyncio.sleep(0.01)

    assert {m.text for m in slack.ephemerals(ada, general)} == {"one moment", "sunny"}
    assert slack.ephemerals(ben, general) == []
    assert [m.text for m in slack.store.top_level(general.id)] == ["sunny, everyone"]


async def test_commands_are_refused_in_threads_and_when_no_app_has_them(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")

    with pytest.raises(InvalidRequest) as in_thread:
        await slack.command(ada, general, "/ask", "x", thread_ts=root.ts)
    with pytest.raises(InvalidRequest) as unknown:
        await slack.command(ada, general, "/teleport")

    assert "not supported in threads" in in_thread.value.user_message
    assert "not a valid command" in unknown.value.user_message
    assert not [payload for payload in app.payloads if "command" in payload]


async def test_a_silent_app_is_reported_and_the_command_is_not_sent_again(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    slack.sockets.ack_timeout_s = 0.02

    with pytest.raises(NotAcknowledged) as silence:
        await slack.command(ada, general, "/ask", "anybody?")

    assert silence.value.user_message == "The app didn't respond. Is it running?"


async def test_a_click_says_what_was_pressed_where_and_by_whom(
    slack: LocalSlack, clicked: list[Json], ada: User, general: Channel, posted: Message
) -> None:
    await slack.click(ada, posted, "more")

    [body] = clicked
    [action] = body["actions"]
    assert (action["action_id"], action["block_id"], action["value"]) == ("more", "paging", "2")
    assert (body["user"]["id"], body["channel"]["id"]) == (ada.id, general.id)
    assert (body["container"]["message_ts"], body["container"]["is_ephemeral"]) == (posted.ts, False)
    assert body["message"]["blocks"] == BLOCKS


async def test_a_click_in_a_thread_names_the_thread(
    slack: LocalSlack, client: AsyncWebClient, clicked: list[Json], ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    answer = await client.chat_postMessage(channel=general.id, thread_ts=root.ts, text="x", blocks=BLOCKS)

    await slack.click(ada, slack.store.messages[general.id][answer["ts"]], "more")

    assert clicked[0]["container"]["thread_ts"] == root.ts
    assert clicked[0]["message"]["thread_ts"] == root.ts


@pytest.mark.parametrize("side", ["good", "bad"])
async def test_a_feedback_button_says_which_side(
    slack: LocalSlack, clicked: list[Json], ada: User, posted: Message, side: str
) -> None:
    await slack.click(ada, posted, "feedback", side)

    assert clicked[0]["actions"][0]["value"] == side


async def test_a_click_in_an_ephemeral_message_comes_without_the_message_and_replaces_it(
    slack: LocalSlack, client: AsyncWebClient, app: Listener, ada: User, ben: User, general: Channel
) -> None:
    bodies: list[Json] = []

    @app.app.action("more")
    async def on_more(ack: AsyncAck, body: Json, respond: AsyncRespond) -> None:
        await ack()
        bodies.append(body)
        await respond(text="page 2", replace_original=True)

    await client.chat_postEphemeral(channel=general.id, user=ada.id, text="page 1", blocks=BLOCKS)
    [message] = slack.ephemerals(ada, general)

    with pytest.raises(Forbidden):
        await slack.click(ben, message, "more")
    await slack.click(ada, message, "more")
    shown = await slack.wait_for_ephemeral(ada, general, until=lambda m: m.text == "page 2")

    assert shown is message
    assert bodies[0]["container"]["is_ephemeral"] is True
    assert "message" not in bodies[0]


async def test_an_original_can_be_deleted(
    slack: LocalSlack, client: AsyncWebClient, app: Listener, ada: User, general: Channel
) -> None:
    done = asyncio.Event()

    @app.app.action("more")
    async def on_more(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        await respond(delete_original=True)
        done.set()

    await client.chat_postEphemeral(channel=general.id, user=ada.id, text="page 1", blocks=BLOCKS)
    await slack.click(ada, slack.ephemerals(ada, general)[0], "more")
    await asyncio.wait_for(done.wait(), 5)

    assert slack.ephemerals(ada, general) == []


async def test_a_button_that_is_not_there_cannot_be_pressed(slack: LocalSlack, ada: User, posted: Message) -> None:
    with pytest.raises(NotFound):
        await slack.click(ada, posted, "launch")


async def test_a_response_url_works_five_times(slack: LocalSlack, app: Listener, ada: User, general: Channel) -> None:
    await slack.command(ada, general, "/ask")
    url = app.payloads[0]["response_url"]

    async with aiohttp.ClientSession() as session:
        answers = [(await session.post(url, json={"text": str(n)})).status for n in range(RESPONSE_USES + 1)]
        unknown = await session.post(f"{slack.url}response/guessed", json={"text": "x"})

    assert answers == [200] * RESPONSE_USES + [404]
    assert unknown.status == 404
    assert len(slack.ephemerals(ada, general)) == RESPONSE_USES


@pytest.mark.parametrize("body", ['{"text": ""}', '{"text": "x", "blocks": [{"type": "nope"}]}', "{{{"])
async def test_a_response_slack_could_not_show_is_refused(
    slack: LocalSlack, app: Listener, ada: User, general: Channel, body: str
) -> None:
    await slack.command(ada, general, "/ask")

    async with aiohttp.ClientSession() as session:
        answer = await session.post(app.payloads[0]["response_url"], data=body)

    assert answer.status == 400
    assert slack.ephemerals(ada, general) == []


async def test_a_trigger_opens_one_modal_in_time(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    view: dict[str, Any] = {"type": "modal", "title": {"type": "plain_text", "text": "Sure?"}, "blocks": []}
    trigger = slack.interactions.new_trigger(ada)

    opened = await client.views_open(trigger_id=trigger, view=view)
    slack.interactions.trigger_life_s = -1.0
    late = slack.interactions.new_trigger(ada)

    assert slack.store.modals[opened["view"]["id"]].user_id == ada.id
    assert await refused(client.views_open(trigger_id=trigger, view=view)) == "invalid_trigger_id"
    assert await refused(client.views_open(trigger_id=late, view=view)) == "expired_trigger_id"
