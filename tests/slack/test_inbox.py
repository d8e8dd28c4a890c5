"""What is stored before Slack hears that we have it, and what becomes of copies, deletions and a database that is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.engine import Sessions, build_engine
from bot.errors import DatabaseUnavailable
from bot.jobs.queue import Queue
from bot.slack.inbox import Inbox, errands_of
from bot.slack.payloads import Deletion, SlackMessage
from bot.values import Errand
from tests.conftest import TEAM
from tests.slack.acts import count, until, value

BOT = "U0BOT"
TS = "1700000000.000100"
GONE = Deletion("C1", TS)


def message(
    words: str = f"<@{BOT}> When do we open?",
    *,
    ts: str = TS,
    channel_id: str = "C1",
    gesture: str | None = None,
    files: tuple[str, ...] = (),
) -> SlackMessage:
    return SlackMessage(channel_id, ts, ts, "U1", words, is_direct=False, file_ids=files, gesture=gesture)


def errands(said: SlackMessage) -> list[Errand]:
    return errands_of(said, TEAM, bot_user_id=BOT)


@pytest.fixture
def inbox(sessions: Sessions) -> Inbox:
    return Inbox(sessions, Queue())


@asynccontextmanager
async def locked_inbox(sessions: Sessions) -> AsyncIterator[None]:
    """Let nobody write to the inbox for the length of the block, as if the database hung."""
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("LOCK TABLE inbox IN SHARE MODE"))
        yield


async def unfinished(sessions: Sessions) -> int:
    return await count(sessions, "work WHERE task = 'answer' AND state IN ('queued', 'running')")


async def test_an_event_is_stored_byte_for_byte_with_its_work(inbox: Inbox, sessions: Sessions) -> None:
    raw = b'{"event" :\n {"text": "\\u0000"} }'

    await inbox.accept(raw, event_id="Ev1", team_id=TEAM, errands=errands(message()))

    assert await value(sessions, "SELECT body FROM inbox") == raw
    assert await count(sessions, "work JOIN inbox ON inbox.id = work.inbox_id WHERE task = 'answer'") == 1
    assert await count(sessions, "procrastinate.procrastinate_jobs") == 1


async def test_what_means_no_work_is_not_stored(inbox: Inbox, sessions: Sessions) -> None:
    await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message("When do we open?")))

    assert await count(sessions, "inbox") == 0


async def test_work_that_cannot_be_written_leaves_no_event_behind(sessions: Sessions) -> None:
    class Failing(Queue):
        async def enqueue(self, session: AsyncSession, errand: Errand, *, inbox_id: UUID | None = None) -> bool:
            await super().enqueue(session, errand, inbox_id=inbox_id)
            if errand.task == "receipt":
                raise OSError("half-way")
            return True

    with pytest.raises(OSError, match="half-way"):
        await Inbox(sessions, Failing()).accept(
            b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message(files=("F1",)))
        )

    assert await count(sessions, "inbox") == 0
    assert await count(sessions, "work") == 0
    assert await count(sessions, "procrastinate.procrastinate_jobs") == 0


async def test_copies_of_a_message_are_one_piece_of_work(inbox: Inbox, sessions: Sessions) -> None:
    said = message()

    await asyncio.gather(
        *(inbox.accept(b"{}", event_id=f"Ev{n % 3}", team_id=TEAM, errands=errands(said)) for n in range(9))
    )

    assert await count(sessions, "inbox") == 3
    assert await count(sessions, "work") == 1


async def test_a_phantom_of_one_gesture_is_no_second_question_but_elsewhere_it_is(
    inbox: Inbox, sessions: Sessions
) -> None:
    copies = [
        message(gesture="g"),
        message(gesture="g", ts="1700000001.000100"),
        message(gesture="g", channel_id="C2"),
    ]

    for number, said in enumerate(copies):
        await inbox.accept(b"{}", event_id=f"Ev{number}", team_id=TEAM, errands=errands(said))

    keys = await value(sessions, "SELECT string_agg(key, ' ' ORDER BY key) FROM work WHERE state = 'queued'")
    assert keys == f"C1:{TS} C2:{TS}"
    assert await count(sessions, "procrastinate.procrastinate_jobs") == 2


async def test_when_of_two_phantoms_the_question_is_deleted_the_other_is_answered(
    inbox: Inbox, sessions: Sessions
) -> None:
    for number, ts in enumerate((TS, "1700000001.000100")):
        said = message(gesture="g", ts=ts)
        await inbox.accept(b"%d" % number, event_id=f"Ev{number}", team_id=TEAM, errands=errands(said))

    await inbox.withdraw(b"gone", event_id="Ev2", team_id=TEAM, deletion=GONE)

    question = "work JOIN inbox ON inbox.id = work.inbox_id WHERE work.state = 'queued'"
    assert await value(sessions, f"SELECT work.key FROM {question}") == "C1:1700000001.000100"
    assert await value(sessions, f"SELECT body FROM {question}") == b"1"


async def test_a_copy_that_is_no_question_leaves_the_question_to_the_others(inbox: Inbox, sessions: Sessions) -> None:
    shared, asked = message("", files=("F1",)), message()

    await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(shared))
    await inbox.accept(b"{}", event_id="Ev2", team_id=TEAM, errands=errands(asked))

    assert await value(sessions, "SELECT string_agg(task, ' ' ORDER BY task) FROM work") == "answer ingest receipt"


async def test_a_deleted_question_is_withdrawn(inbox: Inbox, sessions: Sessions) -> None:
    await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message()))

    await inbox.withdraw(b"gone", event_id="Ev2", team_id=TEAM, deletion=GONE)

    assert await unfinished(sessions) == 0
    assert await value(sessions, "SELECT key FROM tombstones WHERE kind = 'message'") == f"C1:{TS}"


async def test_a_question_whose_deletion_came_first_is_not_asked(inbox: Inbox, sessions: Sessions) -> None:
    await inbox.withdraw(b"gone", event_id="Ev2", team_id=TEAM, deletion=GONE)

    await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message(files=("F1",))))
    await inbox.accept(b"{}", event_id="Ev3", team_id=TEAM, errands=errands(message(ts="1700000001.000100")))

    assert await value(sessions, "SELECT key FROM work") == "C1:1700000001.000100"


async def test_a_question_and_its_deletion_that_come_at_once_leave_nothing_to_answer(
    inbox: Inbox, sessions: Sessions
) -> None:
    for number in range(20):
        ts = f"{number}.5"
        await asyncio.gather(
            inbox.accept(b"{}", event_id=f"Ev{number}", team_id=TEAM, errands=errands(message(ts=ts))),
            inbox.withdraw(b"", event_id=f"Gone{number}", team_id=TEAM, deletion=Deletion("C1", ts)),
        )

    assert await unfinished(sessions) == 0


async def test_an_answer_that_is_final_stays(inbox: Inbox, sessions: Sessions) -> None:
    await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message()))
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE work SET state = 'done'"))

    await inbox.withdraw(b"gone", event_id="Ev2", team_id=TEAM, deletion=GONE)

    assert await value(sessions, "SELECT state FROM work") == "done"


async def test_an_event_that_takes_longer_than_slack_waits_is_refused_and_not_stored(sessions: Sessions) -> None:
    inbox = Inbox(sessions, Queue(), timeout_s=0.2)
    async with locked_inbox(sessions):
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message()))
        waited_s = time.monotonic() - started
    refused_at = inbox.unstored_since
    stored = await count(sessions, "inbox")

    await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message()))

    assert waited_s < 1
    assert refused_at is not None
    assert stored == 0
    assert await count(sessions, "work") == 1


async def test_only_so_many_events_wait_for_the_database(sessions: Sessions) -> None:
    inbox = Inbox(sessions, Queue(), timeout_s=5, stores_limit=3)

    async def accept(number: int) -> None:
        said = message(ts=f"{number}.5")
        await inbox.accept(b"{}", event_id=f"Ev{number}", team_id=TEAM, errands=errands(said))

    async with locked_inbox(sessions):
        waiting = [asyncio.create_task(accept(number)) for number in range(3)]
        await asyncio.sleep(0.05)
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="wait for the database"):
            await accept(3)
        shed_s = time.monotonic() - started
    await asyncio.gather(*waiting)
    await accept(3)

    assert shed_s < 0.1
    assert await count(sessions, "inbox") == 4


async def test_a_store_that_was_given_up_counts_until_it_is_over(sessions: Sessions) -> None:
    inbox = Inbox(sessions, Queue(), timeout_s=0.05, stores_limit=1)
    async with locked_inbox(sessions):
        with pytest.raises(DatabaseUnavailable, match="not stored within"):
            await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message()))

    async def accepted() -> bool:
        try:
            await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message()))
        except DatabaseUnavailable:
            return False
        return True

    await until(accepted)
    assert await count(sessions, "work") == 1


async def test_a_database_that_is_not_there_is_named_so() -> None:
    engine = build_engine("postgresql+asyncpg://nobody:none@127.0.0.1:9/nowhere", pool_size=1)
    inbox = Inbox(Sessions(engine), Queue())
    try:
        with pytest.raises(DatabaseUnavailable):
            await inbox.accept(b"{}", event_id="Ev1", team_id=TEAM, errands=errands(message()))
        assert inbox.unstored_since is not None
    finally:
        await engine.dispose()
