"""Files on their way in and out: upload addresses, and downloads for those with a token."""

from __future__ import annotations

import mimetypes
import secrets
import time
from dataclasses import dataclass

from aiohttp import BodyPartReader, web

from bot.playground.state import File, Store

LOGIN_PAGE = """<!DOCTYPE html><html lang="en"><head><title>Slack | Sign in</title></head>
<body><h1>Sign in to your workspace</h1><form action="/signin"><input name="email"></form></body></html>"""
"""What Slack answers, with status 200, to a download without a valid token."""


@dataclass(slots=True)
class Upload:
    """An address that was given out, and what came to it so far."""

    file_id: str
    name: str
    length: int
    data: bytes | None = None


class Uploads:
    """Uploads that were begun by `files.getUploadURLExternal` and are not completed yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_ticket: dict[str, Upload] = {}

    def begin(self, name: str, length: int) -> tuple[str, str]:
        """Return the new file's id, and the ticket its address ends in."""
        ticket = secrets.token_urlsafe(24)
        self._by_ticket[ticket] = Upload(self._store.ids.new("F"), name, length)
        return self._by_ticket[ticket].file_id, ticket

    def complete(self, file_id: str, title: str | None, user_id: str) -> File | None:
        """Turn a finished upload into a file; None when nothing (complete) was uploaded under this id."""
        for ticket, upload in self._by_ticket.items():
            if upload.file_id == file_id and upload.data is not None:
                del self._by_ticket[ticket]
                return new_file(self._store, upload.name, upload.data, user_id, file_id=file_id, title=title)
        return None

    async def receive(self, request: web.Request) -> web.Response:
        """Take the bytes, as the raw body or as the first file of a form."""
        upload = self._by_ticket.get(request.match_info["ticket"])
        if upload is None:
            return web.Response(status=404, text="unknown upload")
        data = await _uploaded_bytes(request)
        if len(data) != upload.length:
            return web.Response(status=400, text=f"expected {upload.length} bytes, got {len(data)}")
        upload.data = data
        return web.Response(text=f"OK - {len(data)}")


def new_file(
    store: Store,
    name: str,
    data: bytes,
    user_id: str,
    *,
    file_id: str | None = None,
    mimetype: str | None = None,
    title: str | None = None,
) -> File:
    """Put a file into the workspace, shown nowhere yet. Without a type its name decides."""
    guessed = mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
    file = File(file_id or store.ids.new("F"), name, guessed, data, user_id, int(time.time()), title or name)
    store.files[file.id] = file
    return file


def download(request: web.Request, store: Store, *, may_read: bool) -> web.Response:
    """Answer a GET of `url_private`: the bytes for whoever may read, else the login page with status 200."""
    file = store.files.get(request.match_info["file_id"])
    if not may_read or file is None or not _bot_sees(store, file):
        return web.Response(text=LOGIN_PAGE, content_type="text/html")
    return web.Response(body=file.data, content_type=file.mimetype)


def _bot_sees(store: Store, file: File) -> bool:
    if file.user_id == store.bot.id:
        return True
    places = [store.channels.get(share.channel_id) for share in file.shares]
    return any(place is not None and store.bot.id in place.members for place in places)


async def _uploaded_bytes(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    part = await (await request.multipart()).next()
    return bytes(await part.read()) if isinstance(part, BodyPartReader) else b""
