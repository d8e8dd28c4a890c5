from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.demo import furnish
from bot.playground.local import LocalSlack
from bot.playground.page import STATIC
from bot.playground.state import Channel, User
from tests.playground.conftest import Json, Listener


@pytest.fixture
async def browser(slack: LocalSlack) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(slack.url) as session:
        yield session


async def told(browser: aiohttp.ClientSession, deed: str, **details: Any) -> tuple[int, Json]:
    """Do something as the page does it; return status and answer."""
    async with browser.post(f"/ui/{deed}", json=details) as response:
        return response.status, await response.json()


async def state(browser: aiohttp.ClientSession, user: User) -> Json:
    async with browser.get("/ui/state", params={"user": user.id}) as response:
        loaded: Json = await response.json()
        return loaded


async def next_change(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Json:
    """Return the next change of this kind."""
    async with asyncio.timeout(5):
        while True:
            change: Json = await socket.receive_json()
            if change["kind"] == kind:
                return change


@pytest.mark.parametrize("path", ["/", "/archives/C0LOCAL0001", "/archives/C0LOCAL0001/p1700000000000001"])
async def test_the_page_is_served_and_loads_nothing_from_elsewhere(browser: aiohttp.ClientSession, path: str) -> None:
    async with browser.get(path) as response:
        page = await response.text()

    assert response.status == 200
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    for reference in re.findall(r'(?:src|href)="([^"]+)"', page):
        async with browser.get(reference) as part:
            assert part.status == 200, reference


def test_the_page_holds_no_address_of_another_host_and_never_parses_html() -> None:
    for path in STATIC.iterdir():
        source = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!\$)[\w.-]+\.\w+", source), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", source), path.name


async def test_every_module_the_page_imports_is_there() -> None:
    for path in STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([a-z]+\.js)"', path.read_text("utf-8")):
            assert (STATIC / name).is_file(), f"{path.name} imports {name}"


async def test_files_beside_the_page_are_not_served(browser: aiohttp.ClientSession) -> None:
    for path in ("/static/nothing.js", "/static/..%2fpage.py", "/static/index.html"):
        async with browser.get(path) as response:
            assert response.status == 404


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
async def test_other_sites_can_neither_read_nor_post(
    slack: LocalSlack, browser: aiohttp.ClientSession, ada: User, general: Channel, header: dict[str, str]
) -> None:
    said = {"user": ada.id, "channel": general.id, "text": "not me"}

    async with browser.get("/ui/state", headers=header) as reading:
        pass
    async with browser.post("/ui/say", data=said, headers=header) as posting:
        pass

    assert (reading.status, posting.status) == (403, 403)
    assert slack.store.top_level(general.id) == []


async def test_one_sees_public_places_and_ones_own(
    slack: LocalSlack, browser: aiohttp.ClientSession, ada: User, ben: User, general: Channel
) -> None:
    slack.add_channel("leads", kind="private", members=[ada])
    slack.add_channel("handbook", members=[ada])
    cleo = slack.add_user("Cleo", kind="guest")
    slack.join(cleo, general)

    seen = {user.name: {c["name"] for c in (await state(browser, user))["channels"]} for user in (ada, ben, cleo)}

    assert seen == {
        "Ada": {"general", "handbook", "leads", ""},
        "Ben": {"general", "handbook", ""},
        "Cleo": {"general", ""},
    }


async def test_what_only_one_may_see_is_shown_to_no_other(
    slack: LocalSlack, client: AsyncWebClient, browser: aiohttp.ClientSession, ada: User, ben: User, general: Channel
) -> None:
    await client.chat_postEphemeral(channel=general.id, user=ada.id, text="only Ada")

    assert [m["text"] for m in (await state(browser, ada))["messages"][general.id]] == ["only Ada"]
    assert (await state(browser, ben))["messages"][general.id] == []


async def test_a_posted_message_with_a_file_reaches_the_others_live(
    slack: LocalSlack, browser: aiohttp.ClientSession, ada: User, ben: User, general: Channel
) -> None:
    async with browser.ws_connect(f"/ui/live?user={ben.id}") as live:
        form = aiohttp.FormData({"user": ada.id, "channel": general.id, "text": "@Recollect look"})
        form.add_field("files", b"%PDF-1.4", filename="handbook.pdf", content_type="application/pdf")
        async with browser.post("/ui/say", data=form) as response:
            ts = (await response.json())["ts"]

        change = await next_change(live, "message")

    assert change["message"]["ts"] == ts
    assert change["message"]["text"] == f"<@{slack.store.bot.id}> look"
    [file] = change["message"]["files"]
    async with browser.get(file["permalink"]) as saved:
        assert await saved.read() == b"%PDF-1.4"
        assert saved.headers["Content-Disposition"] == "attachment"


