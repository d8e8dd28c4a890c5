"""When people are told how far their files are: once when it is soon over, else by one message, seldom changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from bot.errors import ServiceUnavailable
from bot.repositories.deliveries import DeliveryRepository
from bot.repositories.progress import RECEIPT
from bot.repositories.readings import ReadingRepository
from bot.repositories.work import WorkRepository
from bot.services.errands import ingest_errand
from bot.services.ports import Claim, Unclaimed
from bot.services.receipts import EDIT_INTERVAL_S, PATIENCE_S, ReceiptService
from bot.values import DocumentStatus, FileProgress
from tests.conftest import TEAM
from tests.services.conftest import House
from tests.services.stand_ins import HANDBOOK, shared_file

TS = "1700000000.000000"


@dataclass
class NotedReceipts:
    """Receipts as they would be posted: each time what was shown, and the database told as Slack's side tells it."""

    house: House
    shown: list[list[FileProgress]] = field(default_factory=list)
    is_down: bool = False

    async def show_receipt(
        self,
        team_id: str,
        *,
        channel_id: str,
        message_ts: str,
        thread_ts: str,
        files: Sequence[FileProgress],
        claim: Claim,
    ) -> None:
        if self.is_down:
            raise ServiceUnavailable("Slack is down")
        self.shown.append(list(files))
        key = f"{channel_id}:{message_ts}"
        state = "final" if all(file.is_done for file in files) else "posted"
        async with self.house.sessions.tenant(team_id) as session:
            deliveries = DeliveryRepository(session)
            await deliveries.claim(team_id, RECEIPT, key, channel_id=channel_id, thread_ts=thread_ts)
            await deliveries.set_posted(team_id, RECEIPT, key, ts="1700000001.000000", state=state)


@dataclass
class Thread:
    """A message with files, and its receipt."""

    house: House
    receipts: NotedReceipts
    service: ReceiptService

    async def tell(self, body: bytes | None = None) -> float | None:
        return await self.service.tell(TEAM, channel_id="C1", message_ts=TS, thread_ts=TS, body=body, claim=Unclaimed())

    async def enqueue(self, file_id: str = "F1") -> None:
        async with self.house.sessions.tenant(TEAM) as session:
            errand = ingest_errand(TEAM, file_id, channel_id="C1", message_ts=TS, thread_ts=TS)
            await WorkRepository(session).record(errand)

    async def run(self, statement: str) -> None:
        async with self.house.sessions.tenant(TEAM) as session:
            await session.execute(text(statement))

    async def read_some(self, stored: int, total: int = 1_000) -> None:
        async with self.house.sessions.tenant(TEAM) as session:
            document_id = await session.scalar(text("SELECT id FROM documents"))
            await ReadingRepository(session).move(
                TEAM, document_id, stored=stored, total=total, mark="m", file_type="pdf"
            )

    async def age_receipt(self, seconds: float) -> None:
        await self.run(f"UPDATE deliveries SET updated_at = updated_at - interval '{seconds} seconds'")
        await self.run(f"UPDATE documents SET updated_at = updated_at - interval '{seconds} seconds'")
        await self.run(f"UPDATE work SET created_at = created_at - interval '{seconds} seconds'")


@pytest.fixture
def thread(house: House) -> Thread:
    receipts = NotedReceipts(house)
    return Thread(house, receipts, ReceiptService(house.sessions, receipts, house.files))


@pytest.fixture
async def slow(thread: Thread) -> Thread:
    """A message whose file is recorded as being read, and whose receipt says so."""
    await thread.house.share()
    await thread.enqueue()
    await thread.run("UPDATE documents SET status = 'processing', chunks_stored = 0, chunk_total = 1000")
    assert await thread.tell() == EDIT_INTERVAL_S
    return thread


async def test_what_is_read_already_is_told_of_at_once(thread: Thread) -> None:
    await thread.house.share()
    started = time.monotonic()

    assert await thread.tell() is None

    assert time.monotonic() - started < PATIENCE_S
    ((file,),) = thread.receipts.shown
    assert (file.filename, file.status, file.is_done) == ("handbook.md", DocumentStatus.READY, True)


