"""Uploads: one file of a multipart form, read piece by piece so that a limit holds before the memory is full."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import (
    BadContentDispositionHeader,
    BadContentDispositionParam,
    BodyPartReader,
    ClientPayloadError,
    web,
)
from aiohttp.http_exceptions import HttpProcessingError

from bot.errors import InvalidRequest

MAX_FIELDS = 8
MAX_FIELD_BYTES = 1_000
_PIECE = 2**16
_CHANNEL = re.compile(r"[A-Za-z0-9:_-]{1,100}", re.ASCII)
_DAMAGED = (
    ValueError,
    AssertionError,
    EOFError,
    HttpProcessingError,
    ClientPayloadError,
    BadContentDispositionHeader,
    BadContentDispositionParam,
)
"""What aiohttp raises, or warns of where warnings are errors, when a form doesn't hold together."""

_HELP = "Send a form (multipart/form-data) with one part “file”, and “channel_id” if it belongs to a channel."


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """What a form held."""

    filename: str
    data: bytes
    channel_id: str | None


async def upload_from(request: web.Request, *, max_bytes: int) -> UploadedFile:
    """Read an upload. Raises InvalidRequest for what is no such form, HTTP 413 for a file over the limit."""
    if not request.content_type.startswith("multipart/"):
        raise InvalidRequest(f"content type {request.content_type}", user_message=_HELP)
    try:
        return await _read_form(request, max_bytes)
    except _DAMAGED as error:
        message = "The form is damaged: it ended early, or its parts don't hold together."
        raise InvalidRequest(f"form: {type(error).__name__}", user_message=message) from error


async def _read_form(request: web.Request, max_bytes: int) -> UploadedFile:
    filename: str | None = None
    data, channel_id, count = b"", None, 0
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        count += 1
        if count > MAX_FIELDS or not isinstance(part, BodyPartReader):
            raise InvalidRequest("too many or nested parts", user_message=_HELP)
        if part.name == "file" and filename is None:
            filename, data = part.filename or "upload", await _read(part, max_bytes)
        elif part.name == "channel_id":
            channel_id = _channel_id(await _read(part, MAX_FIELD_BYTES))
        else:
            raise InvalidRequest("unknown part", user_message=_HELP)
    if filename is None:
        raise InvalidRequest("no file", user_message=_HELP)
    return UploadedFile(filename, data, channel_id)


async def _read(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while piece := await part.read_chunk(_PIECE):
        data += piece
        if len(data) > limit:
            raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=len(data))
    return bytes(data)


def _channel_id(value: bytes) -> str | None:
    text = value.decode("utf-8", "replace").strip()
    if not text:
        return None
    if not _CHANNEL.fullmatch(text):
        raise InvalidRequest("channel_id", user_message="channel_id: that is no channel's id.")
    return text
