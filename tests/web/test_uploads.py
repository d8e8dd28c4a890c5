from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.web.conftest import Api

BOUNDARY = "b0undary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, data: bytes, *, filename: str | None = None, more: str = "") -> bytes:
    """Return one part of a form as it goes over the wire."""
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{more}\r\n'
    return head.encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FILE = part("file", b"The office opens at eight.", filename="a.txt")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/json"}, b"{}"),
        ({"Content-Type": "text/plain"}, b"The office opens at eight."),
        ({"Content-Type": "multipart/form-data"}, FILE + END),
        (FORM, b""),
        (FORM, b"no form at all"),
        (FORM, END),
        (FORM, FILE),
        (FORM, FILE[:70]),
        (FORM, part("channel_id", b"C1") + END),
        (FORM, part("secret", b"x") + FILE + END),
        (FORM, FILE + FILE + END),
        (FORM, part("channel_id", b"C1' OR 1=1") + FILE + END),
        (FORM, part("channel_id", b"\x00") + FILE + END),
        (FORM, part("channel_id", b"\xff") + FILE + END),
        (FORM, part("channel_id", b"C1") * 20 + FILE + END),
        (FORM, part("file", b"x", more="Content-Type: multipart/mixed; boundary=inner\r\n") + END),
        (
            {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}"},
            part("x", b"", more="Content-Length: -1\r\n") + END,
        ),
    ],
)
async def test_what_is_no_form_with_one_file_is_refused(api: Api, headers: dict[str, str], body: bytes) -> None:
    key = await api.key()

    reply = await api.call("POST", "/v1/documents", key, headers=headers, data=body)

    assert reply.status == 400, reply
    assert reply.body["error"] == "invalid_request"
    assert (await api.call("GET", "/v1/documents", key)).body["documents"] == []


async def test_a_field_that_is_too_long_is_refused(api: Api) -> None:
    body = part("channel_id", b"C" * 5_000) + FILE + END

    reply = await api.call("POST", "/v1/documents", await api.key(), headers=FORM, data=body)

    assert reply.status == 413


async def test_the_order_of_the_parts_doesnt_matter(api: Api) -> None:
    body = FILE + part("channel_id", b"") + END

    reply = await api.call("POST", "/v1/documents", await api.key(), headers=FORM, data=body)

    assert (reply.status, reply.body["status"]) == (201, "ready")


async def test_a_file_without_a_name_gets_one(api: Api) -> None:
    body = part("file", b"The office opens at eight.") + END

    reply = await api.call("POST", "/v1/documents", await api.key(), headers=FORM, data=body)

    assert reply.status == 201
    assert reply.body["filename"] == "upload"


@pytest.mark.parametrize("name", ["Überblick 資料.txt", "../../etc/passwd", "a\tb.txt", "x" * 500 + ".txt"])
async def test_any_filename_is_taken_as_mere_text(api: Api, name: str) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", b"The office opens at eight.", filename=name)

    reply = await api.call("POST", "/v1/documents", await api.key(), data=form)

    assert reply.status == 201
    assert reply.body["filename"] in {name, name.rsplit("/", 1)[-1]}


async def test_a_client_that_leaves_half_way_leaves_nothing_behind(api: Api) -> None:
    key = await api.key()
    host, port = api.url.removeprefix("http://").split(":")

    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 5000\r\n"
    writer.write(f"{head}Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + FILE)
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await api.call("GET", "/v1/documents", key)).body["documents"] == []
