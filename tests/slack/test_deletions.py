"""What is deleted in Slack is gone here: not found, not kept, and not quoted in answers that still stand."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.llm.local import LocalEmbedder
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.repositories.channels import ChannelRepository
from bot.services.deletions import NOTICE
from bot.slack.files import SlackFiles
from bot.values import Channel, ChannelKind, SharedFile
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.fakes import FakeOpenAI
from tests.faults.held import hold
from tests.slack.acts import HANDBOOK, asked, count, note, shared, until, value, worked_off
from tests.slack.conftest import StartBot
from tests.slack.test_commands import pressed, said

QUESTION = "When does the office open?"
WORDS = "office opens at eight"


async def left_of(sessions: Sessions, words: str) -> list[str]:
    """Return the columns of the workspace in which these words still stand, as the database holds them."""
    found = []
    async with sessions.tenant(TEAM) as session:
        columns = await session.execute(
            text("""
                SELECT table_name, column_name, data_type FROM information_schema.columns
                 WHERE table_schema = current_schema() AND data_type IN ('text', 'jsonb', 'bytea')
                """)
        )
        for table, column, kind in columns.all():
            value = f"convert_from({column}, 'UTF8')" if kind == "bytea" and table == "inbox" else f"{column}::text"
            statement = text(f"SELECT count(*) FROM {table} WHERE position(CAST(:words AS text) IN {value}) > 0")
            if await session.scalar(statement, {"words": words}):
                found.append(f"{table}.{column}")
    return found


def shows(slack: LocalSlack, message: Message) -> str:
    """Return all that a message says now, its blocks included."""
    now = slack.store.message(message.channel_id, message.ts)
    assert now is not None
    return f"{words_of(now)} {json.dumps(now.blocks)}"


async def test_an_answer_is_taken_back_when_the_file_it_quotes_is_deleted(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    reply = await asked(slack, QUESTION, root)
    assert WORDS in shows(slack, reply)

    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await worked_off(sessions)

    assert NOTICE in shows(slack, reply)
    assert WORDS not in shows(slack, reply)
    assert await left_of(sessions, WORDS) == []


async def test_an_answer_from_another_file_stays(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    await shared(slack, HANDBOOK)
    other = await shared(slack, note("tides.txt", "High tide reaches the lower quay at noon."))
    reply = await asked(slack, "When does high tide reach the lower quay?", other)
    root = await shared(slack, note("menu.txt", "The canteen serves lentil soup on Mondays."))

    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await worked_off(sessions)

    assert "lower quay at noon" in shows(slack, reply)


async def test_a_file_goes_with_the_message_that_shared_it(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    elsewhere = await slack.say("Ada", "general", "Something else")
    reply = await asked(slack, QUESTION, elsewhere)

    await slack.delete(root)
    await slack.settle()
    await worked_off(sessions)

    assert await count(sessions, "documents") == 0
    assert WORDS not in shows(slack, reply)
    assert await left_of(sessions, WORDS) == []


async def test_a_file_that_another_message_shares_as_well_stays_with_its_answers(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    first = await shared(slack, HANDBOOK)
    second = await shared(slack, HANDBOOK)
    reply = await asked(slack, QUESTION, second)

    await slack.delete(first)
    await slack.settle()
    await worked_off(sessions)

    assert await count(sessions, "documents") == 1
    assert WORDS in shows(slack, reply)


async def test_nothing_of_a_deleted_question_is_kept(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    root = await shared(slack, HANDBOOK)
    question = await slack.mention("Ada", "general", "Is my quokka allowed in the office?", thread_ts=root.ts)
    await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=30)
    assert "messages.content" in await left_of(sessions, "quokka")

    await slack.delete(question)
    await slack.settle()
    await worked_off(sessions)

    assert await left_of(sessions, "quokka") == []


async def test_an_answer_written_while_its_file_is_deleted_is_taken_back(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        (held,) = hold(openai, "The office opens at eight in the morning. [1]", question=QUESTION)
        question = await slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
        await held.wait_begun()
        await slack.delete_file(root.file_ids[0])
        await until(lambda: _none(sessions))
        held.go.set()
        reply = await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=30)
        await worked_off(sessions)

        assert NOTICE in shows(slack, reply)
        assert await left_of(sessions, WORDS) == []


@pytest.mark.parametrize("kind", [ChannelKind.PUBLIC, ChannelKind.PRIVATE])
async def test_a_deleted_channel_is_gone_with_all_it_held(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, kind: ChannelKind
) -> None:
    slack.add_channel("harbour", kind=kind, members=["Ada", "Ben"])
    root = await shared(slack, HANDBOOK, channel="harbour")
    await asked(slack, QUESTION, root, channel="harbour")
    at = await slack.command("Ada", "harbour", "/ask", "When does the quokka open?")
    await slack.wait_for_ephemeral("Ada", "harbour", after=at, until=lambda m: m.text != "Looking …", timeout=30)
    channel_id = slack.store.channel("harbour").id

    slack.remove_channel("harbour")
    await slack.settle()
    await worked_off(sessions)

    for table in ("documents", "document_chunks", "chunk_embeddings"):
        assert await count(sessions, table) == 0, table
    for table in ("conversations", "messages", "deliveries", "channel_members", "channels"):
        assert await count(sessions, f"{table} WHERE channel_id = '{channel_id}'") == 0, table
    assert await left_of(sessions, WORDS) == []
    assert await left_of(sessions, QUESTION) == []
    assert "inbox.body" not in await left_of(sessions, "quokka")
    assert await count(sessions, "audit_log WHERE action = 'channel.deleted'") == 1


async def test_what_a_deleted_channel_shared_elsewhere_too_stays_and_only_the_rest_is_taken_back(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    slack.add_channel("harbour", kind=ChannelKind.PUBLIC, members=["Ada"])
    slack.add_channel("quay", kind=ChannelKind.PUBLIC, members=["Ada"])
    both = await shared(slack, HANDBOOK, channel="quay")
    await shared(slack, HANDBOOK, channel="harbour")
    await shared(slack, note("tides.txt", "High tide reaches the lower quay at noon."), channel="harbour")
    kept = await asked(slack, QUESTION, both, channel="quay")
    lost = await asked(slack, "When does high tide reach the lower quay?", both, channel="quay")
    assert "lower quay at noon" in shows(slack, lost)

    slack.remove_channel("harbour")
    await slack.settle()
    await worked_off(sessions)

    assert WORDS in shows(slack, kept)
    assert NOTICE in shows(slack, lost)
    assert await left_of(sessions, "lower quay at noon") == []
    assert await count(sessions, "documents") == 1


async def test_nothing_that_comes_late_brings_a_deleted_channel_back(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    slack.add_channel("harbour", members=["Ada"])
    async with slack.workspace.deliveries.holding() as held:
        await slack.share("Ada", "harbour", HANDBOOK)
        await slack.mention("Ada", "harbour", "Is my quokka allowed in the office?")
    channel = slack.store.channel("harbour")
    slack.remove_channel("harbour")
    await slack.settle()
    await worked_off(sessions)

    for late in held:
        slack.workspace.deliveries.resend(late)
    await slack.settle()
    await worked_off(sessions)
    async with sessions.tenant(TEAM) as session:
        stored = await ChannelRepository(session).record_channel(
            TEAM, Channel(channel.id, channel.kind, "harbour", has_outsiders=False, member_ids=frozenset(["U1"]))
        )

    assert not stored
    assert await count(sessions, "documents") == 0
    assert await left_of(sessions, "quokka") == []
    assert await count(sessions, f"channels WHERE channel_id = '{channel.id}'") == 0


async def test_what_waits_to_be_done_in_a_channel_is_not_done_once_it_is_deleted(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    slack.add_channel("harbour", members=["Ada"])
    async with start_bot(worker=False):
        await slack.share("Ada", "harbour", HANDBOOK)
        await slack.mention("Ada", "harbour", QUESTION)
        await slack.settle()
        slack.remove_channel("harbour")
        await slack.settle()

    states = "SELECT string_agg(DISTINCT state, ' ') FROM work WHERE task IN ('answer', 'ingest', 'receipt')"
    assert await value(sessions, states) == "stopped"


async def test_an_answer_that_is_being_written_in_a_channel_when_it_is_deleted_leaves_nothing(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    slack.add_channel("harbour", members=["Ada"])
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK, channel="harbour")
        (held,) = hold(openai, "The office opens at eight in the morning. [1]", question=QUESTION)
        await slack.mention("Ada", "harbour", QUESTION, thread_ts=root.ts)
        await held.wait_begun()
        slack.remove_channel("harbour")
        await until(lambda: _none(sessions))
        held.go.set()
        await worked_off(sessions)
        await until(lambda: _idle(sessions))

        assert await left_of(sessions, WORDS) == []
        assert await left_of(sessions, QUESTION) == []
        assert await count(sessions, "messages") == 0
        assert await value(sessions, "SELECT state FROM work WHERE task = 'answer'") == "stopped"


async def test_a_question_deleted_while_it_is_answered_is_forgotten_when_what_was_posted_is_taken_back(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        (held,) = hold(openai, "The office opens at eight in the morning. [1]", question="quokka")
        question = await slack.mention("Ada", "general", f"{QUESTION} My quokka asks.", thread_ts=root.ts)
        await held.wait_begun()
        await slack.delete(question)
        await slack.settle()
        await until(lambda: _came_again(sessions))
        held.go.set()
        await until(lambda: _idle(sessions))

        assert await left_of(sessions, "quokka") == []
        assert await value(sessions, "SELECT state FROM work WHERE task = 'answer'") == "stopped"
        assert not [reply for reply in slack.replies("general", root.ts) if reply.ts > question.ts]


async def _came_again(sessions: Sessions) -> bool:
    return await count(sessions, "work WHERE task = 'unsay' AND epoch > 0") == 1


async def test_words_of_a_message_whose_deletion_came_first_are_not_kept(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    async with slack.workspace.deliveries.holding() as held:
        question = await slack.mention("Ada", "general", "Is my quokka allowed in the office?")
    await slack.delete(question)
    await slack.settle()
    await worked_off(sessions)

    for late in held:
        slack.workspace.deliveries.resend(late)
    await slack.settle()

    assert await left_of(sessions, "quokka") == []


async def test_a_file_deleted_while_it_is_fetched_is_done_with_at_once(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching, go = asyncio.Event(), asyncio.Event()
    fetch = SlackFiles.fetch

    async def held(files: SlackFiles, file: SharedFile, *, max_bytes: int) -> bytes:
        fetching.set()
        await go.wait()
        return await fetch(files, file, max_bytes=max_bytes)

    monkeypatch.setattr(SlackFiles, "fetch", held)
    root = await slack.share("Ada", "general", HANDBOOK)
    await fetching.wait()
    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await until(lambda: _forgotten(sessions))
    go.set()

    await until(lambda: _idle(sessions), within_s=10)

    assert await count(sessions, "documents") == 0


async def _forgotten(sessions: Sessions) -> bool:
    return await count(sessions, "tombstones WHERE kind = 'file'") == 1


async def test_what_slack_showed_of_a_deleted_file_in_its_events_is_not_kept(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    async with slack.workspace.deliveries.holding() as held:
        root = await slack.share("Ada", "general", HANDBOOK, text="Have a look")
    for event in held:
        for file in event.event.get("files", []):
            file["preview"] = "The quokka opens at eight."
        slack.workspace.deliveries.resend(event)
    await slack.settle()
    await slack.wait_for_reply("general", root.ts, timeout=30)
    await worked_off(sessions)
    assert await left_of(sessions, "quokka") == ["inbox.body"]

    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await worked_off(sessions)

    assert await left_of(sessions, "quokka") == []


async def test_a_document_deleted_while_it_is_read_is_not_read_again_after_a_crash(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = asyncio.Event()

    async def hang(*_: object) -> list[object]:
        embedding.set()
        return await asyncio.Future[list[object]]()

    with monkeypatch.context() as patched:
        patched.setattr(LocalEmbedder, "embed", hang)
        async with start_bot(stop_grace_s=0.0):
            await slack.share("Ada", "general", HANDBOOK)
            await embedding.wait()
            document_id = await value(sessions, "SELECT id FROM documents")
            question = await said(slack, "Ada", "/docs", f"delete {document_id}")
            await pressed(slack, "Ada", question, "document_delete_confirmed")
    async with start_bot():
        await worked_off(sessions)

        assert await count(sessions, "documents") == 0


async def _idle(sessions: Sessions) -> bool:
    return await count(sessions, "work WHERE state IN ('queued', 'running', 'stopping')") == 0


async def _none(sessions: Sessions) -> bool:
    return await count(sessions, "documents") == 0


async def test_what_another_app_said_in_a_thread_goes_when_it_is_deleted(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await slack.say("Ada", "general", "Look at this")
    theirs = await slack.say("Ben", "general", "The quokka build has failed.", thread_ts=root.ts)
    await asked(slack, QUESTION, root)
    await worked_off(sessions)
    assert "messages.content" in await left_of(sessions, "quokka")

    async with slack.workspace.deliveries.holding() as held:
        await slack.delete(theirs)
    for deletion in held:
        deletion.event["previous_message"] = {"bot_id": "B1", "text": theirs.text}  # as Slack tells it of an app's
        slack.workspace.deliveries.resend(deletion)
    await slack.settle()
    await worked_off(sessions)

    assert await left_of(sessions, "quokka") == []


async def test_an_answer_that_a_moderator_deletes_leaves_the_threads_memory(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    reply = await asked(slack, QUESTION, root)
    await worked_off(sessions)
    assert await count(sessions, "messages WHERE role = 'assistant'") == 1

    await slack.delete(reply)
    await slack.settle()
    await worked_off(sessions)

    assert await count(sessions, "messages WHERE role = 'assistant'") == 0
