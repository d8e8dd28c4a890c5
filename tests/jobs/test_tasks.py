"""What each kind of work does, on the real services: what is refused, what is tried again, what people are told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from sqlalchemy import text

from bot.errors import ModelUnavailable, ServiceUnavailable
from bot.jobs.queue import Task
from bot.jobs.tasks import Tasks
from bot.repositories.work import ClaimedWork
from bot.services.deletions import DeletionService
from bot.services.indexes import IndexService
from bot.services.ports import Asked, Claim, Unclaimed
from bot.services.questions import GREETING
from bot.services.receipts import ReceiptService
from bot.values import DocumentStatus, Question, new_id
from tests.conftest import TEAM, Database
from tests.jobs.acts import errand, settled, until, worker_on
from tests.services.conftest import House
from tests.services.stand_ins import HANDBOOK, NotedReply, ScriptedChat, shared_file
from tests.services.test_deletions import NoPostings
from tests.services.test_receipts import NotedReceipts

ROOT = "1700000000.000000"
PLACE = {"team_id": TEAM, "channel_id": "C1", "message_ts": ROOT, "thread_ts": ROOT}
GOOD = "The office opens at eight in the morning. [1]"


@dataclass
class KnownIntake:
    """Opens a stored body, which is the question's text and who asks, into a question with a reply that is noted."""

    replies: list[NotedReply] = field(default_factory=list)
    is_down: bool = False

    async def open(self, body: bytes, claim: Claim) -> Asked:
        if self.is_down:
            raise ServiceUnavailable("Slack is down")
        asked = json.loads(body)
        self.replies.append(NotedReply())
        question = Question(TEAM, "C1", asked["user"], "1700000100.000000", "1700000100.000000", asked["text"])
        return Asked(question, self.replies[-1], private=asked.get("private", False))


@dataclass
class NotedBackfill:
    """What would have been read, by its beginning."""

    since: list[datetime] = field(default_factory=list)

    async def run(self, since: datetime) -> None:
        self.since.append(since)


@dataclass(frozen=True)
class Shop:
    """The tasks and what is around them."""

    house: House
    intake: KnownIntake
    receipts: NotedReceipts
    backfill: NotedBackfill
    tasks: dict[str, Task]

    async def run(
        self, task: str, body: dict[str, Any] | None = None, *, blocked_s: float = 0, **ids: str
    ) -> float | None:
        work = replace(work_of(task, body, **ids), blocked_s=blocked_s)
        return await self.tasks[task].run(work, Unclaimed())

    async def give_up(self, task: str, body: dict[str, Any] | None = None, **ids: str) -> None:
        await self.tasks[task].give_up(work_of(task, body, **ids), "a1b2c3d4e5f6")

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with self.house.sessions.tenant(TEAM) as session:
            return [dict(row) for row in (await session.execute(text(statement))).mappings()]


def work_of(task: str, body: dict[str, Any] | None = None, **ids: str) -> ClaimedWork:
    raw = None if body is None else json.dumps(body).encode()
    return ClaimedWork(TEAM, new_id(), task, "key", PLACE | ids, 1, f"C1:{ROOT}", raw)


MakeShop = Callable[..., Shop]


@pytest.fixture
def make_shop(house: House, database: Database) -> MakeShop:
    """Wire the tasks; `script` is what the model says, `exact_search_limit` when an index is due."""

    def make(*script: str | Exception, exact_search_limit: int = 50_000) -> Shop:
        intake, receipts, backfill = KnownIntake(), NotedReceipts(house), NotedBackfill()
        indexes = IndexService(
            house.sessions, database.owner_url, house.queue.enqueue, exact_search_limit=exact_search_limit
        )
        tasks = Tasks(
            house.answers(ScriptedChat(*(script or (GOOD,)))),
            house.documents,
            indexes,
            intake=intake,
            files=house.files,
            receipts=ReceiptService(house.sessions, receipts, house.files),
            backfill=backfill,
            deletions=DeletionService(house.sessions, house.queue.enqueue, NoPostings()),
            retention=cast("Any", None),
            lexicon=cast("Any", None),
            model_wait_s=4,
        )
        return Shop(house, intake, receipts, backfill, tasks.table())

    return make


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """The tasks, with a model that knows when the office opens."""
    return make_shop()


