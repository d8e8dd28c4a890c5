"""The two Slack clients, and Slack's errors in our words.

Posting never retries by itself: a dropped connection may have posted already. Reading does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.errors import InvalidRequest, InvalidSettings, NotFound, RecollectError, ServiceUnavailable
from bot.slack.heeding import Closed, HeedingClient, retry_after_s

log = structlog.get_logger()

UNREACHED = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)
"""No answer from Slack, or none that can be read: nobody knows whether it did what it was asked."""

PATIENCE_S = 3.0
"""How long a job may wait in its place for Slack's Retry-After; for longer it is put back."""
EDIT_PATIENCE_S = 10.0
"""The same for the change of a message that stands there already: the work is done by then."""

_GONE = frozenset(
    [
        "cannot_reply_to_message",
        "channel_not_found",
        "file_deleted",
        "file_not_found",
        "is_archived",
        "messages_tab_disabled",
        "not_in_channel",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
        "team_access_not_granted",
        "thread_not_found",
        "user_not_found",
        "user_not_visible",
    ]
)
"""There is no such place, or it takes nothing from us: asking again changes nothing."""
_TOKEN = frozenset(["invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"])
_REVOKED = frozenset(["invalid_auth", "account_inactive", "token_revoked"])
"""Of these, what is said of a token that was good and isn't any more; one that ended by its time is exchanged."""

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
_UNSURE = frozenset(["internal_error", "fatal_error", "service_unavailable", "request_timeout"])
"""Some of what was asked may have been done, by Slack's documentation of these."""
_TOO_OFTEN = frozenset(["ratelimited", "rate_limited", "message_limit_exceeded"])
_PAUSES_S = (0.3, 1.0, 2.0, 4.0)


class RateLimited(ServiceUnavailable):
    """Slack wants to hear nothing of the kind for `retry_after_s` seconds; nothing was done."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.wait_s = retry_after_s


class Unanswered(ServiceUnavailable):
    """No answer came that says whether Slack did it."""


class Unsupported(ServiceUnavailable):
    """The method isn't offered by this server or workspace, `code` says why; nothing was done."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack: {code}")
        self.code = code


class MessageGone(NotFound):
    """The message isn't there any more."""


class SlackRefusal(InvalidRequest):
    """Slack won't do this, now or later; `code` is its word for why."""

    user_message = "Slack didn't take my answer. Please ask again, perhaps for something shorter."

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Clients:
    """Both clients over one HTTP session, and a third without a token, which Bolt gives one; made in a running loop."""

    def __init__(self, token: str, *, base_url: str) -> None:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        shared = {"base_url": base_url, "session": self.session}
        closed, again = Closed(), [AsyncConnectionErrorRetryHandler(), AsyncServerErrorRetryHandler()]
        self.posting = HeedingClient(token, closed=closed, patience_s=0, retry_handlers=[], **shared)
        self.reading = HeedingClient(token, closed=closed, patience_s=PATIENCE_S, retry_handlers=again, **shared)
        self.nameless = AsyncWebClient(base_url=base_url, session=self.session, retry_handlers=[])

    @property
    def token(self) -> str:
        """The token that both use now."""
        return self.posting.token or ""

    def use(self, token: str) -> None:
        """Let both use this token from the next call on."""
        self.posting.token = self.reading.token = token

    async def close(self) -> None:
        """Close the session."""
        await self.session.close()


async def ask(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    """Await a call that reads. Raises NotFound, InvalidSettings (token) or ServiceUnavailable."""
    try:
        return await _answered(call)
    except SlackRefusal as error:
        raise ServiceUnavailable(f"Slack: {error.code}") from error


async def is_refused(client: AsyncWebClient) -> bool:
    """Tell whether Slack has taken back the token, by its own word now. Raises ServiceUnavailable when it says nothing."""
    try:
        await ask(client.auth_test())
    except InvalidSettings as error:
        return str(error) in _REVOKED
    return False


async def tell(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    """Await a call that changes something.

    Raises NotFound (MessageGone), SlackRefusal, or ServiceUnavailable: RateLimited and Unsupported when nothing was
    done, Unanswered when nobody knows. A token that isn't valid may be by tomorrow: that is waited for as well.
    """
    try:
        return await _answered(call)
    except InvalidSettings as error:
        raise ServiceUnavailable(f"Slack: {error}") from error


async def insist(
    client: AsyncWebClient, method: str, arguments: Mapping[str, Any], *, patience_s: float = EDIT_PATIENCE_S
) -> AsyncSlackResponse:
    """Call a method that may be repeated until Slack says how it went; raises as `tell` does.

    What Slack leaves unanswered is tried five times at most, and a Retry-After beyond `patience_s` not waited for.
    """
    deadline, pauses = time.monotonic() + patience_s, iter(_PAUSES_S)
    while True:
        try:
            return await tell(client.api_call(method, json=dict(arguments)))
        except Unsupported:
            raise
        except ServiceUnavailable as error:
            pause_s = error.retry_after_s if error.retry_after_s is not None else next(pauses, None)
            if pause_s is None or time.monotonic() + pause_s > deadline:
                raise
            await asyncio.sleep(pause_s)


async def _answered(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    try:
        return await call
    except SlackApiError as error:
        raise _translated(error) from error
    except aiohttp.ClientConnectorError as error:  # it wasn't even asked
        raise ServiceUnavailable(f"Slack: {type(error).__name__}") from error
    except UNREACHED as error:
        raise Unanswered(f"Slack: {type(error).__name__}") from error


def error_code(error: SlackApiError) -> str:
    """Return Slack's short name of what went wrong; `http_500` and the like where it gave none."""
    response = error.response
    data = response.data if isinstance(response, AsyncSlackResponse) else response
    code = data.get("error") if isinstance(data, dict) else None
    return str(code or f"http_{getattr(response, 'status_code', 'unknown')}")


def _translated(error: SlackApiError) -> RecollectError:
    code, wait_s = error_code(error), retry_after_s(error)
    if wait_s is not None or code in _TOO_OFTEN:
        return RateLimited(f"Slack: {code}", retry_after_s=1.0 if wait_s is None else wait_s)
    if code in UNSUPPORTED:
        return Unsupported(code)
    if code in _UNSURE or code.startswith("http_"):
        return Unanswered(f"Slack: {code}")
    return _refused(code)


def _refused(code: str) -> RecollectError:
    if code == "message_not_found":
        return MessageGone(code)
    if code in _GONE:
        return NotFound(code)
    if code in _TOKEN:
        message = "Slack refuses SLACK_BOT_TOKEN. Copy it again from OAuth & Permissions (it begins with xoxb-)."
        return InvalidSettings(code, user_message=message)
    return SlackRefusal(code)
