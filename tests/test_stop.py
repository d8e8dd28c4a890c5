"""A process that is told to stop: what is under way is finished or handed back, and it ends, whatever hangs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping

import pytest

from bot.playground.state import Message
from tests.conftest import TEAM
from tests.faults.held import Held, hold
from tests.faults.processes import BotProcess, Exit
from tests.faults.world import World, open_world, written_by_openai
from tests.slack.acts import HANDBOOK, File, until

QUESTION = "When does the office open?"
WORDS = "The office opens at eight in the morning and closes at six. [1]"
GRACE_S = 2.0
LIMIT_S = GRACE_S + 7  # the machine may be busy
"""Within which a process must end: 20 s with the grace of 15 s it has by default."""

LONG: File = (
    "long.md",
    "\n\n".join(f"# Rule {n}\n\nRule number {n} says that item {n} costs {n * 7} crowns." for n in range(600)).encode(),
    "text/markdown",
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A database behind a proxy, a Slack behind another, a model; people and channels, and no bot yet."""
    async with open_world("stop", posts_per_second=50) as world:
        ada = world.slack.add_user("Ada")
        world.slack.add_channel("general", members=[ada])
        yield world


@pytest.fixture
async def held(world: World) -> AsyncIterator[Held]:
    """The first answer of the model: it is begun, and goes on when the test says so."""
    (held,) = hold(world.openai, WORDS)
    yield held
    held.go.set()


def settings(world: World, **changes: object) -> Mapping[str, object]:
    return {"stop_grace_s": GRACE_S, "post_interval_s": 0.05, **written_by_openai(world), **changes}


async def shared(world: World, file: File = HANDBOOK) -> Message:
    root = await world.slack.share("Ada", "general", file)
    await world.slack.wait_for_reply("general", root.ts, timeout=60)
    return root


async def answer(world: World, root: Message, question: Message) -> Message:
    return await world.slack.wait_for_reply("general", root.ts, after=question.ts, timeout=60)


async def state_of_answers(world: World) -> list[str]:
    found = await world.postgres.fetch("SELECT state FROM work WHERE task = 'answer' ORDER BY id")
    return [row["state"] for row in found]


async def told(process: BotProcess, number: signal.Signals = signal.SIGTERM) -> Exit:
    """Send one signal and wait for the end."""
    if number is signal.SIGTERM:
        return await process.terminate(timeout_s=30)
    loop = asyncio.get_running_loop()
    began = loop.time()
    process._send(number)
    await until(lambda: not process.is_running, within_s=30)
    assert process._process is not None
    return Exit(process._process.returncode or 0, loop.time() - began)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_bot_at_rest_ends_at_once(world: World, number: signal.Signals) -> None:
    process = await world.start("run", settings=settings(world, stop_grace_s=20))

    ended = await told(process, number)

    assert ended.code == 0
    assert ended.seconds < 10


async def test_an_answer_under_way_is_finished_in_its_grace(world: World, held: Held) -> None:
    process = await world.start("run", settings=settings(world, stop_grace_s=10))
    root = await shared(world)
    question = await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
    await held.wait_begun()

    stopping = asyncio.create_task(process.terminate())
    await asyncio.sleep(0.5)
    held.go.set()

    assert (await stopping).code == 0
    assert "opens at eight" in (await answer(world, root, question)).text
    assert await state_of_answers(world) == ["done"]


async def test_an_answer_that_never_ends_is_handed_back_and_given_once_by_the_next_process(
    world: World, held: Held
) -> None:
    process = await world.start("run", settings=settings(world))
    root = await shared(world)
    world.openai.text = WORDS
    question = await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
    await held.wait_begun()

    ended = await process.terminate()
    left = await world.postgres.fetch("SELECT state, attempts FROM work WHERE task = 'answer'")
    await world.start("run", name="next", settings=settings(world))
    reply = await answer(world, root, question)

    assert ended.code == 0
    assert GRACE_S < ended.seconds < LIMIT_S
    assert left == [{"state": "queued", "attempts": 0}]
    assert "opens at eight" in reply.text
    assert len([one for one in world.slack.replies("general", root.ts) if one.ts > question.ts]) == 1


