"""Work comes back that nobody does any more: after a killed worker, a lost reply, a job that vanished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from procrastinate import App
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import Superseded
from bot.jobs import recovery
from bot.jobs.claim import WorkClaim
from bot.jobs.connection import QueueConnector
from bot.jobs.holding import HeldJobs
from bot.jobs.queue import queue_name
from bot.jobs.recovery import Recovery
from bot.repositories.work import ClaimedWork, WorkRepository
from bot.values import Errand
from tests.conftest import TEAM, Database
from tests.jobs.acts import Diary, change, enqueue, errand, jobs, rows, settled, states, until, worker_on, works

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
async def held(database: Database) -> AsyncIterator[HeldJobs]:
    """The jobs as a worker of another process, which may die, sees them."""
    connector = QueueConnector(database.bot_url)
    app = App(connector=connector)
    app.job_manager = HeldJobs(connector, set())
    async with app.open_async():
        yield app.job_manager


async def take_on(held: HeldJobs, sessions: Sessions) -> tuple[Any, ClaimedWork]:
    """Fetch the next answer and claim its work, as a worker does before it is killed."""
    worker_id = await held.register_worker()
    job = await held.fetch_job([queue_name(TEAM, "answer")], worker_id)
    assert job is not None
    async with sessions.tenant(TEAM) as session:
        work = await WorkRepository(session).claim(TEAM, UUID(str(job.task_kwargs["work_id"])))
    assert work is not None
    return job, work


async def fall_silent(sessions: Sessions, seconds: int = 60) -> None:
    """Let every worker's last sign of life be so long ago."""
    await change(sessions, f"UPDATE procrastinate_workers SET last_heartbeat = now() - interval '{seconds} seconds'")


def recovery_of(sessions: Sessions, stall_s: float = 30) -> Recovery:
    return Recovery(sessions, team_id=TEAM, stall_s=stall_s)


# The reaper


async def test_the_work_of_a_killed_process_is_done_by_another(
    sessions: Sessions, database: Database, held: HeldJobs
) -> None:
    diary = Diary()
    await enqueue(sessions, "a", "behind it", thread="1.0")
    await take_on(held, sessions)
    await fall_silent(sessions)

    with capture_logs() as logs:
        async with worker_on(sessions, database.bot_url, answer=diary.task()):
            assert await settled(sessions) == {"a": "done", "behind it": "done"}

    assert diary.ended == ["a", "behind it"]
    assert (await works(sessions))["a"]["attempts"] == 1, "a killed start is one that ended badly"
    assert {"event": "job.reaped", "count": 1, "log_level": "warning"} in logs