async def test_a_stream_and_its_status_are_seen_growing(
    slack: LocalSlack, client: AsyncWebClient, browser: aiohttp.ClientSession, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "question")
    recipient = {"recipient_user_id": ada.id, "recipient_team_id": slack.store.team_id}
    async with browser.ws_connect(f"/ui/live?user={ada.id}") as live:
        await client.assistant_threads_setStatus(channel_id=general.id, thread_ts=root.ts, status="is reading…")
        status = await next_change(live, "status")
        stream = {"channel": general.id, "thread_ts": root.ts, "markdown_text": "at ", **recipient}
        started = await client.api_call("chat.startStream", json=stream)
        gone = await next_change(live, "status")
        await client.chat_appendStream(channel=general.id, ts=started["ts"], markdown_text="eight")
        seen: list[str] = []
        while "at eight" not in seen:
            message = (await next_change(live, "message"))["message"]
            seen += [message["text"]] if message["ts"] == started["ts"] else []

    assert (status["status"], gone["status"]) == ("is reading…", "")
    assert message["streaming_state"] == "in_progress"


async def test_changes_in_private_places_and_for_one_person_stay_there(
    slack: LocalSlack, client: AsyncWebClient, browser: aiohttp.ClientSession, ada: User, ben: User, general: Channel
) -> None:
    leads = slack.add_channel("leads", kind="private", members=[ada])
    async with browser.ws_connect(f"/ui/live?user={ben.id}") as live:
        await slack.say(ada, leads, "hush")
        await client.chat_postEphemeral(channel=general.id, user=ada.id, text="only Ada")
        await client.views_publish(user_id=ada.id, view={"type": "home", "blocks": []})
        await slack.say(ada, general, "for everyone")

        first = await live.receive_json(timeout=5)

    assert first["message"]["text"] == "for everyone"


async def test_everything_a_person_does_on_the_page_is_done(
    slack: LocalSlack,
    client: AsyncWebClient,
    app: Listener,
    browser: aiohttp.ClientSession,
    ada: User,
    general: Channel,
) -> None:
    cleo = slack.add_user("Cleo")
    button = {"type": "button", "action_id": "any", "text": {"type": "plain_text", "text": "Go"}, "value": "1"}
    answer = await client.chat_postMessage(
        channel=general.id, text="x", blocks=[{"type": "actions", "elements": [button]}]
    )
    said = await slack.say(ada, general, "hello")
    me: dict[str, Any] = {"user": ada.id, "channel": general.id}

    deeds: list[tuple[str, dict[str, Any]]] = [
        ("command", {**me, "command": "/ask", "text": "why?"}),
        ("click", {**me, "ts": answer["ts"], "action_id": "any", "value": "1"}),
        ("react", {**me, "ts": said.ts, "name": "eyes"}),
        ("edit", {**me, "ts": said.ts, "text": "goodbye"}),
        ("stop", {**me, "ts": said.ts}),
        ("open_app", {"user": ada.id, "tab": "messages"}),
        ("join", {"user": cleo.id, "channel": general.id}),
    ]
    for deed, details in deeds:
        assert (await told(browser, deed, **details))[0] == 200, deed

    assert (said.text, said.reactions) == ("goodbye", {"eyes": [ada.id]})
    assert cleo.id in general.members
    assert {"command", "actions"} <= {key for payload in app.payloads for key in payload}
    await told(browser, "react", **me, ts=said.ts, name="eyes")
    await told(browser, "delete", **me, ts=said.ts)
    assert slack.store.message(general.id, said.ts) is None


async def test_what_cannot_be_done_is_said_in_plain_words(
    slack: LocalSlack, browser: aiohttp.ClientSession, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    command = {"user": ada.id, "channel": general.id, "command": "/ask", "text": "", "thread_ts": root.ts}

    assert await told(browser, "command", **command) == (400, {"error": "/ask is not supported in threads. Sorry!"})
    assert (await told(browser, "delete", user=ada.id, channel=general.id, ts="1.1"))[1] == {
        "error": "That message is gone."
    }
    async with browser.post("/ui/teleport", json={}) as response:
        assert response.status == 404


async def test_the_page_knows_whether_the_app_is_connected(
    slack: LocalSlack, browser: aiohttp.ClientSession, ada: User, client: AsyncWebClient, app: Listener
) -> None:
    assert (await state(browser, ada))["connected"] is True
    async with browser.ws_connect(f"/ui/live?user={ada.id}") as live:
        await slack.sockets.cut()

        assert (await next_change(live, "app"))["connected"] is False


async def test_a_workspace_without_people_says_so(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/ui/state") as response:
        assert (await response.json())["error"] == "This workspace has no people yet."


async def test_the_demo_has_an_admin_a_member_and_a_guest(slack: LocalSlack, browser: aiohttp.ClientSession) -> None:
    furnish(slack)

    first = await state(browser, slack.store.user("Ada"))

    assert [(u["name"], u["kind"], u["is_admin"]) for u in first["users"] if not u["is_bot"]] == [
        ("Ada", "member", True),
        ("Ben", "member", False),
        ("Cleo", "guest", False),
    ]
    assert [c["name"] for c in first["channels"] if c["name"]] == ["general", "handbook", "leads"]