def asking(words: str = "When does the office open?", *, user: str = "U1", **more: Any) -> dict[str, Any]:
    return {"text": words, "user": user, **more}


# Answering


async def test_a_stored_question_is_answered_into_its_reply(shop: Shop) -> None:
    await shop.house.share()

    await shop.run("answer", asking())

    (reply,) = shop.intake.replies
    assert reply.finished is not None
    assert reply.finished.found
    assert reply.apologies == []


async def test_a_private_question_draws_on_what_its_asker_may_read(shop: Shop) -> None:
    await shop.house.share(channel="G1")

    await shop.run("answer", asking(private=True))
    await shop.run("answer", asking())

    found = [reply.finished.found for reply in shop.intake.replies if reply.finished]
    assert found == [True, False]


async def test_what_is_no_question_is_told_so_and_done_with(shop: Shop) -> None:
    await shop.run("answer", asking("a" * 8_001))
    await shop.run("answer", asking(":wave:"))

    told = [reply.apologies for reply in shop.intake.replies]
    assert len(told[0]) == 1
    assert "too long" in told[0][0]
    assert told[1] == [GREETING]


async def test_somebody_unknown_is_told_so(shop: Shop) -> None:
    await shop.run("answer", asking(user="U404"))

    assert shop.intake.replies[0].apologies == ["I don't know who you are."]


async def test_a_question_waits_for_the_model_and_says_so(make_shop: MakeShop) -> None:
    shop = make_shop("The office ", ModelUnavailable("cut", retry_after_s=2))
    await shop.house.share()

    with pytest.raises(ModelUnavailable) as raised:
        await shop.run("answer", asking())

    assert raised.value.retry_after_s == 2
    (reply,) = shop.intake.replies
    assert reply.apologies == []
    assert "keep trying" in reply.statuses[-1]


async def test_a_model_that_asks_for_more_time_than_is_left_gets_what_is_left(make_shop: MakeShop) -> None:
    shop = make_shop(ModelUnavailable("overloaded", retry_after_s=600))
    await shop.house.share()

    with pytest.raises(ModelUnavailable) as raised:
        await shop.run("answer", asking(), blocked_s=1)

    assert 2 < (raised.value.retry_after_s or 0) <= 3


async def test_a_question_that_waited_for_the_model_long_enough_gets_what_was_found(make_shop: MakeShop) -> None:
    shop = make_shop(ModelUnavailable("cut"))
    await shop.house.share()
    started = time.monotonic()

    await shop.run("answer", asking(), blocked_s=3.5)

    assert time.monotonic() - started >= 0.5, "it was tried once more at the end of its time"
    reply = shop.intake.replies[-1]
    assert len(reply.apologies) == 1
    assert [source.filename for source in reply.sources] == ["handbook.md"] * len(reply.sources)
    assert reply.sources


async def test_what_may_pass_is_left_to_the_queue(shop: Shop) -> None:
    await shop.house.share()
    async with shop.house.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE channels SET synced_at = now() - interval '1 hour'"))
    shop.house.slack.is_down = True

    with pytest.raises(ServiceUnavailable):
        await shop.run("answer", asking())

    assert shop.intake.replies[0].events == []


async def test_the_queue_answers_when_slack_is_back(shop: Shop, database: Database) -> None:
    await shop.house.share()
    shop.intake.is_down = True
    async with shop.house.sessions.tenant(TEAM) as session:
        body = json.dumps(asking()).encode()
        await session.execute(
            text("INSERT INTO inbox (team_id, id, event_id, body) VALUES (:team, :id, 'Ev1', :body)"),
            {"team": TEAM, "id": (inbox_id := new_id()), "body": body},
        )
        await shop.house.queue.enqueue(session, errand("Q1"), inbox_id=inbox_id)

    async def is_blocked() -> bool:
        return (await shop.rows("SELECT blocked_since FROM work"))[0]["blocked_since"] is not None

    async with worker_on(shop.house.sessions, database.bot_url, answer=shop.tasks["answer"]):
        await until(is_blocked)
        shop.intake.is_down = False
        assert await settled(shop.house.sessions) == {"Q1": "done"}

    (reply,) = shop.intake.replies
    assert reply.finished is not None
    assert reply.finished.found


