"""A Slack client that stays away for as long as Slack says."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

log = structlog.get_logger()

CALL_LIMIT_S = 10.0
"""The longest wait for one answer of Slack's."""
POSTS = frozenset({"chat.postMessage", "chat.startStream"})
"""What Slack limits by channel; all other methods it limits as such (docs.slack.dev, rate limits)."""
_TOO_MANY = 429
_UNSAID_S = 1.0
_LONGEST_S = 3600.0

Place = tuple[str, str]


class Closed:
    """Which methods, or posts to which channels, Slack wants to hear nothing of, and until when."""

    def __init__(self) -> None:
        self._until: dict[Place, float] = {}

    def close(self, place: Place, seconds: float) -> None:
        """Remember that a place is closed from now on."""
        self._until[place] = max(self._until.get(place, 0.0), time.monotonic() + seconds)

    def left_s(self, place: Place) -> float:
        """Return how many seconds a place is still closed, 0 when it is open."""
        left_s = self._until.get(place, 0.0) - time.monotonic()
        if left_s <= 0:
            self._until.pop(place, None)
        return max(0.0, left_s)


class HeedingClient(AsyncWebClient):
    """Waits up to `patience_s` for a closed place to open. A longer wait it refuses in Slack's stead: `ratelimited`.

    Clients that share `closed` heed what any of them was told. No call lasts longer than CALL_LIMIT_S.
    """

    def __init__(self, token: str, *, closed: Closed, patience_s: float, **options: Any) -> None:
        super().__init__(token, **options)
        self._closed = closed
        self._patience_s = patience_s

    async def api_call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        """Call Slack, a second time when it asked for a little patience. Raises SlackApiError or what UNREACHED names."""
        channel = (arguments.get("json") or {}).get("channel", "") if api_method in POSTS else ""
        place = (api_method, str(channel))
        await self._wait(place)
        try:
            return await self._call(api_method, arguments)
        except SlackApiError as error:
            if not self._told_to_wait(place, error):
                raise
        await self._wait(place)
        try:
            return await self._call(api_method, arguments)
        except SlackApiError as error:
            self._told_to_wait(place, error)
            raise

    async def _call(self, api_method: str, arguments: dict[str, Any]) -> AsyncSlackResponse:
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                return await super().api_call(api_method, **arguments)
        except AttributeError as error:  # what the SDK makes of text or a list where it looks for an object
            raise SlackClientError("not an object") from error

    async def _wait(self, place: Place) -> None:
        while (left_s := self._closed.left_s(place)) > 0:
            if left_s > self._patience_s:
                raise self._refusal(place[0], left_s)
            await asyncio.sleep(left_s)

    def _told_to_wait(self, place: Place, error: SlackApiError) -> bool:
        """Note what Slack said of waiting; True when we may wait for that long and try again."""
        wait_s = retry_after_s(error)
        if wait_s is None:
            return False
        log.warning("slack.rate_limited", method=place[0], wait_s=wait_s)
        self._closed.close(place, wait_s)
        return wait_s <= self._patience_s

    def _refusal(self, api_method: str, left_s: float) -> SlackApiError:
        response = AsyncSlackResponse(
            client=self,
            http_verb="POST",
            api_url=f"{self.base_url}{api_method}",
            req_args={},
            data={"ok": False, "error": "ratelimited"},
            headers={"Retry-After": str(left_s)},
            status_code=_TOO_MANY,
        )
        return SlackApiError("called too early", response)  # type: ignore[no-untyped-call]  # the SDK leaves it bare


def retry_after_s(error: SlackApiError) -> float | None:
    """Return how long Slack wants to be left alone; None when it said nothing of the kind."""
    response = error.response
    if getattr(response, "status_code", None) != _TOO_MANY and getattr(response, "status", None) != _TOO_MANY:
        return None
    try:
        said_s = float(response.headers.get("Retry-After", _UNSAID_S))
    except ValueError:
        said_s = _UNSAID_S
    return min(said_s, _LONGEST_S) if said_s > 0 else 0.0
