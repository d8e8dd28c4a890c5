"""Migrating under everything that is in the way: others who migrate, a failure half-way, a server that isn't there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from bot.db import migrate
from bot.db.engine import Sessions, build_engine
from bot.errors import DatabaseUnavailable, InvalidSettings
from tests.conftest import TEAM, Database, execute
from tests.db.conftest import REPOSITORY, ask, rows

MIGRATE = "import asyncio, sys; from bot.db import migrate; asyncio.run(migrate.upgrade(*sys.argv[1:]))"


async def test_status_tells_how_far_a_database_is(empty_database: Database) -> None:
    before = await migrate.status(empty_database.owner_url)
    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)
    after = await migrate.status(empty_database.owner_url)

    assert before.current is None
    assert before.pending[0] == "0001"
    assert before.pending[-1] == before.head == after.current == after.head
    assert after.pending == []


async def test_asking_for_the_status_changes_nothing(empty_database: Database) -> None:
    await migrate.status(empty_database.owner_url)

    assert await ask(empty_database.owner_url, "SELECT to_regclass('alembic_version')") is None


def test_processes_that_migrate_together_both_succeed(empty_database: Database) -> None:
    command = [sys.executable, "-c", MIGRATE, empty_database.owner_url, empty_database.bot_url]

    together = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(3)]

    assert [process.communicate(timeout=60)[1] for process in together] == ["", "", ""]
    assert [process.returncode for process in together] == [0, 0, 0]


async def test_a_migration_waits_while_another_holds_the_lock(empty_database: Database) -> None:
    async with migrate.locked(empty_database.owner_url):
        waiting = asyncio.create_task(migrate.upgrade(empty_database.owner_url, empty_database.bot_url))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        assert await ask(empty_database.owner_url, "SELECT to_regclass('workspaces')") is None

    await waiting

    assert await ask(empty_database.owner_url, "SELECT to_regclass('workspaces')") is not None


async def test_a_migration_that_fails_half_way_leaves_nothing(empty_database: Database) -> None:
    await execute(empty_database.owner_url, "CREATE TABLE tombstones (in_the_way int)")

    with pytest.raises(DBAPIError, match="already exists"):
        await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)

    tables = await rows(empty_database.owner_url, "SELECT relname FROM pg_stat_user_tables")
    assert tables == [("tombstones",)]
    assert (await migrate.status(empty_database.owner_url)).current is None


async def test_tables_that_are_in_use_in_another_order_are_waited_for(empty_database: Database) -> None:
    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url, "0003")
    engine = build_engine(empty_database.bot_url, pool_size=1)

    async with Sessions(engine).purging(TEAM) as session:  # as before 0008, the other way round than the migration
        await session.execute(text("LOCK TABLE memories IN ROW EXCLUSIVE MODE"))
        migrating = asyncio.create_task(migrate.upgrade(empty_database.owner_url, empty_database.bot_url, "0004"))
        async with asyncio.timeout(20):
            while not await ask(empty_database.owner_url, WAITS_FOR_MEMORIES):
                await asyncio.sleep(0.02)
        await session.execute(text("INSERT INTO workspaces (team_id) VALUES (:t)"), {"t": TEAM})
        await session.execute(text("SELECT count(*) FROM document_shares"))  # the first that the migration took
    await migrating

    assert (await migrate.status(empty_database.owner_url)).current == "0004"
    await engine.dispose()


WAITS_FOR_MEMORIES = """
    SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'memories'::regclass AND NOT granted)
"""


async def test_a_migrated_database_needs_no_owner_to_start(database: Database) -> None:
    await migrate.upgrade(database.bot_url, database.bot_url)

    assert (await migrate.status(database.bot_url)).pending == []


async def test_a_database_of_a_newer_release_is_left_alone_and_named(database: Database) -> None:
    await execute(database.owner_url, "UPDATE alembic_version SET version_num = '9999'")

    with capture_logs() as logs:
        await migrate.upgrade(database.owner_url, database.bot_url)

    stand = await migrate.status(database.owner_url)
    assert (stand.current, stand.pending, stand.is_newer) == ("9999", [], True)
    assert logs == [{"event": "schema.newer", "current": "9999", "known": stand.head, "log_level": "warning"}]


async def test_a_database_of_a_newer_release_is_not_brought_down(database: Database) -> None:
    await execute(database.owner_url, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(InvalidSettings) as refusal:
        await migrate.downgrade(database.owner_url)

    assert "newer release" in refusal.value.user_message
    assert await ask(database.owner_url, "SELECT to_regclass('workspaces')") is not None


async def test_a_server_that_is_not_there_is_unavailable(empty_database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate.status("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")


async def test_a_database_that_is_not_there_is_a_wrong_setting(empty_database: Database) -> None:
    wrong = make_url(empty_database.owner_url).set(database="nothing").render_as_string(hide_password=False)

    with pytest.raises(InvalidSettings) as refusal:
        await migrate.upgrade(wrong, empty_database.bot_url)

    assert "DATABASE_URL" in refusal.value.user_message


def test_the_wheel_carries_the_migrations(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(build, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    where = "from bot.db import migrate; print(migrate.scripts().dir, migrate.scripts().get_current_head())"
    said = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path / "site", check=True, capture_output=True, text=True
    )

    assert said.stdout.split() == [str(tmp_path / "site" / "bot" / "_alembic"), migrate.scripts().get_current_head()]
