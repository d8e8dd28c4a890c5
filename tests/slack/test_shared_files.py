"""Files people share: read, refused with a reason, replaced, and forgotten."""

from __future__ import annotations

import asyncio

import pytest

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled, words_of
from bot.playground.state import Message
from bot.smoke import quoted_words
from bot.values import ParsedDocument
from bot.web.server import WebServer
from tests.parsing.builders import encrypted_pdf, pdf
from tests.slack.acts import HANDBOOK, File, asked, count, note, shared, value, worked_off
from tests.slack.conftest import StartBot

PDF = "application/pdf"


async def receipt_of(slack: LocalSlack, *files: File, who: str = "Ada") -> str:
    """Share files and return the words of the receipt."""
    root = await slack.share(who, "general", *files)
    return words_of(await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=60))


async def test_thirty_files_in_one_message_get_one_receipt(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    files = [note(f"note{n:02}.txt", f"Note {n} says that {n} is a number.") for n in range(30)]

    root = await slack.share("Ada", "general", *files)
    receipt = await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=90)
    await worked_off(sessions)

    assert all(f"note{n:02}.txt: read" in words_of(receipt) for n in range(30))
    assert len(slack.replies("general", root.ts)) == 1
    assert await count(sessions, "documents WHERE status = 'ready'") == 30


