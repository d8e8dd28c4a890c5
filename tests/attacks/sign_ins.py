"""A bot that workspaces let in by OAuth, as a process, and the browsers that come to its door: true ones and forged."""

from __future__ import annotations

import base64
import random
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp

from bot.playground.demo import furnish
from bot.playground.several import AUTHORIZE_PATH, LocalSlacks
from bot.slack.installing import COOKIE, INSTALL_PATH, REDIRECT_PATH
from tests.attacks.knocks import Answer, Knock, knock_all
from tests.attacks.program import start
from tests.faults.processes import BotProcess
from tests.faults.world import World

PUBLIC_URL = "https://recollect.harbour.test"
TEAM_ID = "T0HARBOUR"


@dataclass(frozen=True, slots=True)
class SignIn:
    """One that was begun: the state that Slack was given, and what the browser keeps of it."""

    state: str
    cookie: str


@dataclass(frozen=True, slots=True)
class House:
    """A bot for several workspaces, and the Slack that they are in; nobody has let it in yet."""

    process: BotProcess
    slacks: LocalSlacks
    token_key: str

    async def begin(self) -> SignIn:
        """Leave for Slack, as a browser does, and come no further."""
        async with (
            aiohttp.ClientSession() as browser,
            browser.get(self.process.url + INSTALL_PATH, allow_redirects=False) as response,
        ):
            asked = parse_qs(urlsplit(response.headers["Location"]).query)
            cookie: SimpleCookie = SimpleCookie(response.headers["Set-Cookie"])
            return SignIn(asked["state"][0], cookie[COOKIE].value)

    async def allow(self, sign_in: SignIn) -> Knock:
        """Say yes to Slack, and return how the browser comes back."""
        form = {
            "client_id": self.slacks.client_id,
            "redirect_uri": PUBLIC_URL + REDIRECT_PATH,
            "scope": "chat:write",
            "state": sign_in.state,
            "team": TEAM_ID,
        }
        address = self.slacks.api_url.removesuffix("/api/") + AUTHORIZE_PATH
        async with (
            aiohttp.ClientSession() as browser,
            browser.post(address, data=form, allow_redirects=False) as response,
        ):
            back = urlsplit(response.headers["Location"])
        return Knock("true", f"{back.path}?{back.query}", "GET", None, _cookie(sign_in.cookie))

    async def install(self) -> Answer:
        """Let the bot into the workspace."""
        (answer,) = await knock_all(self.process.url, [await self.allow(await self.begin())])
        return answer


@asynccontextmanager
async def open_house(
    world: World, *, settings: Mapping[str, object] | None = None, sabotage: str | None = None, name: str = "shared"
) -> AsyncIterator[House]:
    """Start `bot run` for several workspaces on the world's database, beside a Slack of its own."""
    async with LocalSlacks() as slacks:
        furnish(slacks.add(TEAM_ID, "Harbour"))
        slacks.redirect_uris.add(PUBLIC_URL + REDIRECT_PATH)
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        needed = {
            "slack_bot_token": None,
            "slack_app_token": None,
            "slack_signing_secret": slacks.signing_secret,
            "slack_client_id": slacks.client_id,
            "slack_client_secret": slacks.client_secret,
            "token_keys": f"attacks:{key}",
            "public_url": PUBLIC_URL,
            "slack_api_url": slacks.api_url,
        }
        process = await start(world, "run", settings={**(settings or {}), **needed}, sabotage=sabotage, name=name)
        yield House(process, slacks, key)


async def forged_returns(house: House, world: World, count: int, dice: random.Random) -> list[Knock]:
    """Return visits of browsers that didn't leave from here, or not now, or are others than those that did."""
    real, other, late = [await house.begin() for _ in range(3)]
    expired = "UPDATE oauth_states SET expires_at = now() WHERE state = encode(sha256($1::bytea), 'hex') RETURNING 1"
    if await world.postgres.value(expired, f"{late.state}.{late.cookie}".encode()) != 1:
        raise AssertionError("no sign-in to be late with")
    kinds: list[tuple[str, str | None, str | None, Mapping[str, str]]] = [
        ("a state that nobody gave out", secrets.token_urlsafe(), real.cookie, {}),
        ("no state", None, real.cookie, {}),
        ("an empty state", "", real.cookie, {}),
        ("a cut state", real.state[:-1], real.cookie, {}),
        ("a longer state", real.state + "A", real.cookie, {}),
        ("NUL", "\0" * 43, real.cookie, {}),
        ("a quotation mark", f"{real.state[:-14]}' OR '1'='1' --", real.cookie, {}),
        ("the cookie for a state", real.cookie, real.cookie, {}),
        ("another browser's", real.state, other.cookie, {}),
        ("a browser's without a cookie", real.state, None, {}),
        ("a cookie that nobody gave out", real.state, secrets.token_urlsafe(), {}),
        ("an odd cookie", real.state, "x", {}),
        ("too late", late.state, late.cookie, {}),
        ("a no without a state", None, real.cookie, {"error": "access_denied"}),
        ("a no of another browser's", real.state, other.cookie, {"error": "access_denied"}),
    ]  # fmt: skip
    dice.shuffle(kinds)
    return [_return(*kinds[number % len(kinds)]) for number in range(count)]


def _return(what: str, state: str | None, cookie: str | None, more: Mapping[str, str]) -> Knock:
    query = {"code": secrets.token_urlsafe(16), **({} if state is None else {"state": state}), **more}
    headers = {} if cookie is None else _cookie(cookie)
    return Knock(what, f"{REDIRECT_PATH}?{urlencode(query)}", "GET", None, headers)


def _cookie(value: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={value}"}
