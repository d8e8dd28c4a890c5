from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.playground.conftest import refused

PDF = ("opening hours.pdf", b"%PDF-1.4 hours", "application/pdf")


async def fetched(url: str, token: str | None) -> tuple[int, str, bytes]:
    """GET a file; return status, type and bytes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as response:
        return response.status, response.content_type, await response.read()


async def test_the_bots_token_fetches_a_shared_file(slack: LocalSlack, ada: User, general: Channel) -> None:
    await slack.share(ada, general, PDF)
    file = slack.events[0]["files"][0]

    for url in (file["url_private"], file["url_private_download"]):
        assert await fetched(url, slack.bot_token) == (200, "application/pdf", PDF[1])


@pytest.mark.parametrize("token", [None, "xoxb-stolen"])
async def test_without_the_token_slacks_login_page_comes_with_status_200(
    slack: LocalSlack, ada: User, general: Channel, token: str | None
) -> None:
    await slack.share(ada, general, PDF)

    status, kind, body = await fetched(slack.events[0]["files"][0]["url_private"], token)

    assert (status, kind) == (200, "text/html")
    assert body.lower().startswith(b"<!doctype html>")


async def test_the_login_page_also_comes_without_the_scope_or_after_the_bot_left(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    await slack.share(ada, general, PDF)
    url = slack.events[0]["files"][0]["url_private"]

    slack.scopes.discard("files:read")
    assert (await fetched(url, slack.bot_token))[1] == "text/html"
    slack.scopes.add("files:read")
    slack.leave(slack.store.bot, general)

    assert (await fetched(url, slack.bot_token))[1] == "text/html"


async def test_a_file_tells_where_it_is_shown(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    said = await slack.share(ada, general, PDF, thread_ts=root.ts)

    info = await client.files_info(file=said.file_ids[0])

    [shown] = info["file"]["shares"]["public"][general.id]
    assert (shown["ts"], shown["thread_ts"]) == (said.ts, root.ts)
    assert (info["file"]["size"], info["file"]["filetype"], info["file"]["mode"]) == (len(PDF[1]), "pdf", "hosted")


async def test_files_of_places_the_bot_is_not_in_are_unknown_to_it(
    slack: LocalSlack, client: AsyncWebClient, ada: User
) -> None:
    slack.add_channel("secret", kind="private", members=[ada], with_bot=False)
    said = await slack.share(ada, "secret", PDF)

    assert await refused(client.files_info(file=said.file_ids[0])) == "file_not_found"
    assert (await client.files_list())["files"] == []


async def test_files_are_listed_newest_first_by_place_and_person(
    slack: LocalSlack, client: AsyncWebClient, ada: User, ben: User, general: Channel
) -> None:
    await slack.share(ada, general, ("one.md", b"1"))
    await slack.share(ben, general, ("two.md", b"2"))
    await slack.share(ben, slack.direct(ben), ("three.md", b"3"))

    async def names(**wanted: str) -> list[str]:
        return [file["name"] for file in (await client.files_list(**wanted))["files"]]  # type: ignore[arg-type]  # names of arguments

    assert await names() == ["three.md", "two.md", "one.md"]
    assert await names(channel=general.id) == ["two.md", "one.md"]
    assert await names(user=ada.id) == ["one.md"]
    second = await client.files_list(count=2, page=2)
    assert ([f["name"] for f in second["files"]], second["paging"]["pages"]) == (["one.md"], 2)


async def test_the_sdk_uploads_into_a_thread(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "export, please")

    done = await client.files_upload_v2(
        channel=general.id, thread_ts=root.ts, filename="export.csv", content="a,b", initial_comment="Here you are"
    )

    [reply] = slack.replies(general, root.ts)
    assert (reply.text, reply.file_ids) == ("Here you are", [done["files"][0]["id"]])
    assert slack.store.files[reply.file_ids[0]].data == b"a,b"


async def test_an_upload_as_a_form_and_one_of_the_wrong_length(slack: LocalSlack, client: AsyncWebClient) -> None:
    wrong = await client.files_getUploadURLExternal(filename="a.txt", length=5)
    right = await client.files_getUploadURLExternal(filename="b.txt", length=5)

    async with aiohttp.ClientSession() as session:
        form = aiohttp.FormData()
        form.add_field("file", b"bytes", filename="b.txt")
        refused_one = await session.post(wrong["upload_url"], data=b"more than five")
        taken = await session.post(right["upload_url"], data=form)

    assert (refused_one.status, taken.status) == (400, 200)
    assert await refused(client.files_completeUploadExternal(files=[{"id": wrong["file_id"]}])) == "file_not_found"
    assert (await client.files_completeUploadExternal(files=[{"id": right["file_id"]}]))["files"][0]["size"] == 5


async def test_an_unknown_upload_address_and_an_empty_file_are_refused(
    slack: LocalSlack, client: AsyncWebClient
) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{slack.url}upload/v1/nothing", data=b"x")

    assert answer.status == 404
    assert await refused(client.files_getUploadURLExternal(filename="a.txt", length=0)) == "invalid_arguments"


async def test_the_bot_deletes_its_own_files_only(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    said = await slack.share(ada, general, PDF)
    own = await client.files_upload_v2(channel=general.id, filename="export.csv", content="a,b")

    await client.files_delete(file=own["files"][0]["id"])

    assert list(slack.store.files) == said.file_ids
    assert await refused(client.files_delete(file=said.file_ids[0])) == "cant_delete_file"
