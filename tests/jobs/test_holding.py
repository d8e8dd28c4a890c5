"""A job is ended or put back by who holds it, and by nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from procrastinate import App
from procrastinate.jobs import Job, Status
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.jobs.connection import QueueConnector
from bot.jobs.holding import HeldJobs
from bot.jobs.queue import queue_name
from bot.jobs.recovery import Recovery
from tests.conftest import TEAM, Database
from tests.jobs.acts import change, enqueue, jobs


@pytest.fixture
async def held(database: Database) -> AsyncIterator[HeldJobs]:
    connector = QueueConnector(database.bot_url)
    app = App(connector=connector)
    app.job_manager = HeldJobs(connector, set())
    async with app.open_async():
        yield app.job_manager


async def fetch(held: HeldJobs) -> Job:
    job = await held.fetch_job([queue_name(TEAM, "answer")], await held.register_worker())
    assert job is not None
    return job


async def only(sessions: Sessions) -> dict[str, Any]:
    (job,) = await jobs(sessions)
    return job


async def reap(sessions: Sessions, held: HeldJobs) -> None:
    """Put the job back as if its worker were dead."""
    await change(sessions, "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    assert await Recovery(sessions, team_id=TEAM, stall_s=30).reap(held.connector) == 1


async def test_what_is_fetched_is_held_until_it_is_ended(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")

    job = await fetch(held)
    assert held.held == {job.id}
    await held.finish_job(job, Status.SUCCEEDED, delete_job=True)

    assert held.held == set()
    assert await jobs(sessions) == []


async def test_what_is_put_back_comes_again_by_the_databases_clock(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    job = await fetch(held)

    await held.retry_job(job, datetime.now(UTC) + timedelta(seconds=20))

    row = await only(sessions)
    assert (row["status"], row["attempts"]) == ("todo", 1)
    await change(sessions, "UPDATE work SET run_at = now()")
    ((seconds,),) = [
        tuple(found.values())
        for found in await held.connector.execute_query_all_async(
            "SELECT extract(epoch FROM scheduled_at - now())::float AS s FROM procrastinate_jobs"
        )
    ]
    assert 18 < seconds < 20
    assert held.held == set()


async def test_a_late_finish_hides_no_work_that_waits_again(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    job = await fetch(held)
    await reap(sessions, held)

    with capture_logs() as logs:
        await held.finish_job(job, Status.SUCCEEDED, delete_job=True)

    assert (await only(sessions))["status"] == "todo"
    assert [entry["event"] for entry in logs] == ["job.overtaken"]


async def test_a_late_finish_ends_no_work_that_another_does(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    zombie = await fetch(held)
    await reap(sessions, held)
    heir = await fetch(held)

    await held.finish_job(zombie, Status.SUCCEEDED, delete_job=True)
    await held.retry_job(zombie, None)
    assert (await only(sessions))["status"] == "doing"
    await held.finish_job(heir, Status.SUCCEEDED, delete_job=True)

    assert await jobs(sessions) == []


async def test_what_cannot_be_written_is_said_and_left_to_the_audit(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    job = await fetch(held)
    connector = held.connector
    assert isinstance(connector, QueueConnector)
    await connector.close_async()

    with capture_logs() as logs:
        await held.finish_job(job, Status.SUCCEEDED, delete_job=True)

    assert [entry["event"] for entry in logs] == ["job.unsettled"]
    assert held.held == set()
    assert (await only(sessions))["status"] == "doing"


async def test_the_workers_of_a_process_are_known_by_number(sessions: Sessions, database: Database) -> None:
    ever: set[int] = set()
    for _ in range(2):
        connector = QueueConnector(database.bot_url)
        held = HeldJobs(connector, ever)
        await connector.open_async()
        kept, gone = await held.register_worker(), await held.register_worker()
        await held.unregister_worker(gone)
        assert kept in held.live_ids
        await connector.close_async()

    assert len(ever) == 2
