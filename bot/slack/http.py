"""Slack over HTTP: signed requests to one path, checked here before anything reads them, and handed to Bolt."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response

from bot.slack.dispatch import Listeners, dispatch, is_request

log = structlog.get_logger()

EVENTS_PATH = "/slack/events"
MAX_BODY_BYTES = 2**20
WINDOW_S = 300
"""Age at which a signed request counts as replayed (docs.slack.dev, "Verifying requests from Slack")."""
REQUESTS_LIMIT = 500
_BODY_TIMEOUT_S = 5.0
_TIMESTAMP_DIGITS = 12


def mount_slack(
    app: web.Application,
    bolt: Listeners,
    *,
    signing_secrets: Sequence[str],
    on_heard: Callable[[], None],
    requests_limit: int = REQUESTS_LIMIT,
) -> None:
    """Serve Slack's events, commands and clicks at `/slack/events`; `on_heard` is called for each that was taken.

    Answers 401 to what Slack didn't sign just now, 413 to what is too large, 408 to what is too slow, 400 to what can't
    be read, and 503 to what can't be stored now, or comes while `requests_limit` others are worked on: Slack sends that
    again. `signing_secrets` are the one that is set in Slack and, while it is changed, the former one. Raises ValueError for
    an empty one, with which anybody could sign.
    """
    if not signing_secrets or not all(signing_secrets):
        raise ValueError("an empty signing secret")
    under_way = 0
    signatures = Signatures(signing_secrets)

    async def on_request(request: web.Request) -> web.Response:
        nonlocal under_way
        if under_way >= requests_limit:
            log.warning("request.shed", waiting=under_way)
            raise web.HTTPServiceUnavailable
        under_way += 1
        try:
            return await respond(request)
        finally:
            under_way -= 1

    async def respond(request: web.Request) -> web.Response:
        body = await _body(request)
        headers = request.headers
        timestamp, signature = headers.get("X-Slack-Request-Timestamp", ""), headers.get("X-Slack-Signature", "")
        if not signatures.are_ours(body, timestamp, signature, now=time.time()):
            log.warning("request.unsigned", path=request.path)
            raise web.HTTPUnauthorized
        text = readable(body, request.content_type)
        if text is None:
            log.warning("request.unreadable", path=request.path)
            raise web.HTTPBadRequest
        response = await dispatch(bolt, text, raw=body, headers=headers, query=request.query_string)
        if response.status == HTTPStatus.OK:
            on_heard()
        return await to_aiohttp_response(response)

    app.router.add_post(EVENTS_PATH, on_request)


class Signatures:
    """Looks at signatures by the secret that is set in Slack, and by the former one while that is changed."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._has_told = False

    def are_ours(self, body: bytes, timestamp: str, signature: str, *, now: float) -> bool:
        """Tell as `is_signed` whether any of the secrets signed this; that a former one did is said once in the log."""
        fits = [is_signed(body, timestamp, signature, secret=secret, now=now) for secret in self._secrets]
        if any(fits[1:]) and not self._has_told:
            self._has_told = True
            log.warning("request.signed_by_former_secret", setting="SLACK_FORMER_SIGNING_SECRET")
        return any(fits)


def is_signed(body: bytes, timestamp: str, signature: str, *, secret: str, now: float) -> bool:
    """True when Slack signed exactly these bytes, at most five minutes ago; whatever the headers hold."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_DIGITS):
        return False
    if abs(now - int(timestamp)) > WINDOW_S:
        return False
    signed = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape"))


def readable(body: bytes, content_type: str) -> str | None:
    """Return the body as text when Bolt can read it: an object, whose event, if any, is one with a type; else None."""
    try:
        text = body.decode()
        payload = _payload(text, content_type)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested beyond all reason
        return None
    return text if is_request(payload) else None


def _payload(text: str, content_type: str) -> Any:
    """Return what a body says: JSON, a form, or JSON in the form's one field."""
    if content_type == "application/json" or text.startswith("{"):
        return json.loads(text)
    form = {key: values[-1] for key, values in parse_qs(text, keep_blank_values=True).items()}
    return json.loads(form["payload"]) if "payload" in form else form


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for piece in request.content.iter_chunked(2**16):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)
