"""Fetching shared files: from Slack's hosts alone, the token never sent anywhere else."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp

from bot.errors import ServiceUnavailable, UnreadableFile
from bot.slack.client import Clients, Unsupported, ask
from bot.slack.directory import file_from
from bot.values import SharedFile

SLACK_FILE_HOSTS: Final = frozenset({"files.slack.com"})
MAX_HOPS = 3
_PIECE = 2**16


class SlackFiles:
    """Describes and downloads files."""

    def __init__(self, clients: Clients, token: str, *, api_url: str) -> None:
        self._clients = clients
        self._token = token
        trusted = urlsplit(api_url)
        self._own_origin = (trusted.scheme, trusted.netloc) if trusted.hostname != "slack.com" else None

    async def describe(
        self, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile:
        """Return what Slack says of the file now.

        Raises NotFound when it is gone, UnreadableFile when we aren't allowed to ask, ServiceUnavailable.
        """
        try:
            response = await ask(self._clients.reading.files_info(file=file_id))
        except Unsupported as error:
            message = f"Slack doesn't let me look at files here ({error.code}). Please tell an administrator."
            raise UnreadableFile(error.code, user_message=message) from error
        return file_from(
            response["file"], team_id=team_id, channel_id=channel_id, message_ts=message_ts, thread_ts=thread_ts
        )

    def recall(
        self, body: bytes, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile | None:
        """Return what Slack said of the file in a stored event; None when the event doesn't tell of it."""
        event = json.loads(body).get("event") or {}
        told = next((file for file in event.get("files") or [] if file.get("id") == file_id), None)
        if told is None:
            return None
        described = {"user": event.get("user"), **told}
        return file_from(described, team_id=team_id, channel_id=channel_id, message_ts=message_ts, thread_ts=thread_ts)

    async def fetch(self, file: SharedFile, *, max_bytes: int) -> bytes:
        """Return the file's bytes.

        Raises UnreadableFile for a file kept elsewhere, one that is too large, and a login page in its place;
        ServiceUnavailable when Slack doesn't answer.
        """
        if file.is_external or file.url is None:
            message = "It is kept outside Slack, and I only read files that Slack itself holds."
            raise UnreadableFile("external file", user_message=message)
        if file.size_bytes > max_bytes:
            raise _too_large(max_bytes)
        try:
            data, content_type = await self._download(file.url, max_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable(f"download: {type(error).__name__}") from error
        if _is_login_page(data, content_type, file):
            message = "Slack didn't let me download it: the app needs the files:read scope and must be in the channel."
            raise UnreadableFile("login page instead of the file", user_message=message)
        return data

    async def _download(self, url: str, max_bytes: int) -> tuple[bytes, str]:
        for _ in range(MAX_HOPS):
            if not self._trusts(url):
                message = "Slack points to a place I don't trust for its download."
                raise UnreadableFile(f"host not trusted: {urlsplit(url).hostname}", user_message=message)
            headers = {"Authorization": f"Bearer {self._token}"}
            async with self._clients.session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status in {301, 302, 303, 307, 308}:
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                if response.status in {404, 410}:
                    raise UnreadableFile("gone", user_message="It isn't in Slack any more.")
                if response.status != 200:  # noqa: PLR2004
                    raise ServiceUnavailable(f"download: HTTP {response.status}")
                return await _read(response, max_bytes), response.content_type
        raise UnreadableFile("too many redirects", user_message="Slack's link to it leads nowhere.")

    def _trusts(self, url: str) -> bool:
        parts = urlsplit(url)
        if self._own_origin is not None and (parts.scheme, parts.netloc) == self._own_origin:
            return True
        return parts.scheme == "https" and parts.port in {None, 443} and parts.hostname in SLACK_FILE_HOSTS


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        data += piece
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(data)


def _too_large(max_bytes: int) -> UnreadableFile:
    message = f"It is larger than {max_bytes // 2**20} MB, the most I read."
    return UnreadableFile("too large", user_message=message)


def _is_login_page(data: bytes, content_type: str, file: SharedFile) -> bool:
    """True when a web page came for something that isn't one: Slack answers 200 with its login page."""
    if "html" in file.mimetype or file.filename.lower().endswith((".html", ".htm")):
        return bool(file.size_bytes) and file.size_bytes != len(data) and "html" in content_type
    head = data[:256].lstrip().lower()
    looks_html = head.startswith((b"<!doctype html", b"<html"))
    return looks_html and "html" in content_type
