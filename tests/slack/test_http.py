"""Slack over HTTP: what Slack signed is heard, and nothing that anybody else sends does harm."""

from __future__ import annotations

import asyncio
import io
import json
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import text
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.playground.http_events import signature
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.slack.http import EVENTS_PATH, MAX_BODY_BYTES, is_signed, mount_slack, readable
from bot.smoke import quoted_words
from bot.web.server import WebServer, make_web_app
from tests.conftest import TEAM
from tests.slack.acts import HANDBOOK, asked, buttons, count, last_heard, shared, until, value
from tests.slack.conftest import StartBot

SECRET = "0123456789abcdef"


def over_http(slack: LocalSlack) -> dict[str, object]:
    """Return the settings of a bot that has a signing secret and no app token."""
    return {"slack_app_token": None, "slack_signing_secret": SecretStr(slack.signing_secret)}


async def send(
    server: WebServer,
    body: bytes,
    *,
    timestamp: str | None = None,
    sign: str | None = None,
    secret: str = "",
    content_type: str = "application/json",
) -> int:
    """Post a body and return the status; signed as Slack would with this secret, unless told otherwise."""
    stamp = timestamp or str(int(time.time()))
    headers = {
        "Content-Type": content_type,
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": sign or signature(secret, stamp, body),
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.url + EVENTS_PATH, data=io.BytesIO(body), headers=headers) as response,
    ):
        return response.status


def an_event(slack: LocalSlack, event_id: str, **changes: object) -> dict[str, Any]:
    """Return the body of an event in which Ada asks something."""
    event = {
        "type": "message",
        "channel": slack.store.channel("general").id,
        "channel_type": "channel",
        "user": slack.store.user("Ada").id,
        "ts": "1700000000.000100",
        "text": f"<@{slack.store.bot.id}> When does the office open?",
        **changes,
    }
    return {"type": "event_callback", "event_id": event_id, "team_id": TEAM, "event": event}


async def test_a_question_comes_and_goes_over_http(slack: LocalSlack, start_bot: StartBot) -> None:
    async with start_bot(**over_http(slack)) as server:
        transport = await slack.deliver_over_http(server.url + EVENTS_PATH)
        assert await transport.verify_url()
        root = await shared(slack, HANDBOOK)

        reply = await asked(slack, "When does the office open?", root)
        asked_at = await slack.command("Ada", "general", "/docs", "list")
        listed = await slack.wait_for_ephemeral("Ada", "general", after=asked_at)
        pressed_at = await slack.click("Ada", listed, "document_show")
        opened = await slack.wait_for_ephemeral("Ada", "general", until=lambda m: "document_delete" in buttons(m))

    assert any("eight in the morning" in words for words in quoted_words(reply))
    assert "handbook.md" in words_of(opened)
    assert pressed_at > asked_at


async def test_nothing_anybody_sends_does_harm(slack: LocalSlack, start_bot: StartBot, sessions: Sessions) -> None:
    event = json.dumps({"type": "event_callback", "event": {"type": "app_mention", "text": "hi"}}).encode()
    nonsense = [
        b"{{{",
        b"[1,2]",
        b"null",
        b"[" * 100_000,
        b"",
        b"\xff\xfe",
        b"{" + b'"a":{' * 50_000,
        b"payload=%7B%7B",
        b"payload=3",
    ]
    async with start_bot(**over_http(slack)) as server:
        forged = [await send(server, body, secret="another") for body in (event, *nonsense)]
        odd_times = [
            "now",
            "9" * 400,
            "-1",
            "1.5",
            "１２３",
            "0",
            str(int(time.time()) - 301),
            str(int(time.time()) + 400),
        ]
        timed = [await send(server, event, timestamp=odd, sign="v0=0") for odd in odd_times]
        signs = [await send(server, event, sign=sign) for sign in ("v0=ü", "v0=", "v1=abc", "é" * 1000)]
        signed = [await send(server, body, secret=slack.signing_secret) for body in nonsense]
        odd_events: list[object] = [None, "x", [], {}, {"type": 3}]
        strange = [
            await send(
                server, json.dumps({"type": "event_callback", "event": odd}).encode(), secret=slack.signing_secret
            )
            for odd in odd_events
        ]
        large = await send(server, b"x" * (MAX_BODY_BYTES + 1), secret=slack.signing_secret)

    assert set(forged) == set(timed) == set(signs) == {401}
    assert set(signed) <= {400, 404}
    assert set(strange) == {400}
    assert large == 413
    assert await count(sessions, "inbox") == 0


