"""Receipts over the wire: one message a message with files, changed seldom, whoever reads and whatever breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise

import numpy as np
import pytest

from bot.db.engine import Sessions
from bot.errors import ModelUnavailable
from bot.jobs.queue import POOLS
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled, words_of
from bot.playground.state import Message
from bot.repositories.deliveries import DeliveryRepository
from bot.repositories.progress import RECEIPT
from bot.services.errands import message_key
from bot.services.ports import Unclaimed
from bot.services.receipts import EDIT_INTERVAL_S
from bot.slack.posts import Address
from bot.slack.receipts import SlackReceipts
from bot.values import DocumentStatus, FileProgress, Vector
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.slack.acts import HANDBOOK, calls_of, count, note, shared, until, value, worked_off
from tests.slack.conftest import StartBot
from tests.slack.posting import Desk

LONG = note(
    "report.txt",
    "\n\n".join(
        f"Clause {number}. The tenant of room {number} pays {number * 7} crowns a month, and the caretaker of it sweeps "
        f"the stairs on day {number % 28 + 1} of every month, whatever the weather may be like then."
        for number in range(1, 3_200)
    ),
)
"""Three batches of passages."""


class Slow:
    """A model that takes its time over each batch, or is away; its vectors are made up."""

    def __init__(self, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.is_away = False
        self.embedded = 0
        self.stuck_after = 1_000_000

    async def embed(self, texts: Sequence[str]) -> Vector:
        if self.is_away:
            raise ModelUnavailable("away")
        await asyncio.sleep(60 if self.embedded >= self.stuck_after else self.seconds)
        self.embedded += len(texts)
        vectors = np.random.default_rng(0).normal(size=(len(texts), 384))
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    model = Slow()
    monkeypatch.setattr("bot.llm.local.LocalEmbedder.embed", lambda _self, texts: model.embed(texts))
    return model


async def receipt(slack: LocalSlack, root: Message) -> Message:
    return await slack.wait_for_reply("general", root.ts, until=is_settled, timeout=60)


def shown(slack: LocalSlack) -> list[str]:
    """Return what stood in the thread one after the other."""
    methods = ("chat.postMessage", "chat.update")
    return [call.args["text"] for call in slack.calls if call.method in methods and call.error is None]


async def test_a_file_that_is_soon_read_is_told_of_once(slack: LocalSlack, bot: WebServer) -> None:
    root = await slack.share("Ada", "general", HANDBOOK)

    await receipt(slack, root)

    assert len(slack.replies("general", root.ts)) == 1
    if calls_of(slack, "chat.update"):  # a machine so busy that it took longer
        assert shown(slack)[0].endswith("…")
    else:
        assert shown(slack) == ["handbook.md: read. Ask me about it here."]


async def test_a_long_file_tells_how_far_it_is_in_one_message_seldom_changed(
    slack: LocalSlack, bot: WebServer, slow: Slow
) -> None:
    root = await slack.share("Ada", "general", LONG)

    last = await receipt(slack, root)

    texts = shown(slack)
    assert texts[0].startswith("Reading report.txt")
    assert any(text.endswith(f" of {slow.embedded} passages …") for text in texts)
    assert texts[-1] == "report.txt: read. Ask me about it here."
    assert "read. Ask me" in words_of(last)
    assert len(calls_of(slack, "chat.postMessage")) == len(slack.replies("general", root.ts)) == 1
    at = [call.at for call in slack.calls if call.method in {"chat.postMessage", "chat.update"}]
    assert all(later - earlier >= EDIT_INTERVAL_S - 0.2 for earlier, later in pairwise(at))


async def test_a_file_waits_for_a_model_that_is_away_and_goes_on_by_itself(
    slack: LocalSlack, bot: WebServer, slow: Slow, sessions: Sessions
) -> None:
    slow.seconds, slow.is_away = 0.1, True
    root = await slack.share("Ada", "general", HANDBOOK)

    waiting = await slack.wait_for_reply("general", root.ts, timeout=30)
    assert "Waiting for the embedding model, which doesn't answer, to read handbook.md …" in words_of(waiting)
    assert await value(sessions, "SELECT status FROM documents") == "processing"

    slow.is_away = False
    last = await receipt(slack, root)
    assert "read. Ask me" in words_of(last)
    assert len(slack.replies("general", root.ts)) == 1
    assert await value(sessions, "SELECT max(attempts) FROM work") == 0


async def test_a_bot_that_is_stopped_while_it_reads_goes_on_with_file_and_receipt(
    slack: LocalSlack, start_bot: StartBot, slow: Slow, sessions: Sessions
) -> None:
    async def is_begun() -> bool:
        return await count(sessions, "document_chunks") >= 256 and bool(calls_of(slack, "chat.postMessage"))

    slow.stuck_after = 256
    async with start_bot(stop_grace_s=1):
        root = await slack.share("Ada", "general", LONG)
        await until(is_begun, within_s=30)
    part = await count(sessions, "document_chunks")
    slow.embedded, slow.stuck_after = 0, 1_000_000

    async with start_bot():
        last = await receipt(slack, root)
        await worked_off(sessions)

    total = await value(sessions, "SELECT chunk_total FROM documents")
    assert part == 256
    assert "read. Ask me" in words_of(last)
    assert len(slack.replies("general", root.ts)) == 1
    assert slow.embedded == total - part
    assert await count(sessions, "document_chunks") == await count(sessions, "chunk_embeddings") == total
    assert await value(sessions, "SELECT chunk_count FROM term_statistics WHERE term = 0") == total


async def test_receipts_of_files_that_wait_hold_nothing_up(
    slack: LocalSlack, start_bot: StartBot, slow: Slow, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POOLS, "chore", 2)
    slow.seconds = 0
    async with start_bot():
        known = await shared(slack, HANDBOOK, channel="handbook")
        slow.is_away = True
        roots = [await slack.share("Ada", "general", note(f"{number}.txt", f"Number {number}.")) for number in range(4)]
        for root in roots:
            await slack.wait_for_reply("general", root.ts, timeout=30)

        await slack.delete_file(known.file_ids[0])
        await until(lambda: is_forgotten(sessions), within_s=15)

    assert await count(sessions, "work WHERE task = 'receipt' AND state = 'done'") == 1


async def is_forgotten(sessions: Sessions) -> bool:
    return await count(sessions, "documents WHERE filename = 'handbook.md'") == 0


async def test_a_receipt_cut_off_while_it_was_posted_takes_nobody_elses_answer_for_itself(
    slack: LocalSlack, sessions: Sessions
) -> None:
    slack.scopes.discard("files:read")  # nothing comes of the file itself
    root = await slack.share("Ada", "general", HANDBOOK)
    async with AsyncExitStack() as closing:
        desk = Desk(slack, sessions, closing)
        question = await desk.ask(root=root)
        await desk.default.posts.post(
            "chat.startStream",
            Address(TEAM, "answer", "x", question.channel_id, root.ts, question.ts),
            {"recipient_team_id": TEAM, "recipient_user_id": root.user_id, "markdown_text": "The office"},
        )
        async with sessions.tenant(TEAM) as session:
            key = message_key(question.channel_id, root.ts)
            await DeliveryRepository(session).claim(TEAM, RECEIPT, key, question.channel_id, root.ts)

        await SlackReceipts(desk.default.posts).show_receipt(
            TEAM,
            channel_id=question.channel_id,
            message_ts=root.ts,
            thread_ts=root.ts,
            files=[FileProgress("F1", "handbook.md", DocumentStatus.READY, is_done=True)],
            claim=Unclaimed(),
        )

    assert [words_of(message).split("\n")[0] for message in slack.replies("general", root.ts)] == [
        "The office",
        "handbook.md: read. Ask me about it here.",
    ]
