from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import User
from tests.playground.conftest import Json, Listener, refused

SECTION = {"type": "section", "text": {"type": "plain_text", "text": "What I remember"}}
BUTTON = {"type": "button", "action_id": "any", "text": {"type": "plain_text", "text": "Show"}, "value": "7"}
HOME: dict[str, Any] = {"type": "home", "blocks": [{**SECTION, "accessory": BUTTON}]}
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "rename",
    "title": {"type": "plain_text", "text": "Rename"},
    "submit": {"type": "plain_text", "text": "Save"},
    "blocks": [
        {
            "type": "input",
            "block_id": "name",
            "label": {"type": "plain_text", "text": "Name"},
            "element": {"type": "plain_text_input", "action_id": "value"},
        }
    ],
}


def named(name: str) -> Json:
    return {"name": {"value": {"type": "plain_text_input", "value": name}}}


async def test_a_home_is_published_for_one_person(slack: LocalSlack, client: AsyncWebClient, ada: User) -> None:
    first = await client.views_publish(user_id=ada.id, view=HOME)
    second = await client.views_publish(user_id=ada.id, view=HOME, hash=first["view"]["hash"])

    assert second["view"]["id"] == first["view"]["id"] == slack.store.homes[ada.id].id
    late = client.views_publish(user_id=ada.id, view=HOME, hash=first["view"]["hash"])
    assert await refused(late) == "hash_conflict"
    assert await refused(client.views_publish(user_id="U0NOBODY", view=HOME)) == "user_not_found"


async def test_views_of_the_wrong_kind_or_with_wrong_blocks_are_refused(client: AsyncWebClient, ada: User) -> None:
    wrong = {"type": "home", "blocks": [{"type": "nope"}]}

    assert await refused(client.views_publish(user_id=ada.id, view=MODAL)) == "invalid_arguments"
    assert await refused(client.views_publish(user_id=ada.id, view=wrong)) == "invalid_arguments"


async def test_a_button_on_the_home_arrives_with_its_view(
    slack: LocalSlack, client: AsyncWebClient, app: Listener, ada: User
) -> None:
    published = await client.views_publish(user_id=ada.id, view=HOME)

    await slack.click_view(ada, published["view"]["id"], "any")

    [payload] = app.payloads
    assert payload["container"] == {"type": "view", "view_id": published["view"]["id"]}
    assert payload["actions"][0]["value"] == "7"


async def test_a_form_is_sent_off_checked_and_closed(
    slack: LocalSlack, client: AsyncWebClient, app: Listener, ada: User
) -> None:
    @app.app.view("rename")
    async def on_rename(ack: AsyncAck, view: Json) -> None:
        name = view["state"]["values"]["name"]["value"]["value"]
        await (ack() if name else ack(response_action="errors", errors={"name": "A name, please."}))

    opened = await client.views_open(trigger_id=slack.interactions.new_trigger(ada), view=MODAL)
    view_id = opened["view"]["id"]

    assert await slack.submit(ada, view_id, named("")) == {"name": "A name, please."}
    assert view_id in slack.store.modals
    assert await slack.submit(ada, view_id, named("handbook")) == {}
    assert view_id not in slack.store.modals


async def test_an_open_form_can_be_replaced(slack: LocalSlack, client: AsyncWebClient, ada: User) -> None:
    opened = await client.views_open(trigger_id=slack.interactions.new_trigger(ada), view=MODAL)
    changed = {**MODAL, "title": {"type": "plain_text", "text": "Renamed"}}

    answer = await client.views_update(view_id=opened["view"]["id"], view=changed)

    assert answer["view"]["title"]["text"] == "Renamed"
    assert await refused(client.views_update(view_id="V0NOTHING", view=changed)) == "not_found"
