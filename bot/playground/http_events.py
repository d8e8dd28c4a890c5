"""The other way to the app: signed HTTP requests, as to an app without Socket Mode."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from urllib.parse import urlencode

import aiohttp

from bot.playground.delivery import ACK_TIMEOUT_S, NotAcknowledged
from bot.playground.state import Json


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's v0 signature of a request body (docs.slack.dev, "Verifying requests from Slack")."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class HttpTransport:
    """Posts everything to one URL, signed, and takes any 2xx within three seconds for an acknowledgement."""

    def __init__(self, url: str, signing_secret: str) -> None:
        self._url = url
        self._secret = signing_secret
        self._session: aiohttp.ClientSession | None = None
        self.ack_timeout_s = ACK_TIMEOUT_S

    async def deliver(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Json | None:
        """Post one payload and return what the app answered with, if anything."""
        body, content_type = encoded(kind, payload)
        headers = {"Content-Type": content_type}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        status, answer, no_retry = await self.post(body, headers)
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's success
            raise NotAcknowledged("http_error", final=no_retry)
        return _answer(answer)

    async def verify_url(self) -> bool:
        """Ask the app to prove the URL is its own, as Slack does when somebody enters it."""
        challenge = hashlib.sha256(self._url.encode()).hexdigest()
        body = json.dumps({"type": "url_verification", "token": "", "challenge": challenge}).encode()
        status, answer, _ = await self.post(body, {"Content-Type": "application/json"})
        return status == 200 and challenge in answer  # noqa: PLR2004 - HTTP's OK

    async def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bool]:
        """Sign and post a body; return status, text, and whether the app asked for no retries."""
        timestamp = str(int(time.time()))
        signed = {
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self._secret, timestamp, body),
            **headers,
        }
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout = aiohttp.ClientTimeout(total=self.ack_timeout_s)
        try:
            async with self._session.post(self._url, data=body, headers=signed, timeout=timeout) as response:
                return response.status, await response.text(), response.headers.get("X-Slack-No-Retry") == "1"
        except TimeoutError as error:
            raise NotAcknowledged("http_timeout") from error
        except aiohttp.ClientError as error:
            raise NotAcknowledged("connection_failed") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def encoded(kind: str, payload: Json) -> tuple[bytes, str]:
    """Return body and content type: events as JSON, commands as a form, interactions as a form of one field."""
    if kind == "events_api":
        return json.dumps(payload).encode(), "application/json"
    form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return urlencode(form, errors="surrogatepass").encode(), "application/x-www-form-urlencoded"


def _answer(text: str) -> Json | None:
    if not text.strip():
        return None
    try:
        answer = json.loads(text)
    except ValueError:
        return {"text": text}
    return answer if isinstance(answer, dict) else None
