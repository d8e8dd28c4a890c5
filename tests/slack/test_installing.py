"""Signing in, as a browser does it: from /slack/install to Slack and back, over real HTTP and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from structlog.testing import capture_logs

from bot.db.engine import Sessions, build_engine
from bot.jobs.queue import Queue
from bot.playground.several import LocalSlacks
from bot.repositories.channels import ChannelRepository
from bot.services.departures import DepartureService
from bot.services.installations import InstallationService
from bot.slack.inbox import Inbox
from bot.slack.installing import COOKIE, INSTALL_PATH, REDIRECT_PATH, mount_installing
from bot.slack.oauth import SlackOAuth
from bot.vault import Vault
from bot.web.server import WebServer, make_web_app
from bot.wiring import make_departures
from tests.conftest import Database, execute
from tests.db.conftest import rows

NOTHING_LEAVES = ("Traceback", "Error", "xoxb", "invalid_code", "None")


@dataclass
class Page:
    status: int
    text: str
    headers: dict[str, str]


@dataclass
class Door:
    """The bot's front door, the Slack behind it, and a browser in front."""

    url: str
    slacks: LocalSlacks
    installed: list[str] = field(default_factory=list)

    async def leave(self, browser: aiohttp.ClientSession) -> str:
        """Begin to sign in; return Slack's address."""
        async with browser.get(f"{self.url}{INSTALL_PATH}", allow_redirects=False) as response:
            assert response.status == 302
            return response.headers["Location"]

    async def decide(self, browser: aiohttp.ClientSession, asks_at: str, *, team: str = "T0ACME") -> str:
        """Let the app into a workspace, or say no; return where Slack sends the browser."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(asks_at).query).items()}
        address = asks_at.partition("?")[0]
        async with browser.post(address, data={**asked, "team": team}, allow_redirects=False) as response:
            return response.headers["Location"]

    async def visit(self, browser: aiohttp.ClientSession, address: str) -> Page:
        async with browser.get(address, allow_redirects=False) as response:
            return Page(response.status, await response.text(), dict(response.headers))


@asynccontextmanager
async def a_browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        yield browser


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with a_browser() as browser:
        yield browser


@pytest.fixture
def installations(sessions: Sessions) -> InstallationService:
    return InstallationService(sessions, Vault({"a": b"a" * 32}), make_departures(sessions), limit=2)


@pytest.fixture
async def door(installations: InstallationService) -> AsyncIterator[Door]:
    async with LocalSlacks() as slacks:
        slacks.add("T0ACME", "Acme & <Sons>")
        slacks.add("T0ORG", "Org", enterprise_id="E0ORG")
        slacks.add("T0LATE", "Late")
        door, app = Door("", slacks), make_web_app()
        server = WebServer(app, host="127.0.0.1", port=0)
        oauth = SlackOAuth(
            client_id=slacks.client_id,
            client_secret=slacks.client_secret,
            redirect_url="http://placeholder",
            api_url=slacks.api_url,
        )
        mount_installing(
            app,
            oauth,
            installations,
            is_secure=False,
            on_installed=lambda: door.installed.append("installed"),
        )
        async with server:
            door.url = server.url
            redirect_url = f"{server.url}{REDIRECT_PATH}"
            slacks.redirect_uris.add(redirect_url)
            oauth._redirect_url = oauth._addresses.redirect_uri = redirect_url
            yield door
        await oauth.close()


async def team_ids(installations: InstallationService) -> list[str]:
    return [one.team_id for one in await installations.list_all()]


def assert_unusable(page: Page) -> None:
    assert page.status == 400
    assert "This sign-in can&#x27;t be used" in page.text
    assert "Nothing was installed" in page.text
    assert_plain(page)


def assert_plain(page: Page) -> None:
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Cache-Control"] == "no-store"
    assert [word for word in NOTHING_LEAVES if word in page.text] == []


async def test_a_workspace_lets_us_in_and_its_token_works(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    back = await door.decide(browser, await door.leave(browser))

    page = await door.visit(browser, back)

    (kept,) = await installations.list_all()
    assert page.status == 200
    assert "Recollect is in Acme &amp; &lt;Sons&gt;" in page.text
    assert_plain(page)
    assert (kept.team_id, kept.name, kept.is_enterprise) == ("T0ACME", "Acme & <Sons>", False)
    assert kept.access_token is not None
    assert door.slacks.grants.workspace_of(kept.access_token) is door.slacks.workspaces["T0ACME"]
    assert (kept.url, kept.bot_id) == (f"{door.slacks.api_url.removesuffix('api/')}", "B0RECOLLECT")
    assert door.installed == ["installed"]


async def test_an_organisation_lets_us_in_under_its_own_id(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    page = await door.visit(browser, await door.decide(browser, await door.leave(browser), team="T0ORG"))

    (kept,) = await installations.list_all()
    assert "organisation" in page.text
    assert (kept.team_id, kept.is_enterprise) == ("E0ORG", True)


async def test_slack_is_asked_for_the_manifests_scopes_with_a_state_and_a_cookie_for_this_browser(
    door: Door, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{door.url}{INSTALL_PATH}", allow_redirects=False) as response:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(response.headers["Location"]).query).items()}
        cookie = response.headers["Set-Cookie"]

    assert len(asked["state"]) == 43
    assert {"files:read", "chat:write", "users:read.email"} <= set(asked["scope"].split(","))
    assert cookie.startswith(f"{COOKIE}=")
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/slack"))
    assert asked["state"] not in cookie


async def test_a_sign_in_is_used_once(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    back = await door.decide(browser, await door.leave(browser))
    await door.visit(browser, back)

    again = await door.visit(browser, back)

    assert_unusable(again)
    assert door.installed == ["installed"]


async def test_another_browser_cannot_finish_it_nor_one_without_a_cookie(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    back = await door.decide(browser, await door.leave(browser))

    async with a_browser() as other, a_browser() as bare:
        await door.leave(other)
        by_another, by_none = await door.visit(other, back), await door.visit(bare, back)

    assert_unusable(by_another)
    assert_unusable(by_none)
    assert await team_ids(installations) == []
    assert (await door.visit(browser, back)).status == 200, "the one who began it still may"


async def test_one_that_is_too_old_is_refused(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService, database: Database
) -> None:
    back = await door.decide(browser, await door.leave(browser))
    await execute(database.owner_url, "UPDATE oauth_states SET expires_at = now()")

    page = await door.visit(browser, back)

    assert_unusable(page)
    assert await team_ids(installations) == []


@pytest.mark.parametrize(
    "query", ["", "code=x", "state=x&code=x", "state=%00&code=x", f"state={'s' * 43}&code=x", "error=access_denied"]
)
async def test_who_never_left_cannot_come_back(
    door: Door, browser: aiohttp.ClientSession, database: Database, query: str
) -> None:
    await door.leave(browser)

    page = await door.visit(browser, f"{door.url}{REDIRECT_PATH}?{query}")

    assert_unusable(page)
    assert await rows(database.owner_url, "SELECT count(*) FROM installations") == [(0,)]
    assert await rows(database.owner_url, "SELECT count(*) FROM oauth_states") == [(1,)], "the real one still stands"


async def test_saying_no_is_an_answer(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    page = await door.visit(browser, await door.decide(browser, await door.leave(browser), team=""))

    assert page.status == 200
    assert "You said no" in page.text
    assert_plain(page)
    assert await team_ids(installations) == []


async def test_what_slack_refuses_is_said_without_its_words(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    back = await door.decide(browser, await door.leave(browser))
    door.slacks.faults.refuse("oauth.v2.access", "invalid_code")

    page = await door.visit(browser, back)

    assert page.status == 400
    assert "Slack didn&#x27;t let me in" in page.text
    assert_plain(page)
    assert await team_ids(installations) == []


@pytest.mark.parametrize("code", ["account_inactive", "team_access_not_granted"])
async def test_a_token_that_is_worth_nothing_by_then_is_said_without_slacks_words(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService, code: str
) -> None:
    back = await door.decide(browser, await door.leave(browser))
    door.slacks.workspaces["T0ACME"].faults.refuse("auth.test", code)

    page = await door.visit(browser, back)

    assert page.status == 400
    assert "Slack didn&#x27;t let me in" in page.text
    assert_plain(page)
    assert await team_ids(installations) == []


async def test_where_there_is_no_room_it_says_so_and_leaves_and_who_is_in_may_sign_in_anew(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    async def installed(team_id: str) -> Page:
        return await door.visit(browser, await door.decide(browser, await door.leave(browser), team=team_id))

    in_time = [(await installed(team_id)).status for team_id in ("T0ACME", "T0ORG")]
    late, again = await installed("T0LATE"), await installed("T0ACME")

    assert (in_time, late.status, again.status) == ([200, 200], 403, 200)
    assert "no room for another workspace" in late.text
    assert_plain(late)
    assert await team_ids(installations) == ["E0ORG", "T0ACME"]
    assert not door.slacks.workspaces["T0LATE"].store.is_installed
    assert door.slacks.workspaces["T0LATE"].tokens.grants == {}


async def test_an_uninstallation_that_is_told_while_it_is_installed_is_purged_first(
    door: Door,
    browser: aiohttp.ClientSession,
    installations: InstallationService,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with sessions.tenant("T0ACME") as session:
        await ChannelRepository(session).record_workspace("T0ACME", name="Before")
    whole, told = DepartureService.is_gone, iter([True])

    async def and_then_it_is_told(service: DepartureService, team_id: str) -> bool:
        is_gone = await whole(service, team_id)
        if next(told, False):
            await Inbox(sessions, Queue()).depart(team_id, told_at=None)
        return is_gone

    monkeypatch.setattr(DepartureService, "is_gone", and_then_it_is_told)
    page = await door.visit(browser, await door.decide(browser, await door.leave(browser)))

    assert page.status == 200
    assert await team_ids(installations) == ["T0ACME"]
    async with sessions.tenant("T0ACME") as session:
        assert await ChannelRepository(session).get_workspace("T0ACME") is None, "it starts empty"


async def test_one_that_is_uninstalled_again_and_again_meanwhile_is_asked_to_try_again(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(DepartureService, "_let_in", refuse)
    page = await door.visit(browser, await door.decide(browser, await door.leave(browser)))

    assert page.status == 503
    assert_plain(page)


async def test_a_slack_that_fails_is_said_and_may_be_tried_again(
    door: Door, browser: aiohttp.ClientSession, installations: InstallationService
) -> None:
    back = await door.decide(browser, await door.leave(browser))
    door.slacks.faults.refuse("oauth.v2.access", "internal_error", status=500)

    failed = await door.visit(browser, back)
    page = await door.visit(browser, await door.decide(browser, await door.leave(browser)))

    assert (failed.status, page.status) == (503, 200)
    assert_plain(failed)
    assert await team_ids(installations) == ["T0ACME"]


async def test_a_database_that_is_away_is_said(browser: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    engine = build_engine(f"postgresql+asyncpg://nobody@127.0.0.1:{unused_tcp_port}/none")
    app = make_web_app()
    oauth = SlackOAuth(client_id="1.2", client_secret="s", redirect_url="http://x", api_url="http://127.0.0.1/api/")
    sessions = Sessions(engine)
    away = InstallationService(sessions, Vault({"a": b"a" * 32}), make_departures(sessions))
    mount_installing(app, oauth, away, is_secure=True, on_installed=lambda: None)
    async with WebServer(app, host="127.0.0.1", port=0) as server:
        page = await Door(server.url, LocalSlacks()).visit(browser, f"{server.url}{INSTALL_PATH}")
    await oauth.close()
    await engine.dispose()

    assert page.status == 503
    assert_plain(page)


async def test_no_log_line_holds_a_token_a_code_or_a_state(door: Door, browser: aiohttp.ClientSession) -> None:
    with capture_logs() as logs:
        back = await door.decide(browser, await door.leave(browser))
        await door.visit(browser, back)
        await door.visit(browser, back)

    asked = parse_qs(urlsplit(back).query)
    said = str(logs)
    assert "workspace.installed" in said
    assert "xoxb-" not in said
    assert asked["code"][0] not in said
    assert asked["state"][0] not in said
