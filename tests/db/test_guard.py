"""A database that says nothing any more: every wait for it ends, and it is used again once it speaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from bot.db.engine import Sessions, build_engine
from bot.db.guard import close_engine
from bot.errors import DatabaseUnavailable
from tests.conftest import TEAM, Database
from tests.db.conftest import ask
from tests.faults.proxy import FaultProxy

TIMEOUT_S = 0.5
ONE = text("SELECT 1")
SILENCE = (
    pytest.param({"requests": True, "replies": True}, id="nothing-passes"),
    pytest.param({"requests": False, "replies": True}, id="no-answer-passes"),
)


@dataclass(frozen=True)
class Far:
    """A database behind a network that may fail."""

    proxy: FaultProxy
    engine: AsyncEngine
    sessions: Sessions

    async def ask(self) -> int:
        async with self.sessions.tenant(TEAM) as session:
            return int((await session.execute(ONE)).scalar_one())


@pytest.fixture
async def far(database: Database) -> AsyncIterator[Far]:
    """The test's database, over TCP through a proxy, with five connections open."""
    address = make_url(database.bot_url)
    folder = address.query.get("host")
    target = Path(str(folder)) / ".s.PGSQL.5432" if folder else (str(address.host), address.port or 5432)
    async with FaultProxy(target) as proxy:
        url = address.set(host="127.0.0.1", port=proxy.port, query={"ssl": "disable"})
        engine = build_engine(
            url.render_as_string(hide_password=False), pool_size=5, max_overflow=0, timeout_s=TIMEOUT_S
        )
        far = Far(proxy, engine, Sessions(engine))
        await asyncio.gather(*(far.ask() for _ in range(5)))
        yield far
        await close_engine(engine)


async def seconds(attempt: Awaitable[object]) -> float:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        await attempt
    return time.monotonic() - started


@pytest.mark.parametrize("silence", SILENCE)
async def test_silence_before_a_transaction_makes_the_database_unavailable(far: Far, silence: dict[str, bool]) -> None:
    far.proxy.black_hole(**silence)

    assert await seconds(far.ask()) < 5 * TIMEOUT_S

    await far.proxy.heal()
    assert await asyncio.gather(*(far.ask() for _ in range(5))) == [1] * 5


@pytest.mark.parametrize("silence", SILENCE)
async def test_silence_within_a_transaction_makes_the_database_unavailable(far: Far, silence: dict[str, bool]) -> None:
    async def fall_silent() -> None:
        async with far.sessions.tenant(TEAM) as session:
            far.proxy.black_hole(**silence)
            await session.execute(ONE)

    assert await seconds(fall_silent()) < 5 * TIMEOUT_S

    await far.proxy.heal()
    assert await asyncio.gather(*(far.ask() for _ in range(5))) == [1] * 5


async def test_silence_during_the_commit_makes_the_database_unavailable(far: Far) -> None:
    async def fall_silent() -> None:
        async with far.sessions.tenant(TEAM) as session:
            await session.execute(text("INSERT INTO workspaces (team_id) VALUES (:t)"), {"t": TEAM})
            far.proxy.black_hole()

    assert await seconds(fall_silent()) < 5 * TIMEOUT_S


async def test_a_pool_whose_connections_all_hang_refuses_in_time(far: Far) -> None:
    far.proxy.black_hole()

    took = await asyncio.gather(*(seconds(far.ask()) for _ in range(5)))

    assert max(took) < 5 * TIMEOUT_S


@pytest.mark.parametrize("within", [False, True])
async def test_giving_up_on_a_silent_database_takes_effect_at_once(far: Far, *, within: bool) -> None:
    waiting = asyncio.Event()

    async def wait() -> None:
        if not within:
            far.proxy.black_hole()
        waiting.set()
        async with far.sessions.tenant(TEAM) as session:
            far.proxy.black_hole()
            await session.execute(ONE)

    task = asyncio.create_task(wait())
    await waiting.wait()
    await asyncio.sleep(TIMEOUT_S / 5)
    started = time.monotonic()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert time.monotonic() - started < TIMEOUT_S / 5


async def test_a_query_that_was_given_up_costs_one_connection_and_no_more(far: Far) -> None:
    async def sleep() -> None:
        async with far.sessions.tenant(TEAM) as session:
            await session.execute(text("SELECT pg_sleep(10)"))

    task = asyncio.create_task(sleep())
    await asyncio.sleep(TIMEOUT_S / 5)
    task.cancel()
    await asyncio.wait([task])

    assert await asyncio.gather(*(far.ask() for _ in range(5))) == [1] * 5


async def test_a_statement_that_takes_too_long_is_given_up_by_both_sides(far: Far, database: Database) -> None:
    async def sleep() -> None:
        async with far.sessions.tenant(TEAM) as session:
            await session.execute(text("SELECT pg_sleep(60)"))

    assert await seconds(sleep()) < 5 * TIMEOUT_S

    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%' AND state = 'active'"
    assert await ask(database.owner_url, query) == 0


async def test_connections_that_were_lost_are_replaced_before_anybody_gets_one(far: Far) -> None:
    far.proxy.reset()

    assert await asyncio.gather(*(far.ask() for _ in range(5))) == [1] * 5


async def test_connections_that_the_server_forgot_are_replaced_before_anybody_gets_one(far: Far) -> None:
    far.proxy.half_open()

    assert await asyncio.gather(*(far.ask() for _ in range(5))) == [1] * 5


async def test_new_connections_that_die_at_once_make_the_database_unavailable(far: Far) -> None:
    await far.proxy.down()

    assert await seconds(far.ask()) < 5 * TIMEOUT_S


async def test_taking_leave_of_a_silent_database_ends(far: Far) -> None:
    far.proxy.black_hole()
    started = time.monotonic()

    with capture_logs() as logs:
        await close_engine(far.engine)

    assert time.monotonic() - started < 5
    assert logs == [{"event": "database.silent", "connections": 5, "log_level": "warning"}]


async def test_a_transaction_whose_client_stopped_lets_go_of_its_locks(far: Far) -> None:
    """What a process that was stopped (SIGSTOP) in the middle holds would otherwise be held until it goes on."""

    async def stop_in_the_middle() -> None:
        async with far.sessions.tenant(TEAM) as session:
            shown = (await session.execute(text("SHOW idle_in_transaction_session_timeout"))).scalar_one()
            assert shown == "10s"
            await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '100ms'"))
            await asyncio.sleep(TIMEOUT_S)
            await session.execute(ONE)

    await seconds(stop_in_the_middle())

    assert await far.ask() == 1
