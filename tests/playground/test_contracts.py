"""What the real SDK sends is of Slack's own types, and so is what this Slack was told; the rest is named."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.models.blocks import ActionsBlock, ButtonElement, DividerBlock, SectionBlock
from slack_sdk.models.messages.chunk import MarkdownTextChunk, TaskUpdateChunk
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.local import LocalSlack
from bot.playground.methods import METHODS
from bot.playground.state import Channel, User
from tests.contracts import Contracts

HOME = {"type": "home", "blocks": [DividerBlock().to_dict()]}
BLOCKS = [SectionBlock(text="words"), ActionsBlock(elements=[ButtonElement(text="Go", action_id="go", value="1")])]


async def call_everything(slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel) -> None:
    """Call every method once, as an app would with the SDK."""
    root = await slack.say(ada, general, "root")
    place: dict[str, Any] = {"channel_id": general.id, "thread_ts": root.ts}
    await client.api_test()
    await client.auth_test()
    await client.team_info()
    await client.bots_info(bot=slack.store.bot_id)
    await client.users_info(user=ada.id)
    await client.users_list(limit=10)
    await client.users_lookupByEmail(email="ada@example.com")
    await client.conversations_info(channel=general.id, include_num_members=True)
    await client.conversations_list(limit=10, exclude_archived=True)
    await client.users_conversations(limit=10, types="public_channel,private_channel", exclude_archived=True)
    await client.conversations_members(channel=general.id, limit=10)
    await client.conversations_history(channel=general.id, limit=10, inclusive=True)
    await client.conversations_replies(channel=general.id, ts=root.ts, limit=10)
    await client.conversations_open(users=ada.id, return_im=True)
    await client.conversations_join(channel=general.id)
    await client.reactions_add(channel=general.id, timestamp=root.ts, name="eyes")
    await client.reactions_remove(channel=general.id, timestamp=root.ts, name="eyes")
    await client.assistant_threads_setStatus(**place, status="is reading…", loading_messages=["page 1"])
    prompt = {"title": "Hours", "message": "When do we open?"}
    await client.assistant_threads_setSuggestedPrompts(**place, title="Try", prompts=[prompt])
    await client.assistant_threads_setTitle(**place, title="Hours")
    await client.agents_sessions_setStatus(**place, status="active")
    await client.agents_sessions_rename(**place, title="Hours")
    posted = await client.chat_postMessage(
        channel=general.id, text="x", blocks=BLOCKS, unfurl_links=False, unfurl_media=False, thread_ts=root.ts
    )
    await client.chat_getPermalink(channel=general.id, message_ts=posted["ts"])
    await client.chat_update(channel=general.id, ts=posted["ts"], text="y", blocks=BLOCKS)
    await client.chat_delete(channel=general.id, ts=posted["ts"])
    await client.chat_postEphemeral(channel=general.id, user=ada.id, text="x", blocks=BLOCKS)
    stream = await client.chat_stream(
        channel=general.id, thread_ts=root.ts, recipient_team_id=slack.store.team_id, recipient_user_id=ada.id
    )
    await stream.append(chunks=[TaskUpdateChunk(id="1", title="Reading", status="in_progress")])
    await stream.append(chunks=[MarkdownTextChunk(text="at eight")])
    await stream.stop(blocks=BLOCKS)
    uploaded = await client.files_upload_v2(channel=general.id, filename="a.csv", content="a,b")
    await client.files_info(file=uploaded["files"][0]["id"])
    await client.files_list(channel=general.id)
    await client.files_delete(file=uploaded["files"][0]["id"])
    await client.views_publish(user_id=ada.id, view=HOME)
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "Sure?"}, "blocks": []}
    opened = await client.views_open(trigger_id=slack.interactions.new_trigger(ada), view=modal)
    await client.views_update(view_id=opened["view"]["id"], view=modal)
    app_client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
    await app_client.apps_connections_open(app_token=slack.app_token)


async def test_every_method_takes_what_the_sdk_sends_and_it_is_of_slacks_types(
    slack: LocalSlack,
    client: AsyncWebClient,
    ada: User,
    general: Channel,
    contracts: Contracts,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await call_everything(slack, client, ada, general)

    contracts.check_all(slack.events, slack.calls)

    assert {call.method for call in slack.calls} == set(METHODS)
    assert [call.error for call in slack.calls if call.error] == []
    with capsys.disabled():
        print(f"\n{contracts.report()}")  # noqa: T201  # asked for: what no schema covers is said aloud


def test_a_misshapen_call_is_caught(contracts: Contracts) -> None:
    with pytest.raises(AssertionError, match=r"chat\.appendStream"):
        contracts.check_call("chat.appendStream", {"channel": "C1", "ts": "1.1", "markdown": "x"})
    with pytest.raises(AssertionError, match=r"conversations\.replies"):
        contracts.check_call("conversations.replies", {"channel": "C1"})
    with pytest.raises(AssertionError, match="blocks"):
        contracts.check_call("chat.postEphemeral", {"blocks": [{"type": "header", "text": "words"}]})


def test_what_has_no_schema_is_named_and_not_passed_over(contracts: Contracts) -> None:
    contracts.check_call("chat.postEphemeral", {"channel": "C1", "text": "x"})

    assert contracts.report() == "no schema for:\n  arguments of chat.postEphemeral"
