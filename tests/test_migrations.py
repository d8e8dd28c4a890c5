"""The schema, as the migrations leave it: read from PostgreSQL's own catalogue."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db import migrate
from bot.db.engine import Sessions, build_engine
from bot.db.models import EXEMPT_TABLES, Base
from tests.conftest import OTHER_TEAM, TEAM, Database
from tests.db.conftest import ask, rows
from tests.db.furnished import furnish
from tests.repositories.builders import audience

OURS = """
    SELECT c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'procrastinate')
"""


async def test_what_goes_up_comes_down_to_nothing(empty_database: Database) -> None:
    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)
    await migrate.downgrade(empty_database.owner_url)

    left = """
        SELECT 'relation', relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND {free}
        UNION ALL SELECT 'type', typname FROM pg_type c
            WHERE typnamespace = 'public'::regnamespace AND typcategory <> 'A' AND {free}
        UNION ALL SELECT 'function', proname FROM pg_proc c WHERE pronamespace = 'public'::regnamespace AND {free}
        UNION ALL SELECT 'policy', polname FROM pg_policy
    """
    free = "NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"  # not of an extension
    assert await rows(empty_database.owner_url, left.format(free=free)) == []
    assert (await migrate.status(empty_database.owner_url)).current is None


async def test_what_came_down_goes_up_again(empty_database: Database) -> None:
    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)
    await migrate.downgrade(empty_database.owner_url)

    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)

    found = await migrate.status(empty_database.owner_url)
    assert found.current == found.head
    assert found.pending == []


async def test_rows_of_the_release_before_come_behind_the_audience(empty_database: Database) -> None:
    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url, "0003")
    there = {name for name, _ in await rows(empty_database.owner_url, OURS)}
    engine = build_engine(empty_database.bot_url, pool_size=1)
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text("SELECT set_config('app.team', :t, true)"), {"t": TEAM})
        stored = {channel: await furnish(session, channel_id=channel, only=there) for channel in ("C1", "C2")}

    async def seen(scope: AbstractAsyncContextManager[AsyncSession]) -> set[Any]:
        async with scope as session:
            return set(await session.scalars(text("SELECT document_id FROM document_chunks")))

    @asynccontextmanager
    async def scope_of_0003(scope: str) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session, session.begin():
            settings = "SELECT set_config('app.team', :t, true), set_config('app.scope', :s, true)"
            await session.execute(text(settings), {"t": TEAM, "s": scope})
            yield session

    sessions, ids = Sessions(engine), {channel: kept["documents"]["id"] for channel, kept in stored.items()}
    assert await seen(scope_of_0003("audience")) == set(ids.values()), "revision 0003 knows of no audience"
    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)
    assert await seen(sessions.reading(audience("C1"))) == {ids["C1"]}
    assert await seen(sessions.tenant(TEAM)) == set(ids.values())

    await migrate.downgrade(empty_database.owner_url, "0003")

    assert await seen(scope_of_0003("workspace")) == set(ids.values())
    policies = "SELECT DISTINCT polname FROM pg_policy"
    assert await rows(empty_database.owner_url, policies) == [("team",)]
    await engine.dispose()


async def test_shares_of_the_release_before_get_the_name_that_is_known(empty_database: Database) -> None:
    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url, "0008")
    engine = build_engine(empty_database.bot_url, pool_size=1)
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text("SELECT set_config('app.team', :t, true)"), {"t": TEAM})
        await session.execute(
            text("INSERT INTO documents (team_id, id, filename) VALUES (:t, gen_random_uuid(), 'first.pdf')"),
            {"t": TEAM},
        )
        share = text("""
            INSERT INTO document_shares (team_id, id, document_id, channel_id, file_id, created_at)
            SELECT :t, gen_random_uuid(), id, :channel, :file, created_at + :later FROM documents
        """)
        for channel, file, later in (("C1", "F1", 0), ("C2", "F1", 1), ("C3", "F2", 1), ("C4", None, 1)):
            values = {"t": TEAM, "channel": channel, "file": file, "later": timedelta(hours=later)}
            await session.execute(share, values)
    await engine.dispose()

    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)

    named = await rows(empty_database.owner_url, "SELECT channel_id, filename FROM document_shares ORDER BY channel_id")
    assert named == [("C1", "first.pdf"), ("C2", "first.pdf"), ("C3", None), ("C4", None)]


def test_models_and_migrations_say_the_same(database: Database) -> None:
    urls = ["-x", f"owner_url={database.owner_url}", "-x", f"bot_url={database.bot_url}"]

    done = subprocess.run(
        [sys.executable, "-m", "alembic", *urls, "check"],
        check=False,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No new upgrade operations detected" in done.stdout


async def test_every_table_is_a_model_and_every_model_a_table(database: Database) -> None:
    tables = {name for name, _ in await rows(database.owner_url, OURS)}

    assert tables - {"alembic_version"} == set(Base.metadata.tables)


async def test_team_id_begins_every_key(database: Database) -> None:
    keys = await rows(
        database.owner_url,
        f"""
        SELECT o.relname, i.conname, a.attname FROM ({OURS}) o JOIN pg_constraint i ON i.conrelid = o.oid
        JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = i.conkey[1]
        WHERE i.contype IN ('p', 'u', 'f', 'x') AND i.confrelid <> 'embedding_models'::regclass
        UNION ALL
        SELECT o.relname, i.indexrelid::regclass::text, a.attname FROM ({OURS}) o JOIN pg_index i ON i.indrelid = o.oid
        LEFT JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = i.indkey[0]
        """,
    )

    assert {table for table, _, _ in keys} == set(Base.metadata.tables) | {"alembic_version"}
    assert [key for key in keys if key[0] not in EXEMPT_TABLES and key[2] != "team_id"] == []


async def test_a_foreign_key_carries_team_id_to_team_id(database: Database) -> None:
    targets = await rows(
        database.owner_url,
        """
        SELECT c.conname, a.attname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = c.confkey[1]
        WHERE c.contype = 'f' AND c.confrelid <> 'embedding_models'::regclass
          AND c.connamespace <> 'procrastinate'::regnamespace
        """,
    )

    assert len(targets) > 10
    assert {column for _, column in targets} == {"team_id"}


async def test_every_table_with_a_team_stands_behind_the_wall(database: Database) -> None:
    found = await rows(
        database.owner_url,
        f"""
        SELECT o.relname, c.relrowsecurity AND c.relforcerowsecurity,
               pg_get_expr(p.polqual, o.oid), pg_get_expr(p.polwithcheck, o.oid), p.polcmd, p.polpermissive
        FROM ({OURS}) o JOIN pg_class c ON c.oid = o.oid
        LEFT JOIN pg_policy p ON p.polrelid = o.oid AND p.polname = 'team'
        WHERE EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = o.oid AND a.attname = 'team_id')
        """,
    )

    assert {name for name, *_ in found} == set(Base.metadata.tables) - EXEMPT_TABLES
    for name, forced, using, check, command, permissive in found:
        assert forced, name
        assert "current_setting('app.team'::text, true)" in using, name
        assert (check, command, permissive) == (using, b"*", True), name


TEXT_COLUMNS = {"document_id", "filename", "content", "title", "summary", "comment", "body"}
"""What says that a row carries words of a document or of people, or leads to one that does."""


async def test_every_table_says_what_an_audience_sees_of_it(database: Database) -> None:
    found = await rows(
        database.owner_url,
        """
        SELECT p.polrelid::regclass::text, p.polname, p.polcmd, p.polpermissive,
               coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
        FROM pg_policy p WHERE p.polname NOT IN ('team', 'register')
        """,
    )

    commands: dict[str, set[bytes]] = {}
    for name, policy, command, permissive, expression in found:
        commands.setdefault(name, set()).add(command)
        assert not permissive, (name, policy)
        assert "current_setting('app.scope'::text, true)" in expression, (name, policy)
    tables = {name: table for name, table in Base.metadata.tables.items() if name not in EXEMPT_TABLES}
    assert set(commands) == set(tables), "say it by show_readers, open_to_readers or close_to_readers"
    for name, table in tables.items():
        writes = {b"a", b"w", b"d"}
        assert commands[name] in ({b"*"}, writes, writes | {b"r"}), name
        if name == "documents" or TEXT_COLUMNS & set(table.columns.keys()):
            assert commands[name] & {b"*", b"r"}, f"{name} carries text, and any audience sees all of it"


async def test_one_table_alone_is_listed_across_workspaces_and_only_read(database: Database) -> None:
    found = await rows(
        database.owner_url,
        """
        SELECT p.polrelid::regclass::text, p.polcmd, pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p
        WHERE p.polname = 'register'
        """,
    )

    ((table, command, expression),) = found
    assert (table, command) == ("installations", b"r")
    assert "= 'installations'" in expression


async def test_the_bots_role_owns_nothing_and_may_do_what_it_needs(database: Database) -> None:
    owned = """
        SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
        WHERE r.rolname = current_user AND d.deptype = 'o'
    """
    assert await ask(database.bot_url, owned) == 0

    rights = (
        "SELECT string_agg(r, ' ') FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) r"
    )
    for table in (*Base.metadata.tables, "alembic_version"):
        found = await ask(database.bot_url, f"{rights} WHERE has_table_privilege('{table}', r)")
        expected = {
            "audit_log": "SELECT INSERT",
            "embedding_models": "SELECT INSERT",
            "alembic_version": "SELECT",
        }.get(table, "SELECT INSERT UPDATE DELETE")
        assert found == expected, table


async def test_vectors_stay_in_their_row(database: Database) -> None:
    storage = (
        "SELECT attname, attstorage FROM pg_attribute WHERE attrelid = 'chunk_embeddings'::regclass AND attnum > 0"
    )

    kept = dict(await rows(database.owner_url, storage))

    assert (kept["embedding"], kept["lexical"]) == (b"p", b"p")


async def test_a_transaction_without_a_scope_reads_nothing(sessions: Sessions, engine: AsyncEngine) -> None:
    await _add_workspace(sessions, TEAM)

    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT * FROM workspaces"))).all() == []


async def test_a_scope_ends_with_its_transaction(engine: AsyncEngine, sessions: Sessions) -> None:
    await _add_workspace(sessions, TEAM)

    async with engine.connect() as connection:
        await connection.execute(text("SELECT set_config('app.team', :t, true)"), {"t": TEAM})
        await connection.commit()
        assert (await connection.execute(text("SELECT * FROM workspaces"))).all() == []


async def test_rows_of_another_workspace_are_not_there(sessions: Sessions) -> None:
    await _add_workspace(sessions, TEAM)

    async with sessions.tenant(OTHER_TEAM) as session:
        assert (await session.execute(text("SELECT * FROM workspaces"))).all() == []
        assert (await session.execute(text("DELETE FROM workspaces RETURNING 1"))).all() == []

    async with sessions.tenant(TEAM) as session:
        assert (await session.execute(text("SELECT team_id FROM workspaces"))).scalars().all() == [TEAM]


async def test_nothing_can_be_written_for_another_workspace(sessions: Sessions) -> None:
    await _add_workspace(sessions, TEAM)

    with pytest.raises(DBAPIError, match="row-level security"):
        async with sessions.tenant(OTHER_TEAM) as session:
            await session.execute(text("INSERT INTO workspaces (team_id) VALUES (:t)"), {"t": TEAM})
    with pytest.raises(DBAPIError, match="row-level security"):
        async with sessions.tenant(TEAM) as session:
            await session.execute(text("UPDATE workspaces SET team_id = :t"), {"t": OTHER_TEAM})


async def test_the_audit_log_only_grows(sessions: Sessions) -> None:
    entry = "INSERT INTO audit_log (team_id, id, actor, action, target) VALUES (:t, gen_random_uuid(), 'a', 'b', 'c')"
    async with sessions.tenant(TEAM) as session:
        await session.execute(text(entry), {"t": TEAM})

    for statement in ("DELETE FROM audit_log", "UPDATE audit_log SET actor = 'x'", "TRUNCATE audit_log"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with sessions.tenant(TEAM) as session:
                await session.execute(text(statement))


async def test_a_person_who_goes_leaves_their_documents_without_an_uploader(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("INSERT INTO users (team_id, id) VALUES (:t, gen_random_uuid())"), {"t": TEAM})
        await session.execute(
            text(
                "INSERT INTO documents (team_id, id, uploader_id, filename) "
                "SELECT team_id, gen_random_uuid(), id, 'plan.pdf' FROM users"
            )
        )
        await session.execute(text("DELETE FROM users"))

        left = (await session.execute(text("SELECT team_id, uploader_id FROM documents"))).one()

    assert tuple(left) == (TEAM, None)


async def test_a_share_without_a_file_exists_once_per_channel(sessions: Sessions) -> None:
    share = (
        "INSERT INTO document_shares (team_id, id, document_id, channel_id) "
        "SELECT team_id, gen_random_uuid(), id, 'C1' FROM documents"
    )
    async with sessions.tenant(TEAM) as session:
        await session.execute(
            text("INSERT INTO documents (team_id, id, filename) VALUES (:t, gen_random_uuid(), 'a')"), {"t": TEAM}
        )
        await session.execute(text(share))

    with pytest.raises(IntegrityError):
        async with sessions.tenant(TEAM) as session:
            await session.execute(text(share))


async def _add_workspace(sessions: Sessions, team_id: str) -> None:
    async with sessions.tenant(team_id) as session:
        await session.execute(text("INSERT INTO workspaces (team_id) VALUES (:t)"), {"t": team_id})
