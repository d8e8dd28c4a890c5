"""What happens on a server that isn't ready for us: one sentence says what an administrator must do."""

from __future__ import annotations

import base64
import itertools
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db import migrate
from bot.db.embedded import EmbeddedServer
from bot.db.engine import Sessions, build_engine
from bot.db.models import ChunkEmbedding
from bot.db.requirements import require_version, scram_verifier
from bot.errors import InvalidSettings
from bot.repositories.passages import PassageRepository
from bot.values import ModelId, QueryWord
from tests.conftest import TEAM, Database, Server, execute
from tests.db.conftest import add_chunk, ask, rows
from tests.repositories.builders import audience, store_texts, unit

_numbers = itertools.count()


@pytest.fixture
async def plain_owner(server: Server, empty_database: Database) -> AsyncIterator[Database]:
    """A database that belongs to a role without any privilege beyond it, and a bot that isn't there yet."""
    owner, bot = (f"recollect_{kind}_{os.getpid()}_{next(_numbers)}" for kind in ("owner", "bot"))
    await execute(
        server.owner_url,
        f"CREATE ROLE {owner} LOGIN PASSWORD 'secret'",
        f"ALTER DATABASE {empty_database.name} OWNER TO {owner}",
    )
    owned = make_url(empty_database.owner_url).set(username=owner, password="secret")
    bots = owned.set(username=bot, password="it's a secret")
    yield Database(owned.render_as_string(hide_password=False), bots.render_as_string(hide_password=False))
    await execute(empty_database.owner_url, f"REASSIGN OWNED BY {owner} TO CURRENT_USER", f"DROP OWNED BY {owner}")
    for role in (bot, owner):
        if await ask(empty_database.owner_url, f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            await execute(empty_database.owner_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_an_owner_who_may_not_make_the_extension_is_told_who_may(plain_owner: Database) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url)

    assert refusal.value.user_message == (
        f'Ask an administrator to run once in database "{plain_owner.name}": CREATE EXTENSION vector;'
    )


async def test_an_owner_who_may_not_make_roles_is_told_the_statement(
    plain_owner: Database, empty_database: Database
) -> None:
    await execute(empty_database.owner_url, "CREATE EXTENSION vector")
    bot = make_url(plain_owner.bot_url).username

    with pytest.raises(InvalidSettings) as refusal:
        await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url)

    asked = f"CREATE ROLE \"{bot}\" LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'the one in DATABASE_URL';"
    assert refusal.value.user_message.endswith(asked)
    await execute(empty_database.owner_url, asked.replace("the one in DATABASE_URL", "it''s a secret"))
    await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url)
    assert await ask(plain_owner.bot_url, "SELECT count(*) FROM workspaces") == 0


async def test_an_owner_who_may_make_roles_makes_the_bots(plain_owner: Database, empty_database: Database) -> None:
    owner = make_url(plain_owner.owner_url).username
    await execute(empty_database.owner_url, "CREATE EXTENSION vector", f"ALTER ROLE {owner} CREATEROLE")

    await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url)

    assert await ask(plain_owner.bot_url, "SELECT current_user") == make_url(plain_owner.bot_url).username
    assert (
        await ask(plain_owner.bot_url, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        is False
    )


async def test_one_role_for_both_is_still_held_by_the_wall(plain_owner: Database, empty_database: Database) -> None:
    await execute(empty_database.owner_url, "CREATE EXTENSION vector")

    await migrate.upgrade(plain_owner.owner_url, plain_owner.owner_url)

    engine = build_engine(plain_owner.owner_url, pool_size=1)
    async with Sessions(engine).tenant(TEAM) as session:
        await add_chunk(session, embedding=[1, 0])
    await engine.dispose()
    assert await ask(plain_owner.owner_url, "SELECT count(*) FROM chunk_embeddings") == 0
    assert await ask(empty_database.owner_url, "SELECT count(*) FROM chunk_embeddings") == 1


async def test_without_any_privilege_migrations_run_and_the_walls_stand(
    plain_owner: Database, empty_database: Database
) -> None:
    owner, bot = (make_url(url).username for url in (plain_owner.owner_url, plain_owner.bot_url))
    await execute(
        empty_database.owner_url,
        "CREATE EXTENSION vector",
        f"CREATE ROLE {bot} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'it''s a secret'",
    )

    await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url)

    privileged = "SELECT rolname FROM pg_roles WHERE rolname = ANY('{%s,%s}') AND (rolsuper OR rolbypassrls)"
    assert await rows(empty_database.owner_url, privileged % (owner, bot)) == []
    extension = "SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'vector'"
    assert await ask(empty_database.owner_url, extension) != owner
    engine = build_engine(plain_owner.bot_url, pool_size=1)
    sessions = Sessions(engine)
    async with sessions.tenant(TEAM) as session:
        stored = {channel: await store_texts(session, [f"said in {channel}"], channel_id=channel) for channel in "AB"}
    async with sessions.reading(audience("A")) as session:
        assert (await session.scalars(text("SELECT id FROM documents"))).all() == [stored["A"]]
        found = await PassageRepository(session).search(
            TEAM,
            query_words=[QueryWord(1, (1,))],
            vector=unit(1),
            model_id=ModelId(1),
            audience=audience("A", "B"),
            floor=0,
            limit=9,
        )
    assert [passage.text for passage in found.nearest] == ["said in A"]
    await engine.dispose()
    assert await ask(plain_owner.owner_url, "SELECT count(*) FROM documents") == 0, "FORCE holds for the owner too"
    await migrate.downgrade(plain_owner.owner_url)


