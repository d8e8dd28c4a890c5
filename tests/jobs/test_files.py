"""A shared file and its receipt in the frame that runs work: what waits, what counts as an attempt, what is given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.errors import ModelUnavailable, UnreadableFile
from bot.jobs.attempt import Attempts, PutBackError
from bot.jobs.queue import MAX_ATTEMPTS, Task
from bot.jobs.tasks import Tasks
from bot.repositories.work import ClaimedWork
from bot.services.errands import ingest_errand, receipt_errand
from bot.services.indexes import IndexService
from bot.services.ports import Unclaimed
from bot.services.receipts import EDIT_INTERVAL_S, ReceiptService
from bot.values import Errand, SharedFile, new_id
from tests.conftest import TEAM, Database
from tests.services.conftest import House
from tests.services.stand_ins import HANDBOOK, KnownFiles, shared_file
from tests.services.test_receipts import NotedReceipts

ROOT = "1700000000.000000"
PLACE = {"channel_id": "C1", "message_ts": ROOT, "thread_ts": ROOT}
FILE = ingest_errand(TEAM, "F1", **PLACE)
RECEIPT = receipt_errand(TEAM, **PLACE)


@dataclass(frozen=True)
class Shop:
    """The tasks that files mean, and the frame that runs them."""

    house: House
    receipts: NotedReceipts
    tasks: dict[str, Task]
    attempts: Attempts

    async def enqueue(self, errand: Errand) -> UUID:
        async with self.house.sessions.tenant(TEAM) as session:
            await self.house.queue.enqueue(session, errand)
        (row,) = await self.rows(f"SELECT id FROM work WHERE task = '{errand.task}'")
        return cast("UUID", row["id"])

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with self.house.sessions.tenant(TEAM) as session:
            return [dict(row) for row in (await session.execute(text(statement))).mappings()]


def work_of(task: str, **ids: str) -> ClaimedWork:
    return ClaimedWork(TEAM, new_id(), task, "key", PLACE | ids, 1, f"C1:{ROOT}", b"F1 was shared")


@pytest.fixture
def shop(house: House, database: Database) -> Shop:
    receipts, unused = NotedReceipts(house), cast("Any", None)
    indexes = IndexService(house.sessions, database.owner_url, house.queue.enqueue, exact_search_limit=50_000)
    tasks = Tasks(
        unused,
        house.documents,
        indexes,
        intake=unused,
        files=house.files,
        receipts=ReceiptService(house.sessions, receipts, house.files),
        backfill=unused,
        deletions=unused,
        retention=unused,
        lexicon=unused,
    ).table()
    return Shop(house, receipts, tasks, Attempts(house.sessions, tasks, team_id=TEAM))


async def test_a_shared_file_is_read(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)
    work_id = await shop.enqueue(FILE)

    await shop.attempts.run(work_id)

    assert [row["status"] for row in await shop.rows("SELECT status FROM documents")] == ["ready"]
    assert await shop.rows("SELECT task, state FROM work") == [{"task": "ingest", "state": "done"}], "no index is due"


async def test_a_file_nobody_lets_us_look_at_is_in_error_under_its_name(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> SharedFile:
        raise UnreadableFile("missing_scope", user_message="I may not look at it.")

    shop.house.files.add(shared_file(), HANDBOOK)
    monkeypatch.setattr(KnownFiles, "describe", refuse)

    await shop.tasks["ingest"].run(work_of("ingest", file_id="F1"), Unclaimed())

    assert await shop.rows("SELECT filename, error FROM documents") == [
        {"filename": "handbook.md", "error": "I may not look at it."}
    ]


async def test_a_model_that_is_away_leaves_the_file_in_processing_and_the_work_waiting(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)
    shop.house.embedder.fails_with = ModelUnavailable("down")
    work_id = await shop.enqueue(FILE)

    for _ in range(MAX_ATTEMPTS + 2):
        with pytest.raises(PutBackError):
            await shop.attempts.run(work_id)
    assert await shop.rows("SELECT status FROM documents") == [{"status": "processing"}]
    (work,) = await shop.rows("SELECT state, attempts, blocked_since IS NOT NULL AS is_blocked FROM work")
    assert work == {"state": "queued", "attempts": 0, "is_blocked": True}

    shop.house.embedder.fails_with = None
    await shop.attempts.run(work_id)
    assert await shop.rows("SELECT status FROM documents") == [{"status": "ready"}]


async def test_a_file_that_kills_whoever_reads_it_is_given_up_with_a_number(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)
    work_id = await shop.enqueue(FILE)
    await shop.house.share(b"Half of it is stored.")
    await shop.rows("UPDATE documents SET status = 'processing' RETURNING 1")
    await shop.rows(f"UPDATE work SET state = 'running', attempts = {MAX_ATTEMPTS - 1} RETURNING 1")  # killed once more

    await shop.attempts.run(work_id)

    ((work,), (document,)) = (
        await shop.rows("SELECT state, error_id FROM work"),
        await shop.rows("SELECT * FROM documents"),
    )
    assert work["state"] == "dead"
    assert (document["filename"], document["status"]) == ("handbook.md", "error")
    assert document["error"] == f"Reading it failed several times (number {work['error_id']})."
    assert await shop.rows("SELECT 1 FROM document_chunks") == [], "what was stored of it is gone"
    assert await shop.rows("SELECT 1 FROM term_statistics WHERE chunk_count > 0") == []


async def test_a_receipt_of_what_is_not_read_yet_comes_again_which_counts_as_no_attempt(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)
    await shop.enqueue(FILE)
    work_id = await shop.enqueue(RECEIPT)

    for _ in range(2):
        with pytest.raises(PutBackError) as put_back:
            await shop.attempts.run(work_id)
        assert 0 < put_back.value.delay_s <= EDIT_INTERVAL_S

    (work,) = await shop.rows("SELECT state, attempts, run_at > now() AS is_later FROM work WHERE task = 'receipt'")
    assert work == {"state": "queued", "attempts": 0, "is_later": True}
    assert len(shop.receipts.shown) == 1
