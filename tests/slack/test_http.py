"""Slack over HTTP: what Slack signed is heard, and nothing that anybody else sends does harm."""

from __future__ import annotations

import io
import json
import time
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.db.engine import Sessions
from bot.playground.http_events import signature
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.slack.http import EVENTS_PATH, MAX_BODY_BYTES, is_signed, mount_slack, readable
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.slack.acts import HANDBOOK, asked, buttons, count, shared
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


async def test_an_event_that_could_not_be_stored_is_not_acknowledged(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    async with start_bot(**over_http(slack)) as server:
        await slack.deliver_over_http(server.url + EVENTS_PATH)
        monkeypatch.setattr("bot.slack.inbox.InboxRepository.record", fail)
        slack.workspace.deliveries.retry_delays_s = (0.1,)
        question = await slack.mention("Ada", "general", "When does the office open?")
        await slack.settle()

        assert all(delivery.acked_at is None for delivery in slack.delivered(question))


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


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
def test_any_body_is_readable_or_refused(body: bytes, content_type: str) -> None:
    text = readable(body, content_type)

    assert text is None or text.encode() == body


def test_forms_and_objects_are_readable() -> None:
    click = urlencode({"payload": json.dumps({"type": "block_actions"})}).encode()

    assert readable(b"command=%2Fask&text=hello", "application/x-www-form-urlencoded")
    assert readable(click, "application/x-www-form-urlencoded")
    assert readable(b'{"type": "url_verification"}', "application/json")


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        mount_slack(aiohttp.web.Application(), None, signing_secret="")  # type: ignore[arg-type]  # never reached