async def test_an_owner_who_may_not_make_tables_is_told_so(plain_owner: Database, empty_database: Database) -> None:
    owner = make_url(plain_owner.owner_url).username
    await execute(
        empty_database.owner_url,
        "CREATE EXTENSION vector",
        f"ALTER DATABASE {empty_database.name} OWNER TO CURRENT_USER",
    )

    with pytest.raises(InvalidSettings) as refusal:
        await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url)

    assert refusal.value.user_message.endswith(f'GRANT CREATE ON SCHEMA public TO "{owner}";')


async def test_a_bot_the_tables_were_not_made_for_is_told_so(database: Database, plain_owner: Database) -> None:
    other = make_url(database.bot_url).set(username=make_url(plain_owner.owner_url).username)

    with pytest.raises(InvalidSettings, match="has no rights"):
        await migrate.upgrade(database.owner_url, other.render_as_string(hide_password=False))


async def test_the_extension_may_live_in_a_schema_of_its_own(empty_database: Database) -> None:
    await execute(empty_database.owner_url, "CREATE SCHEMA extensions", "CREATE EXTENSION vector SCHEMA extensions")

    await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)

    engine = build_engine(empty_database.bot_url, pool_size=1)
    async with Sessions(engine).tenant(TEAM) as session:
        await add_chunk(session, embedding=[1, 0])
        distance = ChunkEmbedding.embedding.cosine_distance([1, 0])
        assert (await session.execute(select(distance))).scalar_one() == 0
    await engine.dispose()
    await migrate.downgrade(empty_database.owner_url)


async def test_an_extension_that_is_too_old_is_refused(empty_database: Database) -> None:
    await execute(
        empty_database.owner_url,
        "CREATE EXTENSION vector",
        "UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'",
    )

    with pytest.raises(InvalidSettings) as refusal:
        await migrate.upgrade(empty_database.owner_url, empty_database.bot_url)

    assert "pgvector 0.7.4; Recollect needs 0.8 or newer" in refusal.value.user_message


async def test_a_server_without_pgvector_is_refused(
    start: Callable[..., EmbeddedServer], home: Path, tree: Path
) -> None:
    copy = home / "bare" / tree.parent.name / tree.name
    shutil.copytree(tree, copy, symlinks=True)
    libraries = tree.parent.parent / f"{tree.parent.name}.libs"
    shutil.copytree(libraries, home / "bare" / libraries.name)
    server = start(home / "home", tree=copy)
    next(copy.rglob("vector.control")).unlink()
    await execute(server.owner_url, "CREATE DATABASE bare")

    with pytest.raises(InvalidSettings) as refusal:
        await migrate.upgrade(server.owner_url.replace("/recollect?", "/bare?"), server.bot_url)

    assert "lacks pgvector 0.8 or newer" in refusal.value.user_message


def test_postgresql_before_16_is_refused() -> None:
    require_version(160_000)
    require_version(180_004)

    with pytest.raises(InvalidSettings) as refusal:
        require_version(150_014)

    assert "PostgreSQL 15" in refusal.value.user_message


async def test_a_password_is_prepared_as_postgresql_would(plain_owner: Database, empty_database: Database) -> None:
    owner = make_url(plain_owner.owner_url).username
    [(stored,)] = await rows(empty_database.owner_url, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{owner}'")
    found = re.fullmatch(r"SCRAM-SHA-256\$4096:([^$]+)\$.*", stored)
    assert found is not None

    assert scram_verifier("secret", salt=base64.b64decode(found[1])) == stored


async def test_without_any_privilege_a_migration_sees_the_rows_it_has_to_change(
    plain_owner: Database, empty_database: Database
) -> None:
    await execute(
        empty_database.owner_url,
        "CREATE EXTENSION vector",
        f"CREATE ROLE {make_url(plain_owner.bot_url).username} LOGIN PASSWORD 'it''s a secret'",
    )
    await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url, "0008")
    engine = build_engine(plain_owner.bot_url, pool_size=1)
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text("SELECT set_config('app.team', :t, true)"), {"t": TEAM})
        for statement in (
            "INSERT INTO documents (team_id, id, filename) VALUES (:t, gen_random_uuid(), 'first.pdf')",
            (
                "INSERT INTO document_shares (team_id, id, document_id, channel_id, created_at) "
                "SELECT :t, gen_random_uuid(), id, 'C1', created_at FROM documents"
            ),
        ):
            await session.execute(text(statement), {"t": TEAM})
    await engine.dispose()

    await migrate.upgrade(plain_owner.owner_url, plain_owner.bot_url)

    assert await ask(empty_database.owner_url, "SELECT filename FROM document_shares") == "first.pdf"