async def test_what_cannot_be_read_is_named_with_the_reason(
    slack: LocalSlack, bot: WebServer, shared_samples: bytes
) -> None:
    receipt = await receipt_of(
        slack,
        note("empty.txt", ""),
        ("cut.pdf", shared_samples[: len(shared_samples) // 3], PDF),
        ("locked.pdf", encrypted_pdf(), PDF),
        ("liar.pdf", b"This is only text, and no PDF at all.", PDF),
        ("movie.mp4", b"\x00\x00\x00\x18ftypmp42" + bytes(500), "video/mp4"),
        ("<!channel> http://evil.example *x*.txt", b"", "text/plain"),
        HANDBOOK,
    )

    lines = {line.partition(": ")[0].strip(): line for line in receipt.splitlines() if ": " in line}
    assert "empty" in lines["empty.txt"]
    assert "cut.pdf" in lines
    assert "liar.pdf" in lines
    assert "password" in lines["locked.pdf"]
    assert "read. Ask me" in lines["handbook.md"]
    assert "movie.mp4" in lines
    for call in slack.calls:
        assert "<!channel>" not in str(call.args.get("text", ""))
        assert "://evil" not in str(call.args.get("text", ""))


async def test_a_file_over_the_limit_is_refused(slack: LocalSlack, start_bot: StartBot) -> None:
    async with start_bot(max_file_bytes=2**20):
        receipt = await receipt_of(slack, note("large.txt", "many words " * 100_000))

    assert "large.txt" in receipt
    assert "larger than 1 MB" in receipt


async def test_a_file_kept_elsewhere_is_not_fetched(slack: LocalSlack, bot: WebServer) -> None:
    root = await slack.share("Ada", "general", note("elsewhere.txt", "words"))
    slack.store.files[root.file_ids[0]].external_url = "http://169.254.169.254/latest"

    receipt = await slack.wait_for_reply("general", root.ts, until=is_settled)
    assert "outside Slack" in words_of(receipt)


async def test_a_login_page_is_not_taken_for_the_file(
    slack: LocalSlack, bot: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.playground.files._bot_sees", lambda *_: False)

    assert "didn't let me download it" in await receipt_of(slack, ("report.pdf", b"%PDF-1.4", PDF))


async def test_a_file_we_may_not_look_at_says_so_by_its_name(slack: LocalSlack, bot: WebServer) -> None:
    slack.scopes.discard("files:read")

    receipt = await receipt_of(slack, HANDBOOK)

    assert "handbook.md: Slack doesn't let me look at files here (missing_scope)." in receipt


async def test_a_file_that_fails_every_time_is_given_up_with_a_number(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> ParsedDocument:
        raise RuntimeError("a secret of the reader's")

    monkeypatch.setattr("bot.jobs.queue.MAX_ATTEMPTS", 2)
    monkeypatch.setattr("bot.services.ingest.parse_in_sandbox", fail)

    receipt = await receipt_of(slack, HANDBOOK)

    assert "handbook.md: Reading it failed several times (number " in receipt
    assert "secret" not in receipt
    assert await count(sessions, "documents WHERE status = 'error'") == 1
    assert await count(sessions, "documents") == 1, "nothing stays in processing"


async def test_a_file_deleted_while_it_is_read_is_forgotten(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(data: bytes, *_: object, **__: object) -> ParsedDocument:
        begun.set()
        await go_on.wait()
        return ParsedDocument(data.decode(), "txt")

    monkeypatch.setattr("bot.services.ingest.parse_in_sandbox", slow)
    root = await slack.share("Ada", "general", note("soon.txt", "It is gone soon."))
    await asyncio.wait_for(begun.wait(), 10)
    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await asyncio.sleep(0.5)
    go_on.set()
    await worked_off(sessions)

    assert await count(sessions, "documents") == 0
    assert await count(sessions, "document_chunks") == 0
    assert await count(sessions, "work WHERE state = 'dead'") == 0


async def test_the_same_bytes_twice_at_once_are_one_document(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    words = "The quick brown fox jumps over the lazy dog."
    await slack.share("Ada", "general", note("one.txt", words), note("two.txt", words))
    await slack.share("Ben", "handbook", note("three.txt", words))
    await slack.settle()
    await worked_off(sessions)

    assert await count(sessions, "documents") == 1
    assert await count(sessions, "document_chunks") == 1
    assert await count(sessions, "chunk_embeddings") == 1
    assert await value(sessions, "SELECT max(chunk_count) FROM term_statistics") == 1


async def test_the_same_name_by_somebody_else_is_no_version(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, note("hours.txt", "The canteen opens at eleven."))
    await shared(slack, note("hours.txt", "The library opens at ten."), who="Ben")

    assert await count(sessions, "documents WHERE version = 1") == 2


async def test_a_version_replaces_the_former_one_in_its_channel_only(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    old, new = note("hours.txt", "The canteen opens at eleven."), note("hours.txt", "The canteen opens at noon.")
    await shared(slack, old)
    private = await shared(slack, old, channel="leads")

    root = await slack.share("Ada", "general", new)
    receipt = await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=30)
    reply = await asked(slack, "When does the canteen open?", private, channel="leads")

    assert "version 2" in words_of(receipt)
    assert any("eleven" in words for words in quoted_words(reply))
    assert await count(sessions, "documents") == 2


async def test_a_file_taken_away_takes_its_own_share_alone(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    public = await shared(slack, HANDBOOK)
    private = await shared(slack, HANDBOOK, channel="leads")

    await slack.delete_file(private.file_ids[0])
    await slack.settle()
    await worked_off(sessions)
    kept = await asked(slack, "When does the office open?", public)

    assert quoted_words(kept)
    assert await count(sessions, "document_shares") == 1


async def test_a_slack_that_does_not_answer_is_asked_again(slack: LocalSlack, bot: WebServer) -> None:
    slack.faults.refuse("files.info", "internal_error", times=1)

    root: Message = await slack.share("Ada", "general", HANDBOOK)

    receipt = await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=15)
    assert "read. Ask me" in words_of(receipt)


async def test_a_file_shared_while_nobody_works_is_read_after_a_restart(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr("bot.jobs.worker.Worker.run", nothing)
        async with start_bot():
            root = await slack.mention("Ada", "general", "When does the office open?", files=[HANDBOOK])
            await slack.settle()

    assert slack.replies("general", root.ts) == []
    async with start_bot():
        reply = await slack.wait_for_reply("general", root.ts, until=lambda m: bool(quoted_words(m)), timeout=30)
    assert any("eight in the morning" in words for words in quoted_words(reply))


@pytest.fixture
def shared_samples() -> bytes:
    """A whole PDF."""
    return pdf([["A first page with words."], ["A second page with words."]])
