"""Slash commands and buttons: what they show, the one who asked alone sees."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from bot.config import SLACK_OWN_COMMANDS, Settings
from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.slack.acts import HANDBOOK, count, note, shared, until, value, worked_off
from tests.slack.conftest import StartBot


async def said(slack: LocalSlack, who: str, command: str, text: str = "", *, channel: str = "general") -> Message:
    """Use a command and return what its user sees next, acknowledgements of /ask left out."""
    at = await slack.command(who, channel, command, text)
    return await slack.wait_for_ephemeral(who, channel, after=at, until=lambda m: m.text != "Looking …", timeout=15)


async def pressed(slack: LocalSlack, who: str, message: Message, action: str, value: str | None = None) -> str:
    """Press a button of an ephemeral message, and return the words that stand there then, or come after."""
    before, known = words_of(message), set(slack.store.ephemerals)
    await slack.click(who, message, action, value)

    def changed() -> str | None:
        if words_of(message) != before and message.ts in slack.store.ephemerals:
            return words_of(message)
        new = [slack.store.ephemerals[ts] for ts in slack.store.ephemerals if ts not in known]
        return words_of(new[-1]) if new else None

    return str(await until(changed))


async def test_a_command_asks_privately(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    await shared(slack, HANDBOOK)

    reply = await said(slack, "Ada", "/ask", "When does the office open?")
    refusal = await said(slack, "Ada", "/ask", "Which database engine does the Mars rover run?")
    near = await pressed(slack, "Ada", refusal, "nearest_passages")
    await worked_off(sessions)

    assert any("eight in the morning" in words for words in quoted_words(reply))
    assert "You asked: When does the office open?" in words_of(reply)
    assert "found nothing" in words_of(refusal)
    assert "handbook.md" in near
    assert slack.ephemerals("Ben", "general") == []
    assert slack.replies("general", "0") == []
    assert await count(sessions, "messages WHERE role = 'assistant'") == 2


async def test_nothing_asked_and_nothing_looked_for_is_told_how(slack: LocalSlack, bot: WebServer) -> None:
    assert "Ask me something" in words_of(await said(slack, "Ada", "/ask"))
    assert "Ask me something" in words_of(await said(slack, "Ada", "/ask", ":wave: …"))
    assert "Give me words" in words_of(await said(slack, "Ada", "/find", "   "))
    assert "/docs retry ID" in words_of(await said(slack, "Ada", "/docs", "help"))
    assert "/docs retry ID" in words_of(await said(slack, "Ada", "/docs", "dance"))
    assert "Nothing has been shared" in words_of(await said(slack, "Ada", "/docs"))
    assert "Nothing that you may read" in words_of(await said(slack, "Ada", "/find", "travel"))
    for bad in ("show", "show 12", "delete \x00", "retry ; DROP TABLE", "show 00000000-0000-7000-8000-000000000000"):
        assert re.search("Which document|don't know that document", words_of(await said(slack, "Ada", "/docs", bad)))
    for odd in ("\x00 travel \ud800", "日本語 " * 400, 'x"\\' * 200, "travel " * 5000):
        assert "Nothing that you may read" in words_of(await said(slack, "Ada", "/find", odd))


async def test_find_shows_page_after_page(slack: LocalSlack, bot: WebServer) -> None:
    await shared(
        slack, *(note(f"trip{n}.txt", f"Trip number {n} to Lisbon was paid by the travel desk.") for n in range(8))
    )

    first = await said(slack, "Ada", "/find", "trip to Lisbon ")
    names = set(re.findall(r"trip\d\.txt", words_of(first)))
    second = await pressed(slack, "Ada", first, "find_more")

    assert len(names) == 5
    assert len(set(re.findall(r"trip\d\.txt", second)) - names) == 3


async def test_the_list_of_documents_goes_on(slack: LocalSlack, bot: WebServer) -> None:
    await shared(slack, *(note(f"n{n}.txt", f"Number {n} is a number.") for n in range(10)))

    first = await said(slack, "Ada", "/docs", "list")
    names = set(re.findall(r"n\d\.txt", words_of(first) + str(first.blocks)))
    second = await pressed(slack, "Ada", first, "documents_more")

    assert len(names) == 8
    assert len(set(re.findall(r"n\d\.txt", second)) - names) == 2


async def test_deletion_asks_first_and_only_uploader_or_admin_may(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, note("bens.txt", "Ben likes tea in the afternoon."), who="Ben")
    document_id = str(await value(sessions, "SELECT id FROM documents"))

    question = await said(slack, "Cleo", "/docs", f"delete {document_id}")
    asks = words_of(question)
    refused = await pressed(slack, "Cleo", question, "document_delete_confirmed")
    still = await count(sessions, "documents")
    question = await said(slack, "Ada", "/docs", f"delete {document_id}")
    kept = await pressed(slack, "Ada", question, "document_show")
    question = await said(slack, "Ada", "/docs", f"delete {document_id}")
    gone = await pressed(slack, "Ada", question, "document_delete_confirmed")

    assert "Delete bens.txt everywhere?" in asks
    assert "Only the person who shared" in refused
    assert still == 1
    assert document_id in kept
    assert "bens.txt is forgotten" in gone
    assert await count(sessions, "documents") == await count(sessions, "chunk_embeddings") == 0


async def test_a_deleted_document_that_is_pressed_again_is_not_found(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, HANDBOOK)
    listed = await said(slack, "Ada", "/docs")
    document_id = str(await value(sessions, "SELECT id FROM documents"))
    question = await said(slack, "Ada", "/docs", f"delete {document_id}")
    await pressed(slack, "Ada", question, "document_delete_confirmed")

    assert "don't know that document" in await pressed(slack, "Ada", listed, "document_show")


async def test_a_file_that_could_not_be_read_is_read_again(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, note("empty.txt", ""), HANDBOOK)
    bad = str(await value(sessions, "SELECT id FROM documents WHERE status = 'error'"))
    good = str(await value(sessions, "SELECT id FROM documents WHERE status = 'ready'"))

    shown = await said(slack, "Ada", "/docs", f"show {bad}")
    again = await pressed(slack, "Ada", shown, "document_retry")

    assert "empty" in words_of(shown)
    assert "reading empty.txt again" in again or "reading empty.txt again" in words_of(shown)
    assert "is read already" in words_of(await said(slack, "Ada", "/docs", f"retry {good}"))


async def test_what_lies_in_a_private_channel_nobody_else_sees(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, note("plan.txt", "The Albatross is launched on the fourth of May."), channel="leads")
    document_id = str(await value(sessions, "SELECT id FROM documents"))

    for who in ("Ben", "Cleo"):
        assert "plan.txt" not in words_of(await said(slack, who, "/docs", "list"))
        assert "Nothing that you may read" in words_of(await said(slack, who, "/find", "Albatross launched"))
        assert "fourth of May" not in words_of(await said(slack, who, "/ask", "When is the Albatross launched?"))
        for verb in ("show", "delete", "retry"):
            assert "don't know that document" in words_of(await said(slack, who, "/docs", f"{verb} {document_id}"))
    assert "plan.txt" in str((await said(slack, "Ada", "/docs", "list")).blocks)
    assert "fourth of May" in words_of(await said(slack, "Ada", "/find", "Albatross launched"))


async def test_a_guest_finds_nothing_of_public_channels_she_is_not_in(slack: LocalSlack, bot: WebServer) -> None:
    await shared(slack, HANDBOOK, channel="handbook")

    assert "Nothing that you may read" in words_of(await said(slack, "Cleo", "/find", "office opens"))
    assert "handbook.md" in words_of(await said(slack, "Ben", "/find", "office opens"))


async def test_commands_have_the_names_the_settings_give_them(slack: LocalSlack, start_bot: StartBot) -> None:
    slack.commands.update({"/recall": "", "/lookup": "", "/files": ""})
    async with start_bot(command_ask="/recall", command_find="/lookup", command_docs="/files"):
        assert "`/recall When" in words_of(await said(slack, "Ada", "/recall"))
        assert "`/lookup travel" in words_of(await said(slack, "Ada", "/lookup"))
        assert "/files retry ID" in words_of(await said(slack, "Ada", "/files", "help"))


@pytest.mark.parametrize("setting", ["command_ask", "command_find", "command_docs"])
@pytest.mark.parametrize("name", sorted(SLACK_OWN_COMMANDS))
def test_slacks_own_names_are_refused(name: str, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting.upper(), f"/{name}")

    with pytest.raises(ValidationError, match="Slack's own"):
        Settings(_env_file=None)
