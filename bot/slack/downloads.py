"""One download: over TLS from Slack's hosts, the token to the first address alone, so many bytes and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from bot.errors import ServiceUnavailable, UnreadableFile

SLACK_FILE_HOSTS: Final = frozenset({"files.slack.com"})
SLACK: Final = "slack.com"
MAX_HOPS = 3
_PIECE = 2**16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_PLAIN = {"Accept-Encoding": "identity"}  # what is packed once more would be counted only after it is unpacked


class Downloaded(NamedTuple):
    """What came, and what the host called it."""

    data: bytes
    content_type: str


class Downloads:
    """Fetches bytes from Slack's file hosts, or from the server at `api_url` where that isn't slack.com.

    `token` says which one is good now.
    """

    def __init__(self, session: aiohttp.ClientSession, token: Callable[[], str], *, api_url: str) -> None:
        self._session = session
        self._token = token
        api = URL(api_url)
        self._own = api.origin() if api.host != SLACK else None

    async def get(self, address: str, *, max_bytes: int) -> Downloaded:
        """Return what is at an address. Redirects are followed without the token, and on trusted hosts alone.

        Raises UnreadableFile for a host not trusted, a file that is gone or too large, and a way to Slack's login;
        ServiceUnavailable when the host doesn't answer, or stops half-way.
        """
        url, headers = _url(address), {**_PLAIN, "Authorization": f"Bearer {self._token()}"}
        try:
            for _ in range(MAX_HOPS):
                self._require_trust(url)
                async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await _answer(response, max_bytes)
                    url, headers = _next(url, response), _PLAIN
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"download: {type(error).__name__}") from error
        raise UnreadableFile("too many redirects", user_message="Slack's link to it leads nowhere.")

    def _require_trust(self, url: URL) -> None:
        """Raise UnreadableFile unless `url` may be asked; what is checked here is what is asked then, parsed once."""
        if not self._trusts(url):
            message = "Slack points to a place I don't trust for its download."
            raise UnreadableFile(f"host not trusted: {url.host}", user_message=message)

    def _trusts(self, url: URL) -> bool:
        if not url.scheme or not url.host or url.user is not None:
            return False
        is_slacks = (url.scheme, url.port) == ("https", 443) and url.host in SLACK_FILE_HOSTS
        return is_slacks or url.origin() == self._own


def _url(address: str) -> URL:
    try:
        return URL(address)
    except ValueError:
        return URL()


def _next(url: URL, response: aiohttp.ClientResponse) -> URL:
    """Return where a redirect leads; raises UnreadableFile when that is Slack's login, on slack.com or the team's host."""
    target = url.join(_url(response.headers.get("Location", "")))
    host = target.host or ""
    if host not in SLACK_FILE_HOSTS and (host == SLACK or host.endswith(f".{SLACK}")):
        raise login_page(f"a redirect to {host}")
    return target


async def _answer(response: aiohttp.ClientResponse, max_bytes: int) -> Downloaded:
    if response.status in _GONE:
        raise UnreadableFile("gone", user_message="It isn't in Slack any more.")
    if response.status != 200:  # noqa: PLR2004
        raise ServiceUnavailable(f"download: HTTP {response.status}")
    if (response.content_length or 0) > max_bytes:
        raise too_large(max_bytes)
    data = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        data += piece
        if len(data) > max_bytes:
            raise too_large(max_bytes)
    return Downloaded(bytes(data), response.content_type)


def too_large(max_bytes: int) -> UnreadableFile:
    """Return the refusal of a file of more than so many bytes."""
    message = f"It is larger than {max_bytes // 2**20} MB, the most I read."
    return UnreadableFile("too large", user_message=message)


def login_page(why: str) -> UnreadableFile:
    """Return the refusal of what Slack sends to whom it doesn't let in, with what an administrator can do."""
    message = "Slack didn't let me download it: the app needs the files:read scope and must be in the channel."
    return UnreadableFile(f"login page instead of the file: {why}", user_message=message)