async def test_who_shows_signs_of_life_keeps_its_work(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    await take_on(held, sessions)
    await fall_silent(sessions, seconds=20)

    assert await recovery_of(sessions, stall_s=30).reap(held.connector) == 0
    assert await recovery_of(sessions, stall_s=10).reap(held.connector) == 1


async def test_what_a_worker_held_that_is_gone_altogether_is_put_back(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    job, _ = await take_on(held, sessions)
    await held.unregister_worker(job.worker_id)

    assert await recovery_of(sessions).reap(held.connector) == 1

    (row,) = await jobs(sessions)
    assert (row["status"], row["scheduled_at"]) == ("todo", None)


async def test_one_process_at_a_time_reaps(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    await take_on(held, sessions)
    await fall_silent(sessions)

    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(recovery._SWEEPING, {"lock": f"reap:{TEAM}"})
        assert await recovery_of(sessions).reap(held.connector) == 0
    assert await recovery_of(sessions).reap(held.connector) == 1


async def test_other_workspaces_jobs_are_left_alone(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    await take_on(held, sessions)
    await fall_silent(sessions)

    assert await Recovery(sessions, team_id="T0OTHER", stall_s=30).reap(held.connector) == 0


# The audit


async def test_a_job_that_says_we_do_it_but_we_do_not_is_put_back(
    sessions: Sessions, database: Database, held: HeldJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "ORPHAN_AGE_S", 0.5)
    diary, fetch = Diary(), HeldJobs.fetch_job
    lost: list[object] = []

    async def lose_the_first_reply(self: HeldJobs, **about: Any) -> Any:
        job = await fetch(self, **about)
        if job is not None and not lost:
            self.held.discard(job.id or 0)
            lost.append(job)
            return None
        return job

    monkeypatch.setattr(HeldJobs, "fetch_job", lose_the_first_reply)
    await enqueue(sessions, "a", "behind it", thread="1.0")
    with capture_logs() as logs:
        async with worker_on(sessions, database.bot_url, answer=diary.task()):
            assert set((await settled(sessions)).values()) == {"done"}

    assert diary.ended == ["a", "behind it"]
    assert (await works(sessions))["a"]["attempts"] == 0
    assert "job.orphans_put_back" in {entry["event"] for entry in logs}


async def test_a_job_whose_reply_may_still_come_is_left_alone(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    job, _ = await take_on(held, sessions)
    keeper, ours = recovery_of(sessions), {job.worker_id}

    for _ in range(2):
        assert await keeper.audit(held.connector, worker_ids=[*ours], held=set(), live_ids=ours) == 0


async def test_no_reply_comes_over_connections_that_were_given_up(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    job, _ = await take_on(held, sessions)

    assert (
        await recovery_of(sessions).audit(held.connector, worker_ids=[job.worker_id], held=set(), live_ids=set()) == 1
    )


async def test_what_we_do_is_no_orphan(sessions: Sessions, held: HeldJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "ORPHAN_AGE_S", -1)
    await enqueue(sessions, "a")
    job, _ = await take_on(held, sessions)
    keeper, ours = recovery_of(sessions), {job.worker_id}

    assert await keeper.audit(held.connector, worker_ids=[*ours], held={job.id}, live_ids=ours) == 0
    assert await keeper.audit(held.connector, worker_ids=[job.worker_id + 1], held=set(), live_ids=ours) == 0
    assert await keeper.audit(held.connector, worker_ids=[*ours], held=set(), live_ids=ours) == 1


# The fence


async def test_a_zombie_writes_nothing_once_its_work_was_taken_over(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "a")
    _, work = await take_on(held, sessions)
    await fall_silent(sessions)
    await recovery_of(sessions).reap(held.connector)
    _, heirs = await take_on(held, sessions)

    for write in (WorkClaim(work).hold, WorkClaim(work).finish):
        with pytest.raises(Superseded):
            async with sessions.tenant(TEAM) as session:
                await write(session)

    assert await states(sessions) == {"a": "running"}
    async with sessions.tenant(TEAM) as session:
        await WorkClaim(heirs).finish(session)
    assert await states(sessions) == {"a": "done"}


async def test_a_hold_keeps_others_from_taking_over_until_the_effect_is_written(
    sessions: Sessions, held: HeldJobs
) -> None:
    await enqueue(sessions, "a")
    _, work = await take_on(held, sessions)

    async def take_over() -> ClaimedWork | None:
        async with sessions.tenant(TEAM) as session:
            return await WorkRepository(session).claim(TEAM, work.id)

    async with sessions.tenant(TEAM) as session:
        await WorkClaim(work).hold(session)
        overtaking = asyncio.create_task(take_over())
        await asyncio.sleep(0.2)
        assert not overtaking.done()
    heirs = await overtaking

    assert heirs is not None
    assert heirs.epoch == work.epoch + 1


# The sweeper


async def test_work_without_a_job_gets_one(sessions: Sessions, database: Database, held: HeldJobs) -> None:
    diary = Diary()
    await enqueue(sessions, "a", asker="U1", thread="1.0")
    (job,) = await jobs(sessions)
    await held.connector.execute_query_async(
        "SELECT procrastinate_finish_job_v1(%(id)s, 'succeeded', true)", id=job["id"]
    )
    assert await jobs(sessions) == [], "a late finish, by number alone, hides work that was never done"

    assert await recovery_of(sessions).sweep() == 0, "it may be on its way"
    await change(sessions, "UPDATE work SET updated_at = now() - interval '2 minutes', run_at = now() - interval '1 h'")
    assert await recovery_of(sessions).sweep() == 1

    (again,) = await jobs(sessions)
    same = ("queue_name", "task_name", "lock", "priority", "args")
    assert {name: again[name] for name in same} == {name: job[name] for name in same}
    async with worker_on(sessions, database.bot_url, answer=diary.task()):
        assert await settled(sessions) == {"a": "done"}


@pytest.mark.parametrize(
    ("state", "swept"), [("running", 1), ("stopping", 1), ("done", 0), ("dead", 0), ("stopped", 0)]
)
async def test_what_is_not_final_is_swept(sessions: Sessions, state: str, swept: int) -> None:
    await enqueue(sessions, "a")
    await change(
        sessions,
        f"UPDATE work SET state = '{state}', updated_at = now() - interval '2 min', run_at = now() - interval '2 min'",
    )
    await change(sessions, "DELETE FROM procrastinate_jobs")

    assert await recovery_of(sessions).sweep() == swept


async def test_work_with_a_job_is_not_swept(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "doing", "todo")
    await take_on(held, sessions)
    await change(sessions, "UPDATE work SET updated_at = now() - interval '1 h', run_at = now() - interval '1 h'")

    assert await recovery_of(sessions).sweep() == 0


async def test_one_process_at_a_time_sweeps(sessions: Sessions) -> None:
    await enqueue(sessions, *"abc")
    await change(sessions, "UPDATE work SET updated_at = now() - interval '1 h', run_at = now() - interval '1 h'")
    await change(sessions, "DELETE FROM procrastinate_jobs")

    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(recovery._SWEEPING, {"lock": f"sweep:{TEAM}"})
        assert await recovery_of(sessions).sweep() == 0
    counts = await asyncio.gather(*(recovery_of(sessions).sweep() for _ in range(4)))

    assert sum(counts) == 3
    assert len(await jobs(sessions)) == 3


async def test_rows_of_the_release_before_the_queue_are_taken_up(sessions: Sessions, database: Database) -> None:
    diary = Diary()
    await change(
        sessions,
        f"""
        INSERT INTO work (team_id, id, task, key, ids, thread, state, updated_at, run_at)
        SELECT '{TEAM}', gen_random_uuid(), task, task, CAST(ids AS jsonb), thread, state,
               now() - interval '1 h', now() - interval '1 h'
          FROM (VALUES ('answer', '{{}}', 'C1:1.0', 'queued'),
                       ('ingest', '{{"file_id": "F1"}}', 'C1:1.0', 'running'),
                       ('receipt', '{{}}', 'C1:1.0', 'queued')) AS old (task, ids, thread, state)
        """,
    )

    task = diary.task()
    async with worker_on(sessions, database.bot_url, answer=task, ingest=task, receipt=task):
        await settled(sessions)

    assert sorted(diary.ended) == ["answer", "ingest", "receipt"]
    pools = {key: (row["pool"], row["lock"]) for key, row in (await works(sessions)).items()}
    assert pools == {
        "answer": ("answer", f"{TEAM}:thread:C1:1.0"),
        "ingest": ("ingest", f"{TEAM}:file:F1"),
        "receipt": ("chore", f"{TEAM}:receipt:receipt"),
    }


# Housekeeping


async def test_failed_jobs_are_kept_for_a_day(sessions: Sessions, held: HeldJobs) -> None:
    await enqueue(sessions, "old", "new")
    await change(sessions, "UPDATE procrastinate_jobs SET status = 'doing'")
    await change(sessions, "UPDATE procrastinate_jobs SET status = 'failed'")
    await change(
        sessions,
        """UPDATE procrastinate_events SET at = at - interval '25 hours'
            WHERE job_id = (SELECT min(id) FROM procrastinate_jobs)""",
    )

    await recovery_of(sessions).tend(held, worker_ids=[])

    assert [job["key"] for job in await jobs(sessions)] == ["new"]
    assert len(await rows(sessions, "SELECT * FROM procrastinate_jobs")) == 1


async def test_what_is_due_every_hour_is_asked_for_once_in_it_whoever_asks(sessions: Sessions, held: HeldJobs) -> None:
    def chore(team_id: str, moment: datetime) -> Errand:
        return errand(f"{team_id}:{moment:%Y-%m-%d}", task="expire")

    for _ in range(2):
        await Recovery(sessions, team_id=TEAM, stall_s=30, hourly=[chore]).tend(held, worker_ids=[])

    (key,) = await states(sessions)
    assert key.startswith(TEAM)


async def test_recovery_goes_on_while_work_is_done(sessions: Sessions, database: Database, held: HeldJobs) -> None:
    diary, gate = Diary(), asyncio.Event()

    async def wait(work: ClaimedWork) -> None:
        if work.key == "slow":
            await gate.wait()

    await enqueue(sessions, "killed")
    await take_on(held, sessions)
    async with worker_on(sessions, database.bot_url, stall_s=1, answer=diary.task(wait)):
        await enqueue(sessions, "slow")
        await until(lambda: diary.begun == ["slow"])
        await change(
            sessions,
            """UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'
                WHERE id = (SELECT worker_id FROM procrastinate_jobs WHERE status = 'doing' ORDER BY id LIMIT 1)""",
        )
        await until(lambda: diary.ended == ["killed"])
        gate.set()
        await settled(sessions)
