from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.state import Channel, User
from tests.contracts import Contracts
from tests.playground.conftest import Listener

PDF = ("handbook.pdf", b"%PDF-1.4 hours", "application/pdf")


async def test_a_mention_arrives_twice_as_message_and_as_app_mention(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    said = await slack.mention(ada, general, "when do we open?")

    [message] = await app.heard("message")
    [mention] = await app.heard("app_mention")

    assert message["ts"] == mention["ts"] == said.ts
    assert message["text"] == mention["text"] == f"<@{slack.store.bot.id}> when do we open?"
    assert message["client_msg_id"] == mention["client_msg_id"]
    assert app.payloads[0]["event_id"] != app.payloads[1]["event_id"]


async def test_an_envelope_says_whose_it_is(slack: LocalSlack, app: Listener, ada: User, general: Channel) -> None:
    await slack.say(ada, general, "hello")
    await app.heard("message")

    [payload] = app.payloads

    assert payload["type"] == "event_callback"
    assert payload["team_id"] == slack.store.team_id
    assert payload["authorizations"][0]["user_id"] == slack.store.bot.id
    assert payload["is_ext_shared_channel"] is False


async def test_a_channel_with_somebody_from_elsewhere_is_marked_so(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    slack.join(slack.add_user("Eve", kind="external"), general)

    await slack.say(ada, general, "hello")
    await app.heard("message")

    assert app.payloads[-1]["is_ext_shared_channel"] is True


async def test_a_direct_message_comes_without_a_mention(slack: LocalSlack, app: Listener, ada: User) -> None:
    await slack.mention(ada, slack.direct(ada), "hello")

    [message] = await app.heard("message")
    await slack.settle()

    assert message["channel_type"] == "im"
    assert [payload["event"]["type"] for payload in app.payloads] == ["message"]


async def test_shared_files_come_with_the_message_and_once_more_as_ids(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    root = await slack.say(ada, general, "look")
    said = await slack.share(ada, general, PDF, ("notes.md", b"# Notes"), text="here", thread_ts=root.ts)

    shared = (await app.heard("message", count=2))[1]
    hints = await app.heard("file_shared", count=2)

    assert shared["subtype"] == "file_share"
    assert shared["thread_ts"] == root.ts
    assert [(file["name"], file["mimetype"]) for file in shared["files"]] == [
        ("handbook.pdf", "application/pdf"),
        ("notes.md", "text/markdown"),
    ]
    assert [hint["file_id"] for hint in hints] == said.file_ids
    assert all("thread_ts" not in hint for hint in hints)


async def test_edits_and_deletions_show_what_was_there_before(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    said = await slack.say(ada, general, "eight")
    await slack.edit(said, "nine")
    await slack.delete(said)

    _, changed, deleted = await app.heard("message", count=3)

    assert (changed["subtype"], changed["previous_message"]["text"], changed["message"]["text"]) == (
        "message_changed",
        "eight",
        "nine",
    )
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", said.ts)
    assert deleted["previous_message"]["text"] == "nine"


async def test_a_deleted_file_takes_a_message_that_was_nothing_else_with_it(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    bare = await slack.share(ada, general, PDF)
    worded = await slack.share(ada, general, PDF, text="with words")

    await slack.delete_file(bare.file_ids[0])
    await slack.delete_file(worded.file_ids[0])
    gone = await app.heard("file_deleted", count=2)
    await slack.settle()

    assert gone[0]["channel_ids"] == [general.id]
    assert [m.ts for m in slack.store.top_level(general.id)] == [worded.ts]
    subtypes = [payload["event"].get("subtype") for payload in app.payloads]
    assert subtypes.count("message_deleted") == subtypes.count("message_changed") == 1


async def test_channels_without_the_bot_are_silent(slack: LocalSlack, app: Listener, ada: User) -> None:
    slack.add_channel("elsewhere", members=[ada], with_bot=False)

    said = await slack.share(ada, "elsewhere", PDF, text="nobody hears this")
    await slack.delete_file(said.file_ids[0])

    assert slack.events == []


async def test_an_app_hears_only_what_it_subscribed_to(ada: User) -> None:
    async with LocalSlack() as slack:
        someone = slack.add_user("Someone")
        channel = slack.add_channel("general", members=[someone])

        await slack.react(someone, await slack.share(someone, channel, PDF), "eyes")

        assert [event["type"] for event in slack.events] == ["message"]


async def test_comings_and_goings_are_told(slack: LocalSlack, app: Listener, general: Channel) -> None:
    cleo = slack.add_user("Cleo", kind="guest")

    slack.join(cleo, general)
    slack.join(cleo, general)
    slack.leave(cleo, general)
    slack.leave(cleo, general)
    [joined] = await app.heard("member_joined_channel")
    [left] = await app.heard("member_left_channel")

    assert joined["user"] == left["user"] == cleo.id


async def test_the_bots_own_posts_come_back_marked_as_its_own(
    slack: LocalSlack, app: Listener, general: Channel
) -> None:
    await app.app.client.chat_postMessage(channel=general.id, text="hello")
    await slack.settle()

    [event] = slack.events

    assert event["bot_id"] == slack.store.bot_id
    assert event["user"] == slack.store.bot.id
    assert app.payloads == [], "Bolt drops an app's own events"


async def test_every_event_has_slacks_own_shape(
    slack: LocalSlack, ada: User, ben: User, general: Channel, contracts: Contracts
) -> None:
    leads = slack.add_channel("leads", kind="private", members=[ada])
    group = slack.add_channel("mpdm-ada--ben", kind="mpim", members=[ada, ben])
    root = await slack.mention(ada, general, "is <this> at https://example.com & @Ben's?", files=[PDF])
    await slack.say(ben, general, "yes", thread_ts=root.ts)
    await slack.edit(root, "changed")
    await slack.mention(ada, group, "hello")
    await slack.share(ada, slack.direct(ada), PDF)
    secret = await slack.mention(ada, leads, "hush")
    await slack.react(ben, root, "eyes")
    await slack.react(ben, root, "eyes", remove=True)
    stream = slack.workspace.post(slack.store.bot, general, "", thread_ts=root.ts, streaming=True)
    slack.workspace.grow(stream, "half an answer")
    await slack.stop(ada, stream)
    slack.workspace.finish(stream, blocks=[{"type": "divider"}])
    slack.leave(ben, general)
    slack.join(ben, general)
    slack.open_app(ada)
    slack.change_user(ben, kind="guest", is_admin=False)
    slack.add_user("Dora", is_told=True)
    for channel in (general, leads):
        slack.rename(channel, f"{channel.name}-too")
        slack.convert(channel, "private" if channel is general else "public")
        slack.convert(channel, "public" if channel is general else "private")
    slack.connect(general)
    slack.disconnect(general)
    for channel in (general, leads):
        slack.workspace.archive(channel, ada, archived=True)
        slack.workspace.archive(channel, ada, archived=False)
    await slack.delete_file(root.file_ids[0])
    await slack.delete(secret)
    for channel in (general, leads):
        slack.leave(slack.store.bot, channel)
        slack.join(slack.store.bot, channel)
    slack.remove_channel(leads)
    slack.remove_channel(general)
    slack.uninstall()

    for event in slack.events:
        contracts.check_event(event)

    kinds = {event["type"] for event in slack.events}
    told = {name.split(".")[0] for name in slack.workspace.deliveries.subscriptions}
    assert kinds == told - {"channel_id_changed"}, "which happens on Enterprise plans alone"


def test_a_misshapen_event_is_caught(contracts: Contracts) -> None:
    event = {"type": "file_deleted", "file_id": "F1", "event_ts": "1.2", "surprise": True}

    with pytest.raises(AssertionError, match="surprise"):
        contracts.check_event(event)


async def test_an_app_that_is_removed_hears_it_twice_and_nothing_afterwards(
    slack: LocalSlack, app: Listener, client: AsyncWebClient, ada: User, general: Channel, contracts: Contracts
) -> None:
    slack.uninstall()
    slack.uninstall()
    await slack.say(ada, general, "hello")
    await slack.settle()

    assert sorted(payload["event"]["type"] for payload in app.payloads) == ["app_uninstalled", "tokens_revoked"]
    [revoked] = await app.heard("tokens_revoked")
    assert revoked["tokens"]["bot"] == [slack.store.bot.id]
    contracts.check_all(slack.events, [])
    with pytest.raises(SlackApiError, match="account_inactive"):
        await client.auth_test()


async def test_an_app_that_is_installed_again_has_another_token(slack: LocalSlack, client: AsyncWebClient) -> None:
    slack.uninstall()
    slack.install()

    with pytest.raises(SlackApiError, match="invalid_auth"):
        await client.auth_test()
    assert (await AsyncWebClient(slack.bot_token, base_url=slack.api_url).auth_test())["ok"]