async def test_a_file_half_read_is_read_by_the_next_process(world: World) -> None:
    process = await world.start("run", settings=settings(world, stop_grace_s=0.2))
    root = await world.slack.share("Ada", "general", LONG)
    running = "SELECT count(*) FROM work WHERE task = 'ingest' AND state = 'running'"
    await until(lambda: world.postgres.value(running), within_s=30)
    await asyncio.sleep(0.5)

    ended = await process.terminate()
    unread = await world.postgres.value("SELECT count(*) FROM documents WHERE status = 'ready'")
    await world.start("run", name="next", settings=settings(world))
    await world.slack.wait_for_reply("general", root.ts, timeout=60)
    ready = "SELECT count(*) FROM documents WHERE status = 'ready'"
    await until(lambda: world.postgres.value(ready), within_s=60)

    twice = (
        "SELECT count(*) FROM (SELECT 1 FROM document_chunks GROUP BY document_id, chunk_index HAVING count(*) > 1) s"
    )
    assert ended.code == 0
    assert ended.seconds < LIMIT_S
    assert unread == 0
    assert await world.postgres.value("SELECT count(*) FROM document_chunks") > 0
    assert await world.postgres.value(twice) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_start_that_hangs_can_be_stopped(world: World, number: signal.Signals) -> None:
    world.database.black_hole()
    process = await world.start("run", settings=settings(world, stop_grace_s=20), ready=False)
    await until(lambda: world.database.connection_count, within_s=30)

    ended = await told(process, number)

    assert ended.code == 0
    assert ended.seconds < 10  # nothing is under way that deserves a grace


@pytest.mark.parametrize("command", [("run",), ("run", "--no-worker"), ("worker",)])
async def test_a_database_that_says_nothing_keeps_no_process_from_ending(
    world: World, command: tuple[str, ...]
) -> None:
    process = await world.start(*command, settings=settings(world))
    world.database.black_hole()
    await asyncio.sleep(1)

    ended = await process.terminate()

    assert ended.code == 0
    assert ended.seconds < LIMIT_S


async def test_a_slack_that_says_nothing_keeps_no_process_from_ending(world: World, held: Held) -> None:
    process = await world.start("run", settings=settings(world))
    root = await shared(world)
    await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
    await held.wait_begun()
    world.slack_proxy.black_hole()

    ended = await process.terminate()

    assert ended.code == 0
    assert ended.seconds < LIMIT_S


async def test_what_hangs_all_together_is_cut_off(world: World, held: Held) -> None:
    process = await world.start("run", settings=settings(world))
    root = await shared(world)
    await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
    await held.wait_begun()
    world.slack_proxy.black_hole()
    world.database.black_hole()

    ended = await process.terminate()

    assert ended.code == 0
    assert ended.seconds < LIMIT_S


async def test_a_second_signal_ends_it_at_once(world: World, held: Held) -> None:
    process = await world.start("run", settings=settings(world, stop_grace_s=15))
    root = await shared(world)
    await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
    await held.wait_begun()

    process._send(signal.SIGTERM)
    await until(lambda: "bot.stopping" in process.tail(50))
    ended = await told(process)

    assert ended.code == 128 + signal.SIGTERM
    assert ended.seconds < 1


async def test_a_bot_that_stops_hears_nothing_more_and_the_next_one_does(world: World, held: Held) -> None:
    process = await world.start("run", settings=settings(world, stop_grace_s=10))
    root = await shared(world)
    world.openai.text = WORDS
    await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
    await held.wait_begun()

    stopping = asyncio.create_task(process.terminate())
    await until(lambda: "bot.stopping" in process.tail(50))
    ready = await process.status("/readyz")
    alive = await process.status("/healthz")
    late = await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
    await asyncio.sleep(0.5)
    stored = await world.postgres.value("SELECT count(*) FROM work WHERE task = 'answer'")
    held.go.set()
    assert (await stopping).code == 0
    await world.start("run", name="next", settings=settings(world))

    assert (ready, alive) == (503, 200)
    assert stored == 1
    assert "opens at eight" in (await answer(world, root, late)).text
    assert await world.postgres.value("SELECT count(DISTINCT team_id) FROM work WHERE team_id = $1", TEAM) == 1


async def test_workers_and_intake_are_different_processes_and_any_of_them_may_go(world: World) -> None:
    world.openai.text = WORDS
    await world.start("run", "--no-worker", name="intake", settings=settings(world))
    first = await world.start("worker", name="first", settings=settings(world))
    root = await shared(world)
    await world.start("worker", name="second", settings=settings(world))

    assert (await first.terminate()).code == 0
    question = await world.slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)

    assert "opens at eight" in (await answer(world, root, question)).text