async def test_an_event_that_could_not_be_stored_is_not_acknowledged_and_its_retry_is(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot(**over_http(slack)) as server:
        await slack.deliver_over_http(server.url + EVENTS_PATH)
        slack.workspace.deliveries.retry_delays_s = (0.0, 1.0)
        async with sessions.tenant(TEAM) as session:
            await session.execute(text("LOCK TABLE inbox IN SHARE MODE"))
            body = json.dumps(an_event(slack, "Ev1")).encode()
            refused = await send(server, body, secret=slack.signing_secret)
            question = await slack.mention("Ada", "general", "When does the office open?")
            await asyncio.sleep(0.5)
            unacknowledged = [delivery.acked_at is None for delivery in slack.delivered(question)]
        await slack.settle()
        reply = await slack.wait_for_reply("general", question.ts, timeout=30)

        assert refused == 503
        assert all(unacknowledged)
        assert "found nothing" in words_of(reply)
        assert await count(sessions, "work WHERE task = 'answer'") == 1


async def test_a_question_is_stored_as_the_bytes_that_came(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    event = an_event(slack, "Ev1", text="<@" + slack.store.bot.id + "> Wo ist das Büro? \ud83c")
    body = json.dumps(event, indent=3).encode()
    async with start_bot(**over_http(slack)) as server:
        assert await send(server, body, secret=slack.signing_secret) == 200
        await slack.deliver_over_http(server.url + EVENTS_PATH)
        at = await slack.command("Ada", "general", "/ask", "Wo ist das Büro?")
        private = await slack.wait_for_ephemeral("Ada", "general", after=at, until=lambda m: m.text != "Looking …")
        form = await value(sessions, "SELECT body FROM inbox WHERE event_id LIKE 'command:%'")

    assert await value(sessions, "SELECT body FROM inbox WHERE event_id = 'Ev1'") == body
    assert "You asked: Wo ist das Büro?" in words_of(private)
    assert b"command=%2Fask" in form
    assert b"text=Wo+ist+das+B%C3%BCro%3F" in form


async def test_no_signed_nonsense_gets_an_error_of_ours(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    known = an_event(slack, "Ev1")
    odd: list[object] = [None, "x", 3, [], {}, [[]], {"id": []}, "\x00", "\ud800", "x" * 5000]
    bodies = [{**known, name: junk} for name in known for junk in odd]
    kinds = ("message", "app_mention", "file_deleted", "app_home_opened", "reaction_added", "unheard_of")
    names = (
        *known["event"],
        "subtype",
        "bot_id",
        "files",
        "thread_ts",
        "message",
        "previous_message",
        "file_id",
        "tab",
    )
    bodies += [
        {**known, "event": {**known["event"], "type": kind, name: junk}}
        for kind in kinds
        for name in names
        for junk in odd
    ]
    async with start_bot(**over_http(slack)) as server:
        statuses = [await send(server, json.dumps(body).encode(), secret=slack.signing_secret) for body in bodies]
        place = {"team_id": "T1", "user_id": "U1", "channel_id": "C1", "response_url": slack.url}
        form = {"command": "/ask", "text": "x", "trigger_id": "1", **place}
        commands = [
            await send(
                server,
                urlencode({**form, name: junk}).encode(),
                secret=slack.signing_secret,
                content_type="application/x-www-form-urlencoded",
            )
            for name in form
            for junk in ("", "\x00", "é", "x" * 5000)
        ]

    assert set(statuses) <= {200, 400, 404}
    assert set(commands) <= {200, 400, 404}


async def test_only_so_many_requests_are_worked_on_at_once() -> None:
    release = asyncio.Event()

    class Slow(AsyncApp):
        async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
            await release.wait()
            return BoltResponse(status=200)

    bolt = Slow(client=AsyncWebClient("xoxb-none"), request_verification_enabled=False)
    app = make_web_app()
    mount_slack(app, bolt, signing_secrets=[SECRET], on_heard=lambda: None, requests_limit=2)
    async with WebServer(app, host="127.0.0.1", port=0) as server:
        waiting = [asyncio.create_task(send(server, b"{}", secret=SECRET)) for _ in range(2)]
        await asyncio.sleep(0.2)
        shed = await send(server, b"{}", secret=SECRET)
        release.set()
        statuses = await asyncio.gather(*waiting)
        after = await send(server, b"{}", secret=SECRET)

    assert (shed, statuses, after) == (503, [200, 200], 200)


async def test_requests_that_were_taken_count_as_heard_and_no_others(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot(**over_http(slack)) as server:
        await last_heard(sessions, "2 hours")
        await send(server, b"{{{", secret=slack.signing_secret)
        await send(server, b"{}", secret="another")
        unheard = await value(sessions, "SELECT heard_at < now() - interval '1 hour' FROM workspaces")
        await send(server, json.dumps(an_event(slack, "Ev1")).encode(), secret=slack.signing_secret)

        async def caught_up() -> bool:
            return await count(sessions, "work WHERE task = 'backfill' AND state = 'done'") == 1

        await until(caught_up)

    assert unheard
    assert await value(sessions, "SELECT heard_at > now() - interval '1 minute' FROM workspaces")


@pytest.mark.parametrize("minute", [0, 1, "soon", None, 10**30, True])
async def test_a_minute_of_which_slack_left_out_events_is_read(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, minute: object
) -> None:
    told = {"type": "app_rate_limited", "team_id": TEAM, "minute_rate_limited": minute, "api_app_id": "A1"}
    if minute == 0:
        told["minute_rate_limited"] = int(time.time()) - 600
    async with start_bot(**over_http(slack)) as server:
        assert await send(server, json.dumps(told).encode(), secret=slack.signing_secret) == 200

        async def caught_up() -> bool:
            return await count(sessions, "work WHERE task = 'backfill' AND state = 'done'") == 1

        await until(caught_up)

    age_s = await value(sessions, "SELECT extract(epoch FROM now() - CAST(ids->>'since' AS timestamptz)) FROM work")
    assert 60 < age_s < 7200
    assert minute != 0 or 600 < age_s < 900


@given(st.text(max_size=40), st.text(max_size=80), st.binary(max_size=40))
def test_no_header_and_no_body_passes_for_signed(timestamp: str, sign: str, body: bytes) -> None:
    assert not is_signed(body, timestamp, sign, secret=SECRET, now=time.time())


def test_slacks_own_signature_passes_for_five_minutes() -> None:
    body, stamp = b'{"type":"event_callback"}', "1700000000"
    sign = signature(SECRET, stamp, body)

    assert is_signed(body, stamp, sign, secret=SECRET, now=1700000300.0)
    assert not is_signed(body, stamp, sign, secret=SECRET, now=1700000301.0)
    assert not is_signed(body + b" ", stamp, sign, secret=SECRET, now=1700000000.0)
    assert not is_signed(body, stamp, sign, secret="another", now=1700000000.0)


async def test_while_the_secret_is_changed_both_are_taken_and_the_former_one_is_named_once(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    settings = over_http(slack) | {"slack_former_signing_secret": SecretStr(SECRET)}
    with capture_logs() as logs:
        async with start_bot(**settings) as server:
            statuses = [
                await send(server, b'{"type": "url_verification", "challenge": "x"}', secret=secret)
                for secret in (SECRET, slack.signing_secret, SECRET, "other")
            ]

    named = [entry["setting"] for entry in logs if entry["event"] == "request.signed_by_former_secret"]
    assert statuses == [200, 200, 200, 401]
    assert named == ["SLACK_FORMER_SIGNING_SECRET"]


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
def test_any_body_is_readable_or_refused(body: bytes, content_type: str) -> None:
    words = readable(body, content_type)

    assert words is None or words.encode() == body


def test_forms_and_objects_are_readable() -> None:
    form = "application/x-www-form-urlencoded"
    place = {"team_id": "T1", "user_id": "U1", "channel_id": "C1", "response_url": "https://hooks.test/r"}
    click = {"type": "block_actions", "actions": [{"action_id": "a"}], "user": {"id": "U1"}, "team": {"id": "T1"}}

    assert readable(urlencode({"command": "/ask", "text": "hello", **place}).encode(), form)
    assert readable(urlencode({"payload": json.dumps(click)}).encode(), form)
    assert not readable(b"command=%2Fask&text=hello", form)
    assert not readable(urlencode({"payload": json.dumps({**click, "actions": []})}).encode(), form)
    assert readable(b'{"type": "url_verification"}', "application/json")


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        mount_slack(aiohttp.web.Application(), None, signing_secrets=[""], on_heard=print)  # type: ignore[arg-type]  # never reached
