from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.playground.conftest import refused


async def test_a_token_says_whose_it_is_and_what_it_may(slack: LocalSlack, client: AsyncWebClient) -> None:
    answer = await client.auth_test()

    assert (answer["team_id"], answer["user_id"], answer["bot_id"]) == (
        slack.store.team_id,
        slack.store.bot.id,
        slack.store.bot_id,
    )
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-stolen", "invalid_auth")])
async def test_no_token_and_a_wrong_one_are_refused(slack: LocalSlack, token: str, error: str) -> None:
    client = AsyncWebClient(token=token, base_url=slack.api_url)

    assert await refused(client.auth_test()) == error


async def test_each_kind_of_token_has_its_methods(slack: LocalSlack, client: AsyncWebClient) -> None:
    app_client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)

    assert await refused(client.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
    assert await refused(app_client.auth_test()) == "not_allowed_token_type"


async def test_what_was_not_granted_is_refused_by_name(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.scopes.discard("chat:write")

    with pytest.raises(SlackApiError) as refusal:
        await client.chat_postMessage(channel=general.id, text="hello")

    assert refusal.value.response["error"] == "missing_scope"
    assert refusal.value.response["needed"] == "chat:write"
    assert "channels:read" in refusal.value.response["provided"]


async def test_methods_can_be_switched_off_and_on(slack: LocalSlack, client: AsyncWebClient) -> None:
    slack.disable("auth.test")
    assert await refused(client.auth_test()) == "unknown_method"

    slack.enable("auth.test")
    assert (await client.auth_test())["ok"]


async def test_a_method_nobody_knows_is_refused(client: AsyncWebClient) -> None:
    assert await refused(client.api_call("chat.teleport")) == "unknown_method"


async def test_calls_are_recorded_decoded_and_without_the_token(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    await client.conversations_history(channel=general.id, limit=5, inclusive=True, token=slack.bot_token)
    await client.chat_postMessage(channel=general.id, text="hello", blocks='[{"type": "divider"}]', unfurl_links=False)

    first, second = slack.calls

    assert (first.method, first.args) == (
        "conversations.history",
        {"channel": general.id, "limit": 5, "inclusive": True},
    )
    assert second.args["blocks"] == [{"type": "divider"}]
    assert second.args["unfurl_links"] is False
    assert second.error is None


async def test_arguments_come_as_query_form_or_json(slack: LocalSlack, ada: User) -> None:
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    url = f"{slack.api_url}users.info"

    async with aiohttp.ClientSession(headers=headers) as session:
        answers = [
            await session.get(url, params={"user": ada.id}),
            await session.post(url, data={"user": ada.id, "token": slack.bot_token}),
            await session.post(url, json={"user": ada.id}),
        ]
        names = [(await answer.json())["user"]["real_name"] for answer in answers]

    assert names == ["Ada", "Ada", "Ada"]


@pytest.mark.parametrize("body", ["{{{", "[1, 2]", "null", ""])
async def test_a_body_of_nonsense_counts_as_no_arguments(slack: LocalSlack, body: str) -> None:
    headers = {"Authorization": f"Bearer {slack.bot_token}", "Content-Type": "application/json"}

    async with aiohttp.ClientSession(headers=headers) as session:
        answer = await (await session.post(f"{slack.api_url}users.info", data=body)).json()

    assert answer["error"] == "invalid_arguments"


async def test_what_should_be_json_or_a_number_and_is_not_is_refused(client: AsyncWebClient, general: Channel) -> None:
    post = client.api_call("chat.postMessage", params={"channel": general.id, "blocks": "[{"})
    history = client.api_call("conversations.history", params={"channel": general.id, "limit": "many"})

    assert await refused(post) == "invalid_blocks_format"
    assert await refused(history) == "invalid_arguments"


async def test_people_are_found_by_id_by_address_and_in_a_list(
    slack: LocalSlack, client: AsyncWebClient, ada: User, ben: User
) -> None:
    by_id = await client.users_info(user=ada.id)
    by_address = await client.users_lookupByEmail(email="BEN@example.com")
    everyone = [person["id"] async for page in await client.users_list(limit=2) for person in page["members"]]

    assert by_id["user"]["is_admin"]
    assert by_id["user"]["profile"]["email"] == "ada@example.com"
    assert by_address["user"]["id"] == ben.id
    assert everyone == [slack.store.bot.id, ada.id, ben.id]
    assert await refused(client.users_info(user="U0NOBODY")) == "user_not_found"
    assert await refused(client.users_lookupByEmail(email="nobody@example.com")) == "users_not_found"


async def test_addresses_are_shown_only_to_those_granted_them(
    slack: LocalSlack, client: AsyncWebClient, ada: User
) -> None:
    slack.scopes.discard("users:read.email")

    shown = await client.users_info(user=ada.id)

    assert "email" not in shown["user"]["profile"]
    assert await refused(client.users_lookupByEmail(email="ada@example.com")) == "missing_scope"


@pytest.mark.parametrize(
    ("kind", "restricted", "stranger"), [("member", False, None), ("guest", True, None), ("external", False, True)]
)
async def test_standing_shows_as_slack_shows_it(
    slack: LocalSlack, client: AsyncWebClient, kind: str, restricted: object, stranger: object
) -> None:
    user = slack.add_user("Somebody", kind=kind)

    shown = (await client.users_info(user=user.id))["user"]

    assert (shown["is_restricted"], shown.get("is_stranger")) == (restricted, stranger)
    assert (shown["team_id"] == slack.store.team_id) is (kind != "external")


async def test_the_workspace_and_the_app_describe_themselves(slack: LocalSlack, client: AsyncWebClient) -> None:
    team = await client.team_info()
    bot = await client.bots_info(bot=slack.store.bot_id)

    assert team["team"]["id"] == slack.store.team_id
    assert bot["bot"]["user_id"] == slack.store.bot.id
    assert await refused(client.bots_info(bot="B0OTHER")) == "bot_not_found"
    assert (await client.api_test(foo="bar"))["args"] == {"foo": "bar"}
    assert await refused(client.api_test(error="so_it_is")) == "so_it_is"
