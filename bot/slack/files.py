"""Shared files: what Slack says of them, and their bytes, when those are what Slack said."""

from __future__ import annotations

import json
import re
from typing import Final

from bot.errors import ServiceUnavailable, UnreadableFile
from bot.parsing.reasons import Limits, Reason, sentence_for
from bot.slack.client import Clients, Unsupported, ask
from bot.slack.directory import file_from
from bot.slack.downloads import Downloads, login_page, too_large
from bot.values import SharedFile

_PICTURES: Final = frozenset(
    f"image/{kind}" for kind in ("png", "jpeg", "jpg", "gif", "tiff", "webp", "bmp", "heic", "heif", "avif")
)
_HEAD_BYTES = 1024
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)


class SlackFiles:
    """Describes and downloads files."""

    def __init__(self, clients: Clients, *, api_url: str) -> None:
        self._clients = clients
        self._downloads = Downloads(clients.session, lambda: clients.token, api_url=api_url)

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

        Raises UnreadableFile for a file kept elsewhere, one that is too large or of a kind we never read, and a login
        page in its place; ServiceUnavailable when Slack doesn't answer, or less comes than Slack said.
        """
        address = _address(file, max_bytes)
        data, content_type = await self._downloads.get(address, max_bytes=max_bytes)
        if _is_login_page(data, content_type, file):
            raise login_page(f"{len(data)} bytes of {content_type}, told were {file.size_bytes} of {file.mimetype}")
        if len(data) < file.size_bytes:
            raise ServiceUnavailable(f"download: {len(data)} of {file.size_bytes} bytes")
        return data


def _address(file: SharedFile, max_bytes: int) -> str:
    """Return where to fetch it, if by Slack's word it can be read: raises UnreadableFile before a byte is asked for."""
    if file.is_external or file.url is None:
        message = "It is kept outside Slack, and I only read files that Slack itself holds."
        raise UnreadableFile("external file", user_message=message)
    if file.size_bytes > max_bytes:
        raise too_large(max_bytes)
    if reason := _never_read(file):
        raise UnreadableFile(f"{file.mimetype}: {reason}", user_message=sentence_for(reason, Limits()))
    return file.url


def _never_read(file: SharedFile) -> Reason | None:
    """Return why files of this type aren't fetched. TypeScript is a video by its extension's older meaning."""
    mimetype = file.mimetype.lower()
    if mimetype in _PICTURES:
        return Reason.PICTURE
    if mimetype.startswith(("audio/", "video/")) and not file.filename.lower().endswith(".ts"):
        return Reason.RECORDING
    return None


def _is_login_page(data: bytes, content_type: str, file: SharedFile) -> bool:
    """True when a web page came for something that isn't one: Slack answers 200 with its login page.

    A page that was shared as one, or under another kind's name, has the size that Slack told.
    """
    if "html" in content_type and not _is_called_html(file):
        return True
    return len(data) != file.size_bytes and ("html" in content_type or _HTML.match(data[:_HEAD_BYTES]) is not None)


def _is_called_html(file: SharedFile) -> bool:
    return "html" in file.mimetype.lower() or file.filename.lower().endswith((".html", ".htm", ".xhtml"))
