"""A document is stored batch by batch: killed at any moment, or read by two at once, it ends with one set of chunks."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions
from bot.errors import ModelUnavailable, NotFound, ServiceUnavailable, Superseded, UnreadableFile
from bot.llm.local import LocalEmbedder
from bot.parsing.sandbox import parse_in_sandbox
from bot.repositories.statistics import StatisticsRepository
from bot.services.ingest import Upload
from bot.services.ports import Claim, Unclaimed
from bot.text.chunk import chunk
from bot.text.lexical import document_weights
from bot.values import DocumentStatus, IngestOutcome, Share
from tests.conftest import TEAM, Database
from tests.repositories.builders import counted_statements
from tests.services.conftest import House, make_house
from tests.services.stand_ins import HANDBOOK, WatchedEmbedder

BATCH = 4
RULES = "\n\n".join(
    f"Clause {number}. The tenant of room {number} pays {number * 7} crowns a month, and the caretaker of that room "
    f"sweeps the stairs on day {number % 28 + 1} of every month, whatever the weather may be like then."
    for number in range(1, 66)
).encode()
"""More than three batches of four."""


@pytest.fixture
async def house(engine: AsyncEngine, sessions: Sessions, local_embedder: LocalEmbedder) -> House:
    """A workspace whose files are stored four chunks at a time."""
    return await make_house(engine, sessions, WatchedEmbedder(local_embedder), batch=BATCH, follow_s=3.0)


class Held:
    """A claim that is lost at its nth use, and notes how it was used."""

    def __init__(self, *, lost_at: int = 1_000) -> None:
        self.used: list[str] = []
        self._lost_at = lost_at

    async def hold(self, session: AsyncSession) -> None:
        await self._use("hold", session)

    async def finish(self, session: AsyncSession) -> None:
        await self._use("finish", session)

    async def _use(self, how: str, session: AsyncSession) -> None:
        self.used.append(how)
        assert not session.new
        if len(self.used) >= self._lost_at:
            raise Superseded("somebody else does it by now")


async def read(
    house: House,
    data: bytes = RULES,
    *,
    filename: str = "house-rules.txt",
    ts: str = "1.0",
    channel: str = "C1",
    claim: Claim | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> IngestOutcome:
    share = Share(channel, await house.user_id(), f"F{ts}", ts, ts)
    upload = Upload(TEAM, filename, data, share)
    return await house.ingest.ingest(upload, claim=claim or Unclaimed(), progress=progress)


async def rows(house: House, statement: str) -> list[dict[str, Any]]:
    async with house.sessions.tenant(TEAM) as session:
        return [dict(row) for row in (await session.execute(text(statement))).mappings()]


async def chunks(house: House) -> list[dict[str, Any]]:
    return await rows(house, "SELECT * FROM document_chunks ORDER BY document_id, chunk_index")


async def document(house: House) -> dict[str, Any]:
    (row,) = await rows(house, "SELECT * FROM documents")
    return row


async def texts_of(house: House, data: bytes = RULES) -> list[str]:
    """Return the chunks that the file is to end as."""
    parsed = await parse_in_sandbox(data, "house-rules.txt")
    pieces = chunk(parsed, count_tokens=house.embedder.count_tokens, max_tokens=house.embedder.max_tokens)
    return [piece.text for piece in pieces]


async def assert_one_whole_set(house: House, data: bytes = RULES) -> None:
    """Each chunk is there once, in its place, with its vectors; terms are counted once; the document is ready."""
    stored, expected = await chunks(house), await texts_of(house, data)
    assert [row["content"] for row in stored] == expected
    assert [row["chunk_index"] for row in stored] == list(range(len(expected)))
    assert [row["id"] for row in stored] == sorted(row["id"] for row in stored)
    vectors = await rows(house, "SELECT chunk_id FROM chunk_embeddings ORDER BY chunk_id")
    assert [row["chunk_id"] for row in vectors] == [row["id"] for row in stored]
    await assert_terms_are_counted(house)
    row = await document(house)
    assert (row["status"], row["error"], row["file_type"]) == ("ready", None, "txt")
    assert row["chunks_stored"] == row["chunk_total"] == len(expected)


async def assert_terms_are_counted(house: House) -> None:
    stored = await chunks(house)
    counted = Counter(term for row in stored for term in document_weights(row["content"]))
    async with house.sessions.tenant(TEAM) as session:
        counts = await StatisticsRepository(session).get_counts(TEAM)
    assert {term: count for term, count in counts.items() if count} == +Counter({0: len(stored), **counted})


def at_batch(house: House, number: int, act: Callable[[], object]) -> None:
    """Do something when the embedder is given the nth batch from now on, counted from 1."""
    left = number

    def meanwhile() -> None:
        nonlocal left
        left -= 1
        if not left:
            act()

    house.embedder.meanwhile = meanwhile


async def read_until(house: House, batch: int, **options: Any) -> None:
    """Read, and be stopped as by a lost process while the nth batch is embedded."""
    reading = asyncio.create_task(read(house, **options))
    at_batch(house, batch, reading.cancel)
    with pytest.raises(asyncio.CancelledError):
        await reading
    house.embedder.meanwhile = lambda: None


# Batch by batch


async def test_a_file_of_several_batches_ends_as_one_set(house: House) -> None:
    outcome = await read(house)

    assert outcome.status is DocumentStatus.READY
    assert outcome.chunk_count > 3 * BATCH
    await assert_one_whole_set(house)


async def test_progress_is_told_batch_by_batch_and_stands_in_the_database(house: House) -> None:
    told: list[tuple[int, int]] = []
    seen: list[tuple[int, int]] = []

    async def look() -> None:
        row = await document(house)
        seen.append((row["chunks_stored"], row["chunk_total"]))

    looking: list[asyncio.Task[None]] = []
    house.embedder.meanwhile = lambda: looking.append(asyncio.create_task(look()))
    outcome = await read(house, progress=lambda stored, total: told.append((stored, total)))
    await asyncio.gather(*looking)

    total = outcome.chunk_count
    assert told == [(min(stored, total), total) for stored in range(0, total + BATCH, BATCH)]
    assert seen[0] == (0, total)
    assert set(seen) <= set(told)


async def test_a_file_of_one_batch_is_one_transaction_more_than_recording_it(house: House, engine: AsyncEngine) -> None:
    await read(house)  # so that the workspace and its model are known
    claim = Held()

    with counted_statements(engine) as statements:
        await read(house, HANDBOOK, filename="handbook.md", ts="2.0", claim=claim)

    stored = [statement for statement in statements if "document_chunks" in statement]
    assert len(stored) == 1
    assert claim.used == ["hold", "hold", "finish"], "recorded; stored; in its former version's place"
    assert len(statements) <= 22, statements


async def test_nothing_of_a_file_is_found_before_all_of_it_is_stored(house: House) -> None:
    await read(house, HANDBOOK, filename="handbook.md", ts="2.0")
    await read_until(house, 3)
    audience = await house.audiences.of(TEAM, channel_id="C1", user_id="U1", private=False)

    async def found() -> set[str]:
        result = await house.search.search("What does the tenant of room 12 pay?", audience=audience)
        return {passage.filename for passage in result.nearest}

    assert len(await chunks(house)) > BATCH
    assert await found() == {"handbook.md"}
    await read(house)
    assert "house-rules.txt" in await found()


# Killed, and begun again


async def test_a_read_that_was_stopped_goes_on_after_the_last_batch_stored(house: House) -> None:
    await read_until(house, 3)
    kept = await chunks(house)
    assert len(kept) == 2 * BATCH
    await assert_terms_are_counted(house)
    house.embedder.texts.clear()
    told: list[tuple[int, int]] = []

    outcome = await read(house, progress=lambda stored, total: told.append((stored, total)))

    assert not outcome.already_known
    assert house.embedder.texts == (await texts_of(house))[2 * BATCH :], "no batch is embedded twice"
    assert told[0] == (2 * BATCH, outcome.chunk_count)
    assert (await chunks(house))[: 2 * BATCH] == kept
    await assert_one_whole_set(house)


@pytest.mark.parametrize("batch", [1, 2, 4])
async def test_it_goes_on_wherever_it_was_stopped(house: House, batch: int) -> None:
    for _ in range(3):
        await read_until(house, batch if not await chunks(house) else 1)
    part = len(await chunks(house))
    house.embedder.texts.clear()

    await read(house)

    assert part == (batch - 1) * BATCH
    assert house.embedder.texts == (await texts_of(house))[part:]
    await assert_one_whole_set(house)


async def test_a_process_killed_while_it_reads_leaves_a_part_that_another_completes(
    house: House, database: Database
) -> None:
    command = [sys.executable, "-m", "tests.services.reader", database.bot_url, str(BATCH)]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(RULES)
    process.stdin.close()
    async with asyncio.timeout(60):
        while int(await process.stdout.readline() or b"99") < 2 * BATCH:
            pass
    process.kill()
    await process.wait()

    assert (await document(house))["status"] == "processing"
    part = len(await chunks(house))
    assert 2 * BATCH <= part < len(await texts_of(house))
    await read(house)

    await assert_one_whole_set(house)
    assert house.embedder.texts == (await texts_of(house))[part:]


async def test_a_model_that_goes_away_leaves_what_is_stored(house: House) -> None:
    at_batch(house, 3, lambda: setattr(house.embedder, "fails_with", ModelUnavailable("down")))

    with pytest.raises(ModelUnavailable):
        await read(house)
    row = await document(house)
    assert (row["status"], row["chunks_stored"]) == ("processing", 2 * BATCH)

    house.embedder.fails_with = None
    await read(house)
    await assert_one_whole_set(house)


async def test_a_part_by_another_model_is_not_gone_on_with(
    house: House, engine: AsyncEngine, sessions: Sessions, local_embedder: LocalEmbedder
) -> None:
    await read_until(house, 3)
    other = await make_house(engine, sessions, WatchedEmbedder(local_embedder, name="another-model"), batch=BATCH)

    with pytest.raises(ModelUnavailable):
        await read(other)
    assert len(await chunks(house)) == 2 * BATCH, "the workspace's own model may still go on"

    await rows(house, "UPDATE workspaces SET embedding_model_id = NULL RETURNING 1")
    await read(other)
    await assert_one_whole_set(other)
    assert len(await rows(house, "SELECT DISTINCT model_id FROM chunk_embeddings")) == 1


async def test_a_part_that_was_cut_otherwise_is_not_gone_on_with(
    house: House, engine: AsyncEngine, sessions: Sessions, local_embedder: LocalEmbedder
) -> None:
    narrow = WatchedEmbedder(local_embedder)
    narrow.max_tokens = 64
    await read_until(await make_house(engine, sessions, narrow, batch=BATCH), 3)

    await read(house)

    await assert_one_whole_set(house)


async def test_a_part_of_a_file_that_turns_out_unreadable_goes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await read_until(house, 3)

    async def too_slow(*_: object) -> None:
        raise UnreadableFile("too slow", user_message="Reading this file took longer than 30 seconds.")

    monkeypatch.setattr("bot.services.ingest.parse_in_sandbox", too_slow)
    outcome = await read(house)

    row = await document(house)
    assert (outcome.status, row["status"], row["chunks_stored"]) == (DocumentStatus.ERROR, "error", 0)
    assert await chunks(house) == []
    await assert_terms_are_counted(house)


async def test_a_file_deleted_while_it_is_read_leaves_nothing(house: House) -> None:
    deleting: list[asyncio.Task[int]] = []
    at_batch(house, 3, lambda: deleting.append(asyncio.create_task(house.documents.forget_file(TEAM, "F1.0"))))

    with pytest.raises(NotFound):
        await read(house)

    await asyncio.gather(*deleting)
    assert await rows(house, "SELECT 1 FROM documents") == []
    assert await chunks(house) == []
    await assert_terms_are_counted(house)


# Two at once


async def test_two_who_read_the_same_bytes_at_once_leave_one_set(house: House) -> None:
    outcomes = await asyncio.gather(read(house, ts="1.0"), read(house, ts="2.0", channel="C2"))

    assert len({outcome.document_id for outcome in outcomes}) == 1
    await assert_one_whole_set(house)
    assert len(house.embedder.texts) <= len(await texts_of(house)) + BATCH, "the second follows the first"
    assert len(await rows(house, "SELECT 1 FROM document_shares")) == 2


async def test_who_follows_goes_on_when_the_other_stops(house: House) -> None:
    first, second = (asyncio.create_task(read(house, ts=ts)) for ts in ("1.0", "2.0"))
    async with asyncio.timeout(20):
        while len(await chunks(house)) < 2 * BATCH:
            await asyncio.sleep(0.01)

    first.cancel()
    await second

    await assert_one_whole_set(house)


async def test_two_who_cut_the_same_bytes_otherwise_do_not_mix(
    house: House, engine: AsyncEngine, sessions: Sessions, local_embedder: LocalEmbedder
) -> None:
    narrow = WatchedEmbedder(local_embedder)
    narrow.max_tokens = 64
    other = await make_house(engine, sessions, narrow, batch=BATCH)
    slow = asyncio.create_task(read(other))
    async with asyncio.timeout(20):
        while len(await chunks(house)) < BATCH:
            await asyncio.sleep(0.01)

    await read(house, ts="2.0")

    with pytest.raises(ServiceUnavailable):
        await slow
    await assert_one_whole_set(house)


# Taken over by somebody else


@pytest.mark.parametrize(("lost_at", "stored"), [(1, None), (2, 0), (3, 0), (4, 1), (5, 2)])
async def test_who_lost_the_work_stores_nothing_more(house: House, lost_at: int, stored: int | None) -> None:
    with pytest.raises(Superseded):
        await read(house, claim=Held(lost_at=lost_at))

    assert len(await chunks(house)) == (stored or 0) * BATCH
    documents = await rows(house, "SELECT status FROM documents")
    assert documents == ([] if stored is None else [{"status": "processing"}])

    await read(house)
    await assert_one_whole_set(house)


async def test_work_is_done_with_the_last_thing_it_writes(house: House) -> None:
    claims = [Held(), Held()]

    await read(house, claim=claims[0])
    await read(house, b"...", filename="dots.txt", ts="2.0", claim=claims[1])

    for claim in claims:
        assert claim.used[-1] == "finish"
        assert claim.used.count("finish") == 1
