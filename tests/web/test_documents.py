from __future__ import annotations

import asyncio

import aiohttp
import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.values import Channel, ChannelKind
from tests.conftest import TEAM
from tests.web.conftest import HANDBOOK, MAX_FILE_BYTES, Api


def put_channel(api: Api, channel_id: str, kind: ChannelKind, *members: str) -> Channel:
    api.slack.channels[channel_id] = Channel(channel_id, kind, channel_id.lower(), False, frozenset(members))
    return api.slack.channels[channel_id]


async def test_an_upload_is_read_before_it_is_answered(api: Api) -> None:
    key = await api.key()

    reply = await api.upload(key, "handbook.md", HANDBOOK)
    seen = await api.call("GET", reply.headers["Location"], key)

    assert reply.status == 201
    assert (reply.body["status"], reply.body["error"]) == ("ready", None)
    assert (reply.body["filename"], reply.body["size_bytes"]) == ("handbook.md", len(HANDBOOK))
    assert reply.body["uploader"] == "ada"
    assert seen.body == reply.body


async def test_a_file_that_cant_be_read_is_kept_with_the_reason(api: Api) -> None:
    key = await api.key()

    reply = await api.upload(key, "empty.pdf", b"")

    assert reply.status == 201
    assert reply.body["status"] == "error"
    assert reply.body["error"]


async def test_an_upload_belongs_to_its_owner_alone(api: Api) -> None:
    mine, theirs = await api.key("ada"), await api.key("grace")
    document = (await api.upload(mine, "diary.md", HANDBOOK)).body

    path = f"/v1/documents/{document['id']}"
    assert (await api.call("GET", path, theirs)).status == 404
    assert (await api.call("DELETE", path, theirs)).status == 404
    assert (await api.call("GET", "/v1/documents", theirs)).body["documents"] == []
    assert (await api.call("GET", path, mine)).status == 200


async def test_an_upload_into_a_public_channel_is_for_every_member(api: Api) -> None:
    mine, theirs = await api.key("ada"), await api.key("grace")
    channel = put_channel(api, "C1", ChannelKind.PUBLIC)
    await api.services.audiences.refresh(TEAM, [channel.channel_id])

    reply = await api.upload(mine, "rules.md", HANDBOOK, channel_id="C1")
    seen = await api.call("GET", f"/v1/documents/{reply.body['id']}", theirs)
    deleted = await api.call("DELETE", f"/v1/documents/{reply.body['id']}", theirs)

    assert reply.body["channel_ids"] == ["C1"]
    assert seen.status == 200
    assert deleted.status == 403


@pytest.mark.parametrize("channel_id", ["C1", "C404", "personal:00000000-0000-0000-0000-000000000000"])
async def test_a_channel_that_the_caller_isnt_in_takes_no_upload(api: Api, sessions: Sessions, channel_id: str) -> None:
    key = await api.key()
    put_channel(api, "C1", ChannelKind.PRIVATE, "U1")
    await api.services.audiences.refresh(TEAM, ["C1"])

    reply = await api.upload(key, "rules.md", HANDBOOK, channel_id=channel_id)

    assert reply.status == 404
    async with sessions.tenant(TEAM) as session:
        assert (await session.execute(text("SELECT count(*) FROM documents"))).scalar_one() == 0


async def test_a_channel_that_turned_private_is_not_read_any_more(api: Api) -> None:
    mine, theirs = await api.key("ada"), await api.key("grace")
    put_channel(api, "C1", ChannelKind.PUBLIC)
    await api.services.audiences.refresh(TEAM, ["C1"])
    document = (await api.upload(mine, "rules.md", HANDBOOK, channel_id="C1")).body
    put_channel(api, "C1", ChannelKind.PRIVATE, "U1")

    await api.services.audiences.refresh(TEAM, ["C1"])

    assert (await api.call("GET", f"/v1/documents/{document['id']}", theirs)).status == 404


async def test_the_same_bytes_are_one_document_that_each_owner_sees_in_their_own_place(api: Api) -> None:
    ada, grace = await api.key("ada"), await api.key("grace")

    first = await api.upload(ada, "handbook.md", HANDBOOK)
    second = await api.upload(grace, "copy.md", HANDBOOK)

    assert second.body["id"] == first.body["id"]
    assert second.body["status"] == "ready"
    assert len(second.body["channel_ids"]) == 1
    assert second.body["channel_ids"] != first.body["channel_ids"]