async def test_a_question_given_up_gets_an_apology_with_a_number(shop: Shop) -> None:
    await shop.give_up("answer", asking())

    (apology,) = shop.intake.replies[0].apologies
    assert "have stopped trying" in apology
    assert apology.endswith("a1b2c3d4e5f6")


# Files


async def test_a_shared_file_is_read(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)

    await shop.run("ingest", file_id="F1")

    assert [row["status"] for row in await shop.rows("SELECT status FROM documents")] == ["ready"]
    assert await shop.rows("SELECT 1 FROM work") == [], "no index is due"


async def test_an_index_is_asked_for_when_there_is_more_than_exact_search_should_scan(make_shop: MakeShop) -> None:
    shop = make_shop(exact_search_limit=1)
    shop.house.files.add(shared_file(), HANDBOOK)
    shop.house.files.add(shared_file("F2", filename="gate.txt", ts="1700000001.000000"), b"The gate opens at five.")

    await shop.run("ingest", file_id="F1")
    await shop.run("ingest", file_id="F2")

    assert [row["task"] for row in await shop.rows("SELECT task FROM work")] == ["index"]
    await shop.run("index")
    indexes = await shop.rows("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%hnsw%'")
    assert len(indexes) == 1


async def test_a_file_that_is_gone_from_slack_is_no_failure(shop: Shop) -> None:
    await shop.run("ingest", file_id="F404")

    assert await shop.rows("SELECT 1 FROM documents") == []


async def test_a_file_slack_does_not_hand_out_now_is_tried_again(shop: Shop) -> None:
    shop.house.files.add(shared_file(), ServiceUnavailable("Slack is down"))

    with pytest.raises(ServiceUnavailable):
        await shop.run("ingest", file_id="F1")


async def test_a_model_that_is_down_leaves_the_file_for_later(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)
    shop.house.embedder.fails_with = ModelUnavailable("down")

    with pytest.raises(ModelUnavailable):
        await shop.run("ingest", file_id="F1")
    shop.house.embedder.fails_with = None
    await shop.run("ingest", file_id="F1")

    assert [row["status"] for row in await shop.rows("SELECT status FROM documents")] == ["ready"]


async def test_a_file_given_up_is_in_error_under_its_name_and_a_number(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)

    await shop.give_up("ingest", file_id="F1")

    assert await shop.rows("SELECT filename, status, error FROM documents") == [
        {
            "filename": "handbook.md",
            "status": "error",
            "error": "Reading it failed several times (number a1b2c3d4e5f6).",
        }
    ]


async def test_a_deleted_file_is_forgotten(shop: Shop) -> None:
    await shop.house.share()

    await shop.run("forget", file_id="F1")

    assert await shop.rows("SELECT 1 FROM documents") == []


# Receipts


async def test_a_receipt_tells_of_every_file_also_of_those_that_failed(shop: Shop) -> None:
    await shop.house.share()
    await shop.house.share(b"", file_id="F2", filename="nothing.txt")

    assert await shop.run("receipt") is None

    (files,) = shop.receipts.shown
    assert [(file.filename, file.error) for file in files] == [
        ("handbook.md", None),
        ("nothing.txt", "The file is empty."),
    ]


async def test_a_file_given_up_is_told_of_in_the_receipt(shop: Shop) -> None:
    shop.house.files.add(shared_file(), HANDBOOK)
    await shop.give_up("ingest", file_id="F1")

    assert await shop.run("receipt") is None

    ((file,),) = shop.receipts.shown
    assert file.status is DocumentStatus.ERROR


async def test_files_deleted_before_they_were_read_need_no_receipt(shop: Shop) -> None:
    assert await shop.run("receipt") is None

    assert shop.receipts.shown == []


# Everything else


async def test_what_was_missed_is_read_from_where_hearing_ended(shop: Shop) -> None:
    since = datetime(2026, 11, 22, 12, tzinfo=UTC)

    await shop.run("backfill", since=since.isoformat())

    assert shop.backfill.since == [since]


async def test_what_nobody_waits_for_is_given_up_in_the_log_alone(shop: Shop) -> None:
    for task in ("receipt", "index", "forget", "backfill"):
        await shop.give_up(task)

    assert shop.intake.replies == []
    assert shop.receipts.shown == []