async def test_what_is_soon_read_is_told_of_once_with_its_end(thread: Thread) -> None:
    await thread.enqueue()
    telling = asyncio.create_task(thread.tell())
    await asyncio.sleep(0.5)
    await thread.house.share()
    await thread.run("UPDATE work SET state = 'done'")

    assert await telling is None
    assert [[file.is_done for file in files] for files in thread.receipts.shown] == [[True]]


async def test_what_takes_longer_is_told_of_meanwhile_and_nobody_waits_for_it(slow: Thread) -> None:
    ((file,),) = slow.receipts.shown

    assert (file.filename, file.stored, file.total, file.is_done) == ("handbook.md", 0, 1_000, False)


async def test_a_receipt_is_changed_every_three_seconds_at_most(slow: Thread) -> None:
    await slow.read_some(256)

    pause_s = await slow.tell()
    assert pause_s is not None
    assert 0 < pause_s <= EDIT_INTERVAL_S
    assert len(slow.receipts.shown) == 1

    await slow.age_receipt(EDIT_INTERVAL_S)
    await slow.read_some(512)
    assert await slow.tell() == EDIT_INTERVAL_S
    assert [files[0].stored for files in slow.receipts.shown] == [0, 512]


async def test_the_end_keeps_its_distance_too(slow: Thread) -> None:
    await slow.read_some(1_000)
    await slow.run("UPDATE work SET state = 'done'")

    assert (await slow.tell() or 0) > 0
    await slow.age_receipt(EDIT_INTERVAL_S)
    assert await slow.tell() is None
    assert [files[0].is_done for files in slow.receipts.shown] == [False, True]


async def test_what_did_not_change_is_not_told_again_and_looked_at_ever_less(slow: Thread) -> None:
    pauses = []
    for _ in range(5):
        await slow.age_receipt(18)
        pauses.append(await slow.tell() or 0)

    assert len(slow.receipts.shown) == 1
    assert EDIT_INTERVAL_S < pauses[0] < pauses[1] < pauses[2] < pauses[3] == pauses[4] == 15


async def test_a_file_that_waits_is_told_of(slow: Thread) -> None:
    await slow.age_receipt(10)
    await slow.run("UPDATE work SET blocked_since = now()")

    await slow.tell()

    assert [files[0].is_waiting for files in slow.receipts.shown] == [False, True]


async def test_what_was_said_to_the_end_is_not_said_again(thread: Thread) -> None:
    await thread.house.share()
    await thread.tell()

    assert await thread.tell() is None
    assert len(thread.receipts.shown) == 1


async def test_a_file_gone_before_it_was_read_gets_no_receipt(thread: Thread) -> None:
    assert await thread.tell() is None
    assert thread.receipts.shown == []


async def test_a_file_deleted_while_it_is_read_ends_its_receipt(slow: Thread) -> None:
    await slow.house.documents.forget_file(TEAM, "F1")
    await slow.run("UPDATE work SET state = 'done'")
    await slow.age_receipt(EDIT_INTERVAL_S)

    assert await slow.tell() is None
    assert slow.receipts.shown[-1] == []


async def test_a_file_nobody_has_looked_at_is_named_by_the_event(thread: Thread) -> None:
    await thread.enqueue()
    thread.house.files.add(shared_file(), HANDBOOK)

    await thread.tell(b"F1 was shared")
    await thread.age_receipt(EDIT_INTERVAL_S)

    assert thread.receipts.shown[0][0].filename == "handbook.md"


async def test_when_slack_does_not_answer_it_is_said_later(thread: Thread) -> None:
    await thread.house.share()
    thread.receipts.is_down = True
    with pytest.raises(ServiceUnavailable):
        await thread.tell()

    thread.receipts.is_down = False
    assert await thread.tell() is None
    assert len(thread.receipts.shown) == 1
