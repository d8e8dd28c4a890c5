from __future__ import annotations

from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.playground.conftest import refused


async def test_a_post_stands_in_its_channel_or_thread(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "question")

    await client.chat_postMessage(channel=general.id, text="to everyone")
    reply = await client.chat_postMessage(channel=general.id, text="to the thread", thread_ts=root.ts)

    assert [m.text for m in slack.store.top_level(general.id)] == ["question", "to everyone"]
    assert [m.ts for m in slack.replies(general, root.ts)] == [reply["ts"]]
    assert reply["message"]["thread_ts"] == root.ts


async def test_a_reply_to_a_reply_joins_the_same_thread(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "question")
    reply = await slack.say(ada, general, "more", thread_ts=root.ts)

    posted = await client.chat_postMessage(channel=general.id, text="answer", thread_ts=reply.ts)

    assert posted["message"]["thread_ts"] == root.ts


async def test_a_post_to_a_person_opens_their_messages(slack: LocalSlack, client: AsyncWebClient, ada: User) -> None:
    posted = await client.chat_postMessage(channel=ada.id, text="psst")

    assert posted["channel"] == slack.direct(ada).id


async def test_places_the_bot_is_not_in_are_refused_and_private_ones_are_not_even_known(
    slack: LocalSlack, client: AsyncWebClient, ada: User
) -> None:
    public = slack.add_channel("public", members=[ada], with_bot=False)
    private = slack.add_channel("private", kind="private", members=[ada], with_bot=False)

    assert await refused(client.chat_postMessage(channel=public.id, text="x")) == "not_in_channel"
    assert await refused(client.chat_postMessage(channel=private.id, text="x")) == "channel_not_found"
    assert await refused(client.chat_postMessage(channel="C0NOWHERE", text="x")) == "channel_not_found"


async def test_an_archived_channel_takes_no_posts(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    slack.workspace.archive(general, ada, archived=True)

    assert await refused(client.chat_postMessage(channel=general.id, text="x")) == "is_archived"


async def test_a_thread_that_is_not_there_takes_no_posts(client: AsyncWebClient, general: Channel) -> None:
    call = client.chat_postMessage(channel=general.id, text="x", thread_ts="1.000001")

    assert await refused(call) == "thread_not_found"


async def test_the_bot_changes_and_deletes_what_is_its_own(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    posted = await client.chat_postMessage(channel=general.id, text="one", blocks=[{"type": "divider"}])
    ts = posted["ts"]

    await client.chat_update(channel=general.id, ts=ts, text="two")
    assert (slack.store.messages[general.id][ts].text, slack.store.messages[general.id][ts].blocks) == (
        "two",
        [{"type": "divider"}],
    )

    await client.chat_delete(channel=general.id, ts=ts)
    assert slack.store.message(general.id, ts) is None
    assert await refused(client.chat_update(channel=general.id, ts=ts, text="three")) == "message_not_found"


async def test_other_peoples_messages_are_not_the_bots_to_touch(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    said = await slack.say(ada, general, "mine")

    assert await refused(client.chat_update(channel=general.id, ts=said.ts, text="x")) == "cant_update_message"
    assert await refused(client.chat_delete(channel=general.id, ts=said.ts)) == "cant_delete_message"


async def test_an_ephemeral_message_is_seen_by_one_member_only(
    slack: LocalSlack, client: AsyncWebClient, ada: User, ben: User, general: Channel
) -> None:
    stranger = slack.add_user("Cleo")

    await client.chat_postEphemeral(channel=general.id, user=ada.id, text="only you")
    call = client.chat_postEphemeral(channel=general.id, user=stranger.id, text="only you")

    assert [m.text for m in slack.ephemerals(ada, general)] == ["only you"]
    assert slack.ephemerals(ben, general) == []
    assert slack.store.top_level(general.id) == []
    assert await refused(call) == "user_not_in_channel"


async def test_permalinks_lead_to_the_page(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "root")
    reply = await slack.say(ada, general, "reply", thread_ts=root.ts)

    to_root = await client.chat_getPermalink(channel=general.id, message_ts=root.ts)
    to_reply = await client.chat_getPermalink(channel=general.id, message_ts=reply.ts)

    assert to_root["permalink"] == f"{slack.url}archives/{general.id}/p{root.ts.replace('.', '')}"
    assert to_reply["permalink"].endswith(f"?thread_ts={root.ts}&cid={general.id}")


async def test_markdown_text_becomes_a_markdown_block(
    slack: LocalSlack, client: AsyncWebClient, general: Channel
) -> None:
    posted = await client.chat_postMessage(channel=general.id, markdown_text="**bold**")

    assert posted["message"]["blocks"] == [{"type": "markdown", "text": "**bold**"}]
    both = client.chat_postMessage(channel=general.id, markdown_text="x", blocks=[{"type": "divider"}])
    assert await refused(both) == "markdown_text_conflict"
