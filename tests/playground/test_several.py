"""Several workspaces at one address, met through the real SDK and a browser's requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from slack_sdk.oauth import AuthorizeUrlGenerator
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.several import AUTHORIZE_PATH, LocalSlacks
from tests.contracts import Contracts
from tests.playground.conftest import refused

BACK = "https://bot.example.com/slack/oauth_redirect"


@pytest.fixture
async def slacks() -> AsyncIterator[LocalSlacks]:
    async with LocalSlacks(rotates_tokens=True) as slacks:
        slacks.redirect_uris.add(BACK)
        slacks.add("T0ACME", "Acme")
        slacks.add("T0BOLT", "Bolt", enterprise_id="E0BOLT")
        yield slacks


@pytest.fixture
def client(slacks: LocalSlacks) -> AsyncWebClient:
    return AsyncWebClient(base_url=slacks.api_url, retry_handlers=[])


async def decided(slacks: LocalSlacks, team: str, *, state: str = "s1") -> dict[str, list[str]]:
    """Say yes to a workspace, or to none; return what the browser brings back to the app."""
    address = slacks.api_url.removesuffix("/api/") + AUTHORIZE_PATH
    page = AuthorizeUrlGenerator(
        client_id=slacks.client_id, redirect_uri=BACK, scopes=["chat:write"], authorization_url=address
    ).generate(state)
    async with aiohttp.ClientSession() as browser:
        async with browser.get(page) as shown:
            assert "Allow in Acme" in await shown.text()
        form = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
        async with browser.post(address, data={**form, "team": team}, allow_redirects=False) as answer:
            assert answer.headers["Location"].startswith(f"{BACK}?")
            return parse_qs(urlsplit(answer.headers["Location"]).query)


async def fetched(client: AsyncWebClient, slacks: LocalSlacks, **given: str) -> dict[str, Any]:
    return await access(client, slacks.client_id, slacks.client_secret, **given)


async def access(client: AsyncWebClient, client_id: str, client_secret: str, **given: str) -> dict[str, Any]:
    """Call oauth.v2.access; the SDK's own method warns of aiohttp's, which counts as a failure here."""
    authorization = {"Authorization": aiohttp.encode_basic_auth(client_id, client_secret)}
    response = await client.api_call("oauth.v2.access", data=given, headers=authorization)
    return dict(response.data)  # type: ignore[arg-type]  # JSON came


async def installed(client: AsyncWebClient, slacks: LocalSlacks, team: str) -> dict[str, Any]:
    code = (await decided(slacks, team))["code"][0]
    return await fetched(client, slacks, code=code, redirect_uri=BACK)


async def test_a_yes_is_worth_a_token_once(client: AsyncWebClient, slacks: LocalSlacks) -> None:
    back = await decided(slacks, "T0ACME")
    code = back["code"][0]

    granted = await fetched(client, slacks, code=code, redirect_uri=BACK)

    assert back["state"] == ["s1"]
    assert (granted["team"], granted["enterprise"]) == ({"id": "T0ACME", "name": "Acme"}, None)
    assert granted["token_type"] == "bot"
    assert (await client.auth_test(token=granted["access_token"]))["team_id"] == "T0ACME"
    assert await refused(fetched(client, slacks, code=code, redirect_uri=BACK)) == "invalid_code"


async def test_what_doesnt_fit_is_refused_as_slack_does(client: AsyncWebClient, slacks: LocalSlacks) -> None:
    cancelled = await decided(slacks, "")
    code = (await decided(slacks, "T0ACME"))["code"][0]

    stranger = access(client, "1.2", "guessed", code=code, redirect_uri=BACK)

    assert cancelled["error"] == ["access_denied"]
    assert await refused(stranger) == "bad_client_secret"
    elsewhere = fetched(client, slacks, code=code, redirect_uri="https://elsewhere.test/")
    assert await refused(elsewhere) == "bad_redirect_uri"
    assert await refused(client.auth_test(token="xoxb-guessed")) == "invalid_auth"


async def test_an_organisation_lets_in_as_a_whole(client: AsyncWebClient, slacks: LocalSlacks) -> None:
    granted = await installed(client, slacks, "T0BOLT")

    me = await client.auth_test(token=granted["access_token"])
    assert (granted["team"], granted["is_enterprise_install"]) == (None, True)
    assert (granted["enterprise"]["id"], me["enterprise_id"], me["is_enterprise_install"]) == (
        "E0BOLT",
        "E0BOLT",
        True,
    )


async def test_a_refresh_token_is_good_once_and_tokens_end(client: AsyncWebClient, slacks: LocalSlacks) -> None:
    slacks.grants.lasts_s = -1
    ended = await installed(client, slacks, "T0ACME")
    slacks.grants.lasts_s = 43_200
    renew = {"grant_type": "refresh_token", "refresh_token": ended["refresh_token"]}

    fresh = await fetched(client, slacks, **renew)

    assert await refused(client.auth_test(token=ended["access_token"])) == "token_expired"
    assert (await client.auth_test(token=fresh["access_token"]))["ok"]
    assert fresh["refresh_token"] != ended["refresh_token"]
    assert await refused(fetched(client, slacks, **renew)) == "invalid_refresh_token"


async def test_nothing_is_told_before_and_after_and_the_farewells_are_slacks(
    client: AsyncWebClient, slacks: LocalSlacks, shared: Any
) -> None:
    acme: LocalSlack = slacks.workspaces["T0ACME"]
    acme.add_user("Ada")
    acme.add_channel("general", members=["Ada"], with_bot=True)
    await acme.say("Ada", "general", "before")
    granted = await installed(client, slacks, "T0ACME")
    async with acme.workspace.deliveries.holding():
        await acme.say("Ada", "general", "while it is there")
        slacks.uninstall(acme)
        await acme.say("Ada", "general", "after")

    events = [delivery.event for delivery in acme.workspace.deliveries.sent]
    assert [event["type"] for event in events] == ["message", "tokens_revoked", "app_uninstalled"]
    for event in events:
        Contracts(shared).check_event(event)
    assert await refused(client.auth_test(token=granted["access_token"])) == "invalid_auth"
