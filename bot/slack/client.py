"""The two Slack clients, and Slack's errors in our words.

Posting never retries by itself: a dropped connection may have posted already. Reading does.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.errors import InvalidSettings, NotFound, ServiceUnavailable

log = structlog.get_logger()

UNREACHED = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)
"""No answer from Slack, or none that can be read: nobody knows whether it did what it was asked."""

POST_INTERVAL_S = 1.05
"""Slack takes about one message a second per channel."""

_GONE = frozenset(
    [
        "channel_not_found",
        "user_not_found",
        "file_not_found",
        "not_in_channel",
        "file_deleted",
        "user_not_visible",
        "thread_not_found",
        "message_not_found",
    ]
)
_TOKEN = frozenset(["invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"])
UNSUPPORTED = frozenset(
    [
        "unknown_method",
        "missing_scope",
        "not_allowed_token_type",
        "method_not_supported_for_channel_type",
        "access_denied",
        "feature_not_enabled",
    ]
)
"""What a server or workspace answers for a method it doesn't offer us."""


class Clients:
    """Both clients over one HTTP session, and a third without a token, which Bolt gives one; made in a running loop."""

    def __init__(self, token: str, *, base_url: str) -> None:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        self.posting = AsyncWebClient(token, base_url=base_url, session=self.session, retry_handlers=[])
        self.reading = AsyncWebClient(
            token,
            base_url=base_url,
            session=self.session,
            retry_handlers=[
                AsyncConnectionErrorRetryHandler(),
                AsyncServerErrorRetryHandler(),
                AsyncRateLimitErrorRetryHandler(max_retry_count=1),
            ],
        )

        self.nameless = AsyncWebClient(base_url=base_url, session=self.session, retry_handlers=[])

    async def close(self) -> None:
        """Close the session."""
        await self.session.close()


async def ask(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    """Await a call to Slack. Raises NotFound, InvalidSettings (token) or ServiceUnavailable."""
    try:
        return await call
    except SlackApiError as error:
        raise _translated(error) from error
    except UNREACHED as error:
        raise ServiceUnavailable(f"Slack: {type(error).__name__}") from error


def error_code(error: SlackApiError) -> str:
    """Return Slack's short name of what went wrong; `http_500` and the like where it gave none."""
    response = error.response
    code = response.get("error") if isinstance(response, dict | AsyncSlackResponse) else None
    return str(code or f"http_{getattr(response, 'status_code', 'unknown')}")


def _translated(error: SlackApiError) -> NotFound | InvalidSettings | ServiceUnavailable:
    code = error_code(error)
    if code in _GONE:
        return NotFound(code)
    if code in _TOKEN:
        message = "Slack refuses SLACK_BOT_TOKEN. Copy it again from OAuth & Permissions (it begins with xoxb-)."
        return InvalidSettings(code, user_message=message)
    return ServiceUnavailable(f"Slack: {code}")


class Pacer:
    """Keeps posts to one channel a second apart."""

    def __init__(self, interval_s: float = POST_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._next: dict[str, float] = defaultdict(float)

    async def turn(self, channel_id: str) -> None:
        """Wait until a message may be posted to the channel."""
        now = time.monotonic()
        at = max(now, self._next[channel_id])
        self._next[channel_id] = at + self._interval_s
        if at > now:
            await asyncio.sleep(at - now)

    def give_back(self, channel_id: str) -> None:
        """Let the next message come at once: the one whose turn it was never appeared."""
        self._next[channel_id] -= self._interval_s

    def push_back(self, channel_id: str, seconds: float) -> None:
        """Let nobody post to the channel for so long: Slack said so."""
        self._next[channel_id] = max(self._next[channel_id], time.monotonic() + seconds)


class Poster:
    """Calls that make a message appear: paced, and tried again only when Slack said that nothing was posted."""

    def __init__(self, client: AsyncWebClient, pacer: Pacer) -> None:
        self._client = client
        self._pacer = pacer

    async def call(self, method: str, *, channel: str, **arguments: object) -> AsyncSlackResponse:
        """Call a method that posts; SlackApiError comes through, so that callers can fall back.

        Raises ServiceUnavailable when no answer came: it may have been posted.
        """
        while True:
            await self._pacer.turn(channel)
            try:
                return await self._client.api_call(method, json={"channel": channel, **arguments})
            except SlackApiError as error:
                if error_code(error) != "ratelimited":
                    self._pacer.give_back(channel)
                    raise
                wait_s = float(error.response.headers.get("Retry-After", 1))
                log.warning("slack.rate_limited", method=method, wait_s=wait_s)
                self._pacer.push_back(channel, min(wait_s, 60))
            except UNREACHED as error:
                raise ServiceUnavailable(f"Slack: {type(error).__name__}") from error
