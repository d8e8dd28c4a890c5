from __future__ import annotations

from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import Forbidden, InvalidRequest, NotFound
from bot.playground.local import LocalSlack
from bot.playground.state import Channel, Message, User
from bot.values import ChannelKind, UserKind
from tests.playground.conftest import Listener


async def test_people_and_places_are_found_by_name_id_or_themselves(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    for who, where in ((ada, general), ("Ada", "general"), (ada.id, "#general"), ("ada@example.com", general.id)):
        assert (await slack.say(who, where, "hello")).user_id == ada.id

    with pytest.raises(NotFound):
        await slack.say("Nobody", general, "hello")
    with pytest.raises(NotFound):
        await slack.say(ada, "nowhere", "hello")


async def test_only_members_can_speak_in_a_channel(slack: LocalSlack, ada: User, general: Channel) -> None:
    cleo = slack.add_user("Cleo", kind="guest")

    with pytest.raises(Forbidden) as refusal:
        await slack.say(cleo, general, "hello")
    slack.join(cleo, general)

    assert refusal.value.user_message == "Cleo isn't in this channel."
    assert (await slack.say(cleo, general, "hello")).text == "hello"


async def test_an_archived_channel_is_silent(slack: LocalSlack, ada: User, general: Channel) -> None:
    slack.workspace.archive(general, ada, archived=True)

    with pytest.raises(Forbidden):
        await slack.say(ada, general, "hello")


async def test_nothing_at_all_and_lost_threads_cannot_be_posted(slack: LocalSlack, ada: User, general: Channel) -> None:
    with pytest.raises(InvalidRequest):
        await slack.say(ada, general, "")
    with pytest.raises(NotFound):
        await slack.say(ada, general, "hello", thread_ts="1.000001")


async def test_files_come_from_disk_or_memory_and_their_names_tell_their_type(
    slack: LocalSlack, ada: User, general: Channel, tmp_path: Path
) -> None:
    path = tmp_path / "notes.md"
    path.write_bytes(b"# Notes")

    said = await slack.share(ada, general, path, ("data.csv", b"a,b"), ("lies.pdf", b"MZ", "application/pdf"))

    files = [slack.store.files[file_id] for file_id in said.file_ids]
    assert [(f.name, f.mimetype, f.data) for f in files] == [
        ("notes.md", "text/markdown", b"# Notes"),
        ("data.csv", "text/csv", b"a,b"),
        ("lies.pdf", "application/pdf", b"MZ"),
    ]


async def test_a_file_that_is_gone_cannot_be_deleted_again(slack: LocalSlack, ada: User, general: Channel) -> None:
    said = await slack.share(ada, general, ("a.md", b"a"))
    await slack.delete_file(said.file_ids[0])

    with pytest.raises(NotFound):
        await slack.delete_file("F0NOTHING")


async def test_text_can_be_posted_as_it_stands_however_broken(slack: LocalSlack, ada: User, general: Channel) -> None:
    said = await slack.say(ada, general, "a\x00b\ud800 <not> @Ben", as_typed=False)

    assert said.text == "a\x00b\ud800 <not> @Ben"
    assert slack.events[0]["text"] == said.text


async def test_standing_can_change(slack: LocalSlack, ben: User) -> None:
    slack.change_user(ben, kind="guest", is_admin=True, deleted=True)

    assert (ben.kind, ben.is_admin, ben.deleted) == (UserKind.GUEST, True, True)
    assert slack.events[0]["user"]["deleted"] is True


async def test_direct_messages_are_one_per_person(slack: LocalSlack, ada: User, ben: User) -> None:
    assert slack.direct(ada) is slack.direct(ada)
    assert slack.direct(ada) is not slack.direct(ben)
    assert slack.direct(ada).kind is ChannelKind.IM


async def test_a_reply_is_whole_only_when_its_stream_has_ended(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    question = await slack.mention(ada, general, "when?")
    stream = slack.workspace.post(slack.store.bot, general, "", thread_ts=question.ts, streaming=True)
    slack.workspace.grow(stream, "at eight")

    with pytest.raises(TimeoutError, match="at eight"):
        await slack.wait_for_reply(general, question.ts, timeout=0.05)
    slack.workspace.finish(stream)

    assert await slack.wait_for_reply(general, question.ts) is stream


async def test_a_reply_can_be_asked_for_after_a_moment_and_until_it_says_so(
    slack: LocalSlack, client: AsyncWebClient, ada: User, general: Channel
) -> None:
    root = await slack.mention(ada, general, "when?")
    first = await client.chat_postMessage(channel=general.id, thread_ts=root.ts, text="one")
    second = await client.chat_postMessage(channel=general.id, thread_ts=root.ts, text="two")

    def says_two(message: Message) -> bool:
        return message.text == "two"

    assert (await slack.wait_for_reply(general, root.ts)).ts == first["ts"]
    assert (await slack.wait_for_reply(general, root.ts, after=first["ts"])).ts == second["ts"]
    assert (await slack.wait_for_reply(general, root.ts, until=says_two)).ts == second["ts"]


async def test_times_are_measured_from_the_event_to_the_first_words_and_the_last(
    slack: LocalSlack, ada: User, general: Channel
) -> None:
    question = await slack.mention(ada, general, "when?")
    assert slack.timing(question).first_text_ms is None

    stream = slack.workspace.post(slack.store.bot, general, "", thread_ts=question.ts, streaming=True)
    assert slack.timing(question).first_text_ms is None
    slack.workspace.grow(stream, "at eight")
    halfway = slack.timing(question)
    slack.workspace.finish(stream)
    done = slack.timing(question)

    assert halfway.first_text_ms is not None
    assert halfway.answer_ms is None
    assert done.answer_ms is not None
    assert halfway.first_text_ms == done.first_text_ms
    assert 0 <= halfway.first_text_ms <= done.answer_ms


async def test_a_post_can_be_delivered_twice_under_the_same_event_ids(
    slack: LocalSlack, app: Listener, ada: User, general: Channel
) -> None:
    said = await slack.mention(ada, general, "when?")
    await slack.settle()

    await slack.deliver_twice(said)
    await slack.redeliver()

    ids = [payload["event_id"] for payload in app.payloads]
    assert len(ids) == 5
    assert len(set(ids)) == 2
    assert app.retries == ["0", "0", "1", "1", "1"]


async def test_nothing_can_be_redelivered_before_anything_was_sent(slack: LocalSlack) -> None:
    with pytest.raises(NotFound):
        await slack.redeliver()


async def test_stop_names_the_messages_being_written(slack: LocalSlack, ada: User, general: Channel) -> None:
    root = await slack.mention(ada, general, "a long story, please")
    stream = slack.workspace.post(slack.store.bot, general, "", thread_ts=root.ts, streaming=True)

    await slack.stop(ada, root)

    event = slack.events[-1]
    assert (event["type"], event["thread_ts"]) == ("agent_session_stopped", root.ts)
    assert event["streaming_message_ts"] == [stream.ts]
