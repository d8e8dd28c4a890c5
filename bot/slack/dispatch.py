"""Hands requests to Bolt's listeners, with the bytes they came as; what isn't shaped like one gets 400, never 500."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

import structlog
from slack_bolt.async_app import AsyncBoltRequest
from slack_bolt.error import BoltError
from slack_bolt.response import BoltResponse

from bot.errors import ServiceUnavailable
from bot.slack.payloads import Body, is_click, is_command

log = structlog.get_logger()

_NONSENSE = (AttributeError, BoltError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What Bolt raises while it reads a request that has the wrong things in the right places."""


class Listeners(Protocol):
    """What a request is handed to: the one workspace's Bolt, or a switchboard before the Bolts of several."""

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        """Return the answer."""
        ...


async def dispatch(
    bolt: Listeners, body: str | Body, *, raw: bytes, headers: Mapping[str, str], query: str = ""
) -> BoltResponse:
    """Return the listener's answer: 200 when it took the request, 503 when it couldn't be stored.

    `body` is a request's text over HTTP, or an envelope's payload; listeners find `raw` in their context.
    """
    mode = "http" if isinstance(body, str) else "socket_mode"
    try:
        request = AsyncBoltRequest(body=body, query=query, headers=dict(headers), context={"raw": raw}, mode=mode)
    except _NONSENSE as error:
        log.warning("request.unreadable", error=type(error).__name__)
        return BoltResponse(status=HTTPStatus.BAD_REQUEST)
    return await bolt.async_dispatch(request)


def is_request(payload: object) -> bool:
    """Tell whether this can be what Slack sends: a whole command or click, or else an event that has a type, if any."""
    if not isinstance(payload, dict):
        return False
    if "command" in payload:
        return is_command(payload)
    if "actions" in payload:
        return is_click(payload)
    event = payload.get("event", {"type": ""})
    return isinstance(event, dict) and isinstance(event.get("type"), str)


async def on_error(error: Exception) -> BoltResponse:
    """Answer for a listener that failed: nothing of the error leaves, and Slack sends the request again."""
    if isinstance(error, ServiceUnavailable):
        log.warning("request.unstored", error=type(error).__name__, reason=str(error))
        return BoltResponse(status=HTTPStatus.SERVICE_UNAVAILABLE)
    log.error("request.failed", exc_info=error)
    return BoltResponse(status=HTTPStatus.INTERNAL_SERVER_ERROR)
