from __future__ import annotations

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.playground.conftest import refused


async def test_a_thread_is_read_a_page_at_a_time_with_its_root_first(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    said = [await slack.say(ada, general, str(n), thread_ts=root.ts) for n in range(5)]

    pages = [
        dict(page.data) async for page in await client.conversations_replies(channel=general.id, ts=root.ts, limit=4)
    ]

    assert [len(page["messages"]) for page in pages] == [4, 2]
    assert [page["has_more"] for page in pages] == [True, False]
    assert [m["ts"] for page in pages for m in page["messages"]] == [root.ts, *(m.ts for m in said)]
    assert pages[0]["messages"][0]["reply_count"] == 5


async def test_a_thread_can_be_read_from_a_moment_on(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    first = await slack.say(ada, general, "first", thread_ts=root.ts)
    second = await slack.say(ada, general, "second", thread_ts=root.ts)

    later = await client.conversations_replies(channel=general.id, ts=root.ts, oldest=first.ts)
    including = await client.conversations_replies(channel=general.id, ts=root.ts, oldest=first.ts, inclusive=True)

    assert [m["ts"] for m in later["messages"]] == [root.ts, second.ts]
    assert [m["ts"] for m in including["messages"]] == [root.ts, first.ts, second.ts]


async def test_history_is_newest_first_and_without_replies(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    await slack.say(ada, general, "reply", thread_ts=root.ts)
    last = await slack.say(ada, general, "last")

    history = await client.conversations_history(channel=general.id)

    assert [m["ts"] for m in history["messages"]] == [last.ts, root.ts]


async def test_metadata_is_shown_on_request_only(slack: LocalSlack, client: AsyncWebClient, general: Channel) -> None:
    metadata = {"event_type": "answer", "event_payload": {"id": "1"}}
    await client.chat_postMessage(channel=general.id, text="answer", metadata=metadata)

    without = await client.conversations_history(channel=general.id)
    with_it = await client.conversations_history(channel=general.id, include_all_metadata=True)

    assert "metadata" not in without["messages"][0]
    assert with_it["messages"][0]["metadata"] == metadata


async def test_reading_needs_membership_and_the_scope_of_the_kind_of_channel(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    other = slack.add_channel("other", members=[ada], with_bot=False)
    leads = slack.add_channel("leads", kind="private", members=[ada])
    slack.scopes.discard("groups:history")

    assert await refused(client.conversations_history(channel=other.id)) == "not_in_channel"
    assert await refused(client.conversations_history(channel=leads.id)) == "missing_scope"
    assert await refused(client.conversations_replies(channel=general.id, ts="1.000001")) == "thread_not_found"
    assert (await client.conversations_history(channel=general.id))["ok"]


async def test_a_channel_says_what_kind_it_is(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    leads = slack.add_channel("leads", kind="private", members=[ada])
    slack.join(slack.add_user("Eve", kind="external"), leads)

    public = (await client.conversations_info(channel=general.id))["channel"]
    private = (await client.conversations_info(channel=leads.id))["channel"]
    direct = (await client.conversations_info(channel=slack.direct(ada).id))["channel"]

    assert (public["is_channel"], public["is_private"], public["is_ext_shared"]) == (True, False, False)
    assert (private["is_group"], private["is_private"], private["is_ext_shared"]) == (True, True, True)
    assert (direct["is_im"], direct["user"]) == (True, ada.id)


async def test_members_come_a_page_at_a_time(
    slack: LocalSlack, client: AsyncWebClient, ada: User, ben: User, general: Channel
) -> None:
    pages = [page["members"] async for page in await client.conversations_members(channel=general.id, limit=2)]

    assert pages == [[ada.id, ben.id], [slack.store.bot.id]]


async def test_limits_and_cursors_of_nonsense_are_refused(client: AsyncWebClient, general: Channel) -> None:
    assert await refused(client.conversations_members(channel=general.id, limit=5000)) == "invalid_limit"
    assert await refused(client.conversations_members(channel=general.id, cursor="???")) == "invalid_cursor"


async def test_only_channels_the_bot_may_know_of_are_listed(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    other = slack.add_channel("other", members=[ada], with_bot=False)
    leads = slack.add_channel("leads", kind="private", members=[ada])
    slack.add_channel("secret", kind="private", members=[ada], with_bot=False)

    public = await client.conversations_list()
    both = await client.conversations_list(types="public_channel,private_channel")
    slack.workspace.archive(other, ada, archived=True)
    alive = await client.conversations_list(exclude_archived=True)

    assert [c["id"] for c in public["channels"]] == [general.id, other.id]
    assert [c["id"] for c in both["channels"]] == [general.id, other.id, leads.id]
    assert [c["id"] for c in alive["channels"]] == [general.id]
    assert await refused(client.conversations_list(types="submarine")) == "invalid_types"


async def test_the_channels_the_bot_is_in_come_a_page_at_a_time(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    slack.add_channel("other", members=[ada], with_bot=False)
    old = slack.add_channel("old", members=[ada])
    leads = slack.add_channel("leads", kind="private", members=[ada])
    slack.workspace.archive(old, ada, archived=True)
    kinds = "public_channel,private_channel,im"

    pages = [
        page["channels"] async for page in await client.users_conversations(types=kinds, limit=2, exclude_archived=True)
    ]
    with_old = await client.users_conversations()

    assert [[channel["id"] for channel in page] for page in pages] == [[general.id, leads.id]]
    assert [channel["id"] for channel in with_old["channels"]] == [general.id, old.id]
    assert "is_member" not in with_old["channels"][0]
    assert await refused(client.users_conversations(types="submarine")) == "invalid_types"
    assert await refused(client.users_conversations(user="U0NOBODY")) == "user_not_found"


async def test_of_somebody_elses_channels_only_those_the_bot_may_know_of_are_listed(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    other = slack.add_channel("other", members=[ada], with_bot=False)
    slack.add_channel("secret", kind="private", members=[ada], with_bot=False)

    theirs = await client.users_conversations(user=ada.id, types="public_channel,private_channel")

    assert [channel["id"] for channel in theirs["channels"]] == [general.id, other.id]


async def test_listing_ones_channels_needs_the_scope_of_each_kind(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    slack.scopes.discard("groups:read")

    assert (await client.users_conversations())["channels"][0]["id"] == general.id
    assert await refused(client.users_conversations(types="public_channel,private_channel")) == "missing_scope"


async def test_history_between_two_moments_shows_threads_by_their_root_and_newest_reply(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    before, root, after = [await slack.say(ada, general, word) for word in ("before", "root", "after")]
    reply = await slack.say(ada, general, "reply", thread_ts=root.ts)
    between: dict[str, Any] = {"channel": general.id, "oldest": before.ts, "latest": after.ts}

    inner = (await client.conversations_history(**between))["messages"]
    outer = (await client.conversations_history(**between, inclusive=True))["messages"]
    pages = [
        dict(page.data)
        async for page in await client.conversations_history(channel=general.id, oldest=before.ts, limit=1)
    ]

    assert [(m["ts"], m["reply_count"], m["latest_reply"]) for m in inner] == [(root.ts, 1, reply.ts)]
    assert [m["ts"] for m in outer] == [after.ts, root.ts, before.ts]
    assert [(m["ts"], page["has_more"]) for page in pages for m in page["messages"]] == [
        (after.ts, True),
        (root.ts, False),
    ]
    assert await refused(client.conversations_history(channel=general.id, limit=1000)) == "invalid_limit"


async def test_a_reply_that_is_deleted_no_longer_counts(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    first, second = [await slack.say(ada, general, word, thread_ts=root.ts) for word in ("first", "second")]

    await slack.delete(second)

    [shown] = (await client.conversations_history(channel=general.id))["messages"]
    assert (shown["reply_count"], shown["latest_reply"]) == (1, first.ts)


async def test_direct_messages_open_once(slack: LocalSlack, client: AsyncWebClient, ada: User) -> None:
    first = await client.conversations_open(users=ada.id)
    second = await client.conversations_open(users=[ada.id], return_im=True)

    assert first["channel"]["id"] == second["channel"]["id"] == slack.direct(ada).id
    assert await refused(client.conversations_open(users="U0NOBODY")) == "user_not_found"


async def test_the_bot_joins_public_channels_only(slack: LocalSlack, client: AsyncWebClient, ada: User) -> None:
    other = slack.add_channel("other", members=[ada], with_bot=False)
    leads = slack.add_channel("leads", kind="private", members=[ada])

    joined = await client.conversations_join(channel=other.id)

    assert joined["channel"]["is_member"]
    assert await refused(client.conversations_join(channel=leads.id)) == "method_not_supported_for_channel_type"


async def test_a_reaction_is_put_and_taken_away_once(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    said = await slack.say(ada, general, "look")
    mark = {"channel": general.id, "timestamp": said.ts, "name": "eyes"}

    await client.reactions_add(**mark)
    assert said.reactions["eyes"] == [slack.store.bot.id]
    assert await refused(client.reactions_add(**mark)) == "already_reacted"

    await client.reactions_remove(**mark)
    assert said.reactions["eyes"] == []
    assert await refused(client.reactions_remove(**mark)) == "no_reaction"
