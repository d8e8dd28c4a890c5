"""Slack over HTTP: signed requests to one path, checked here before anything reads them, and handed to Bolt."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import parse_qs

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest

log = structlog.get_logger()

EVENTS_PATH = "/slack/events"
MAX_BODY_BYTES = 2**20
WINDOW_S = 300
"""Age at which a signed request counts as replayed (docs.slack.dev, "Verifying requests from Slack")."""
_TIMESTAMP_DIGITS = 12


def mount_slack(app: web.Application, bolt: AsyncApp, *, signing_secret: str) -> None:
    """Serve Slack's events, commands and clicks at `/slack/events`.

    Answers 401 to what Slack didn't sign just now, 413 to what is too large, and 400 to what can't be read.
    Raises ValueError for an empty secret, with which anybody could sign.
    """
    if not signing_secret:
        raise ValueError("an empty signing secret")

    async def on_request(request: web.Request) -> web.Response:
        body = await _body(request)
        headers = request.headers
        timestamp, signature = headers.get("X-Slack-Request-Timestamp", ""), headers.get("X-Slack-Signature", "")
        if not is_signed(body, timestamp, signature, secret=signing_secret, now=time.time()):
            log.warning("request.unsigned", path=request.path)
            raise web.HTTPUnauthorized
        text = readable(body, request.content_type)
        if text is None:
            log.warning("request.unreadable", path=request.path)
            raise web.HTTPBadRequest
        bolt_request = AsyncBoltRequest(body=text, query=request.query_string, headers=dict(headers))
        return await to_aiohttp_response(await bolt.async_dispatch(bolt_request))

    app.router.add_post(EVENTS_PATH, on_request)


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
    if not isinstance(payload, dict):
        return None
    event = payload.get("event", {"type": ""})
    return text if isinstance(event, dict) and isinstance(event.get("type"), str) else None


def _payload(text: str, content_type: str) -> Any:
    """Return what a body says: JSON, a form, or JSON in the form's one field."""
    if content_type == "application/json" or text.startswith("{"):
        return json.loads(text)
    form = {key: values[-1] for key, values in parse_qs(text, keep_blank_values=True).items()}
    return json.loads(form["payload"]) if "payload" in form else form


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async for piece in request.content.iter_chunked(2**16):
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, len(body))
    return bytes(body)