async def test_to_each_owner_a_document_has_their_own_name_and_day(api: Api, sessions: Sessions) -> None:
    ada, grace = await api.key("ada"), await api.key("grace")
    first = (await api.upload(ada, "merger.md", HANDBOOK)).body
    async with sessions.tenant(TEAM) as session:
        for table in ("documents", "document_shares"):
            await session.execute(text(f"UPDATE {table} SET created_at = '2020-05-05T05:05:05Z'"))

    second = (await api.upload(grace, "copy.md", HANDBOOK)).body
    (listed,) = (await api.call("GET", "/v1/documents", grace)).body["documents"]
    found = (await api.call("POST", "/v1/search", grace, json={"query": "holiday"})).body
    asked = (await api.call("POST", "/v1/ask", grace, json={"question": "When does the office open?"})).body

    assert second == listed
    assert (second["filename"], second["uploader"], second["created_at"][:4] > "2020") == ("copy.md", "grace", True)
    assert {passage["filename"] for passage in found["passages"]} == {"copy.md"}
    assert {citation["filename"] for citation in asked["citations"]} == {"copy.md"}
    seen = (await api.call("GET", f"/v1/documents/{first['id']}", ada)).body
    assert (seen["filename"], seen["uploader"], seen["created_at"][:4]) == ("merger.md", "ada", "2020")


async def test_who_deletes_theirs_leaves_what_others_uploaded(api: Api) -> None:
    ada, grace = await api.key("ada"), await api.key("grace")
    path = f"/v1/documents/{(await api.upload(ada, 'merger.md', HANDBOOK)).body['id']}"
    await api.upload(grace, "copy.md", HANDBOOK)

    deleted = await api.call("DELETE", path, grace)

    assert deleted.status == 204
    assert (await api.call("GET", path, grace)).status == 404
    assert (await api.call("GET", path, ada)).body["filename"] == "merger.md"


async def test_the_list_is_paged_and_told_by_status(api: Api) -> None:
    key = await api.key()
    for number in range(3):
        await api.upload(key, f"{number}.txt", f"Number {number}".encode())
    await api.upload(key, "empty.txt", b"")

    first = (await api.call("GET", "/v1/documents?status=ready&limit=2", key)).body
    second = (await api.call("GET", f"/v1/documents?status=ready&limit=2&after={first['after']}", key)).body
    broken = (await api.call("GET", "/v1/documents?status=error", key)).body

    assert [d["filename"] for d in first["documents"] + second["documents"]] == ["2.txt", "1.txt", "0.txt"]
    assert second["after"] is None
    assert [d["filename"] for d in broken["documents"]] == ["empty.txt"]


@pytest.mark.parametrize("query", ["status=lost", "limit=0", "limit=1000", "limit=x", "after=x", "colour=red"])
async def test_a_query_that_makes_no_sense_is_refused_by_name(api: Api, query: str) -> None:
    reply = await api.call("GET", f"/v1/documents?{query}", await api.key())

    assert reply.status == 400
    assert query.split("=", maxsplit=1)[0] in reply.body["message"]


async def test_a_deleted_document_is_gone(api: Api) -> None:
    key = await api.key()
    document = (await api.upload(key, "handbook.md", HANDBOOK)).body

    deleted = await api.call("DELETE", f"/v1/documents/{document['id']}", key)
    again = await api.call("DELETE", f"/v1/documents/{document['id']}", key)
    found = await api.call("POST", "/v1/search", key, json={"query": "holiday"})

    assert (deleted.status, deleted.body) == (204, "")
    assert again.status == 404
    assert found.body["passages"] == []


@pytest.mark.parametrize("document_id", ["x", "1", "%00", "0198d2f0-0000-7000-8000-000000000000"])
async def test_an_unknown_document_is_not_found(api: Api, document_id: str) -> None:
    reply = await api.call("GET", f"/v1/documents/{document_id}", await api.key())

    assert reply.status == 404


async def test_a_file_over_the_limit_is_refused_before_it_is_whole(api: Api) -> None:
    sent = 0

    async def endless() -> object:
        nonlocal sent
        while sent < 50 * MAX_FILE_BYTES:
            sent += 10_000
            yield b"x" * 10_000
            await asyncio.sleep(0)

    form = aiohttp.FormData()
    form.add_field("file", endless(), filename="large.txt")

    try:
        reply = await api.call("POST", "/v1/documents", await api.key(), data=form)
    except aiohttp.ClientConnectionError:  # the server may close while the rest is still under way
        pass
    else:
        assert reply.status == 413

    assert sent < 50 * MAX_FILE_BYTES


async def test_a_file_of_just_the_limit_is_read_and_one_byte_more_is_not(api: Api) -> None:
    key = await api.key()

    most = await api.upload(key, "most.txt", b"word " * (MAX_FILE_BYTES // 5))
    more = await api.upload(key, "more.txt", b"x" * (MAX_FILE_BYTES + 1))

    assert (most.status, most.body["status"]) == (201, "ready")
    assert more.status == 413


async def test_nothing_is_read_while_slack_cant_say_who_is_in_a_channel(api: Api) -> None:
    key = await api.key()
    put_channel(api, "C1", ChannelKind.PUBLIC)
    await api.services.audiences.refresh(TEAM, ["C1"])
    await api.upload(key, "rules.md", HANDBOOK, channel_id="C1")
    async with api.services.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE channels SET synced_at = now() - interval '1 hour' WHERE kind = 'public'"))
    api.slack.is_down = True

    reply = await api.call("POST", "/v1/search", key, json={"query": "holiday"})

    assert reply.status == 503
    assert reply.headers["Retry-After"] == "5"
