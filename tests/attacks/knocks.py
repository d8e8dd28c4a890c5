"""Requests from outside: signed, forged, stale and malformed ones, sent as they are and answered with a status."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot.playground.http_events import signature
from bot.playground.local import LocalSlack
from bot.slack.http import EVENTS_PATH

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Knock:
    """One request, and what it is called; `body` None for a GET's."""

    what: str
    path: str = EVENTS_PATH
    method: str = "POST"
    body: bytes | None = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got: an HTTP status, 0 for a connection that broke; the body; after how many seconds."""

    knock: Knock
    status: int
    seconds: float
    text: str = ""


def signed(
    what: str,
    body: bytes,
    *,
    secret: str,
    timestamp: str | None = None,
    content_type: str = JSON,
    sign: str | None = None,
) -> Knock:
    """Return a request signed as Slack would sign it with this secret, unless `sign` says otherwise."""
    stamp = timestamp or str(int(time.time()))
    headers = {
        "Content-Type": content_type,
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": signature(secret, stamp, body) if sign is None else sign,
    }
    return Knock(what, body=body, headers=headers)


def event_body(slack: LocalSlack, event_id: str, **changes: Any) -> dict[str, Any]:
    """Return an event in which somebody in the channel `quay` asks the bot something."""
    event = {
        "type": "app_mention",
        "channel": slack.store.channel("quay").id,
        "channel_type": "channel",
        "user": slack.store.user("Ana").id,
        "ts": f"{time.time():.6f}",
        "text": f"<@{slack.store.bot.id}> When does the office open?",
        **changes,
    }
    return {"type": "event_callback", "event_id": event_id, "team_id": slack.store.team_id, "event": event}


def to_bytes(payload: object) -> bytes:
    """Return a payload as Slack sends it."""
    return json.dumps(payload).encode()


async def knock_all(url: str, knocks: Iterable[Knock], *, at_once: int = AT_ONCE) -> list[Answer]:
    """Send requests, so many at a time, and return what they got, in their order."""
    places = asyncio.Semaphore(at_once)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def send(knock: Knock) -> Answer:
            async with places:
                return await _send(session, url, knock)

        return list(await asyncio.gather(*(send(knock) for knock in knocks)))


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    """Return how often each status came."""
    counted: dict[int, int] = {}
    for answer in answers:
        counted[answer.status] = counted.get(answer.status, 0) + 1
    return counted


async def _send(session: aiohttp.ClientSession, url: str, knock: Knock) -> Answer:
    began = time.monotonic()
    data = None if knock.body is None else io.BytesIO(knock.body)
    try:
        async with session.request(knock.method, url + knock.path, data=data, headers=knock.headers) as response:
            status, text = response.status, await response.text(errors="replace")
    except (aiohttp.ClientError, TimeoutError):
        status, text = 0, ""
    return Answer(knock, status, time.monotonic() - began, text)
