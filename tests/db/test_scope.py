"""The audience in the database: what a transaction sees that reads for people, when nothing else filters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Table, delete, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions, build_engine
from bot.db.models import EXEMPT_TABLES, Base, DocumentShare
from bot.values import new_id
from tests.conftest import OTHER_TEAM, TEAM, Database
from tests.db.furnished import Rows, furnish
from tests.repositories.builders import audience

TABLES = {name: table for name, table in Base.metadata.tables.items() if name not in EXEMPT_TABLES}
OF_DOCUMENTS = {"documents", "document_shares", "document_chunks", "chunk_embeddings", "conversation_documents"}
OF_CHANNELS = {"conversations", "messages", "memories"}
OPEN = {"workspaces", "users", "channels", "channel_members", "term_statistics"}
CLOSED = set(TABLES) - OF_DOCUMENTS - OF_CHANNELS - OPEN
"""Nobody reads these for people; a table added later belongs here, unless it is put elsewhere on purpose."""

SET = text("SELECT set_config('app.team', :team, true), set_config('app.scope', :scope, true)")


@pytest.fixture
async def stored(sessions: Sessions) -> dict[str, Rows]:
    """Rows of every table: once for channel C1, once for C2, and once for C1 of another workspace."""
    async with sessions.tenant(TEAM) as session:
        rows = {channel: await furnish(session, channel_id=channel) for channel in ("C1", "C2")}
    async with sessions.tenant(OTHER_TEAM) as session:
        await furnish(session, team_id=OTHER_TEAM)
    return rows


@pytest.fixture
async def one_connection(database: Database) -> AsyncIterator[AsyncEngine]:
    """An engine whose every transaction takes the same connection."""
    engine = build_engine(database.bot_url, pool_size=1, max_overflow=0)
    yield engine
    await engine.dispose()


async def keys_in(session: AsyncSession, table: Table) -> set[tuple[Any, ...]]:
    """Return the keys of all rows there are to see, with no condition whatever."""
    return {tuple(row) for row in await session.execute(select(*table.primary_key.columns))}


def key_of(rows: Mapping[str, Any], table: Table) -> tuple[Any, ...]:
    return tuple(rows[table.name][key.name] for key in table.primary_key.columns)


# What is seen


@pytest.mark.parametrize("name", sorted(OF_DOCUMENTS | OF_CHANNELS))
async def test_an_audience_sees_its_own_rows_alone_though_nothing_asks_for_them(
    sessions: Sessions, stored: dict[str, Rows], name: str
) -> None:
    ours, theirs = (key_of(stored[channel], TABLES[name]) for channel in ("C1", "C2"))

    seen = {}
    for channels in [(), ("C1",), ("C2",), ("C1", "C2"), ("C3",)]:
        async with sessions.reading(audience(*channels)) as session:
            seen[channels] = await keys_in(session, TABLES[name])

    assert seen == {(): set(), ("C1",): {ours}, ("C2",): {theirs}, ("C1", "C2"): {ours, theirs}, ("C3",): set()}


async def test_an_audience_sees_nothing_of_what_is_the_bots_own(sessions: Sessions, stored: dict[str, Rows]) -> None:
    async with sessions.reading(audience("C1", "C2")) as session:
        seen = {name: await keys_in(session, TABLES[name]) for name in CLOSED}
    async with sessions.tenant(TEAM) as session:
        there = {name: await keys_in(session, TABLES[name]) for name in CLOSED}

    assert {name for name, keys in seen.items() if keys} == set()
    assert {name for name, keys in there.items() if not keys} == set()


async def test_an_audience_sees_whom_and_what_its_workspace_knows(sessions: Sessions, stored: dict[str, Rows]) -> None:
    async with sessions.reading(audience()) as session:
        seen = {name: await keys_in(session, TABLES[name]) for name in OPEN}
    async with sessions.tenant(TEAM) as session:
        there = {name: await keys_in(session, TABLES[name]) for name in OPEN}

    assert seen == there
    assert all(seen.values())


async def test_what_was_remembered_for_one_person_is_read_in_their_personal_place(
    sessions: Sessions, stored: dict[str, Rows]
) -> None:
    memory, user = new_id(), stored["C1"]["users"]["id"]
    add = text("INSERT INTO memories (team_id, id, user_id, content) VALUES (:team, :id, :user, 'likes tea')")
    async with sessions.tenant(TEAM) as session:
        await session.execute(add, {"team": TEAM, "id": memory, "user": user})

    async with sessions.reading(audience(f"personal:{user}")) as session:
        assert await keys_in(session, TABLES["memories"]) == {(TEAM, memory)}
    async with sessions.reading(audience("C1", "C2", f"personal:{new_id()}")) as session:
        assert (TEAM, memory) not in await keys_in(session, TABLES["memories"])


async def test_a_channel_of_that_name_in_another_workspace_is_another(
    sessions: Sessions, stored: dict[str, Rows]
) -> None:
    async with sessions.reading(audience("C1", team_id=OTHER_TEAM)) as session:
        for name in OF_DOCUMENTS | OF_CHANNELS | OPEN:
            assert {key[0] for key in await keys_in(session, TABLES[name])} == {OTHER_TEAM}, name


async def test_without_a_scope_no_table_shows_a_row(engine: AsyncEngine, stored: dict[str, Rows]) -> None:
    async with engine.connect() as connection:
        for name, there in TABLES.items():
            assert (await connection.execute(select(there))).all() == [], name


async def test_a_scope_that_is_not_known_shows_nothing(engine: AsyncEngine, stored: dict[str, Rows]) -> None:
    async with engine.connect() as connection:
        for scope in ("everything", "Workspace", "audience"):  # audience without a word of its channels
            await connection.execute(SET, {"team": TEAM, "scope": scope})
            for name in OF_DOCUMENTS | OF_CHANNELS | CLOSED:
                assert (await connection.execute(select(TABLES[name]))).all() == [], (name, scope)


@pytest.mark.parametrize(
    "channel", ["a,b", 'a"b', "{a}", "}", "a\\b", "NULL", "null", "", " ", "'; --", "a\nb", "é🥐", '","C2"', "{C2}"]
)
async def test_a_channel_is_one_channel_whatever_its_name(sessions: Sessions, channel: str) -> None:
    async with sessions.tenant(TEAM) as session:
        rows = {name: await furnish(session, channel_id=name) for name in (channel, "C2", "a", "b")}

    async with sessions.reading(audience(channel)) as session:
        assert await keys_in(session, TABLES["documents"]) == {key_of(rows[channel], TABLES["documents"])}
    async with sessions.reading(audience(channel, "b")) as session:
        assert len(await keys_in(session, TABLES["documents"])) == 2


@pytest.fixture
async def five_documents(sessions: Sessions) -> list[UUID]:
    """Five documents with all that hangs on them, shared nowhere."""
    async with sessions.tenant(TEAM) as session:
        ids = [(await furnish(session))["documents"]["id"] for _ in range(5)]
        await session.execute(delete(DocumentShare))
    return ids


CHANNELS = st.text(alphabet='ab,"{}\\ ', max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
async def test_whatever_is_shared_wherever_an_audience_sees_what_a_set_would_say(
    sessions: Sessions, five_documents: list[UUID], data: st.DataObject
) -> None:
    channels = data.draw(st.lists(CHANNELS, min_size=1, max_size=5, unique=True))
    places = st.tuples(st.sampled_from(five_documents), st.sampled_from(channels))
    shares = data.draw(st.lists(places, max_size=12, unique=True))
    asked = data.draw(st.lists(st.sets(st.sampled_from(channels)), min_size=1, max_size=3))
    async with sessions.tenant(TEAM) as session:
        await session.execute(delete(DocumentShare))
        session.add_all(
            [DocumentShare(team_id=TEAM, document_id=document, channel_id=channel) for document, channel in shares]
        )

    for names in asked:
        async with sessions.reading(audience(*names)) as session:
            seen = {name: sorted(await session.scalars(select(id_of_document(name)))) for name in OF_DOCUMENTS}
        readable = [document for document, channel in shares if channel in names]
        expected = dict.fromkeys(OF_DOCUMENTS, sorted(set(readable))) | {"document_shares": sorted(readable)}
        assert seen == expected


def id_of_document(name: str) -> ColumnElement[UUID]:
    return TABLES[name].c["id" if name == "documents" else "document_id"]


@pytest.mark.parametrize("name", sorted(OF_DOCUMENTS))
async def test_what_an_audience_may_read_is_looked_up_once_a_statement(sessions: Sessions, name: str) -> None:
    async with sessions.reading(audience("C1")) as session:
        plan = "\n".join(await session.scalars(text(f"EXPLAIN SELECT * FROM {name}")))

    assert ("hashed SubPlan" in plan) == (name != "document_shares")
    assert "current_setting" not in re.sub(r"InitPlan \d+\n +->  Result.*", "", plan), "a setting is read for each row"


# What is written


async def test_nothing_can_be_written_while_reading_for_an_audience(
    sessions: Sessions, stored: dict[str, Rows]
) -> None:
    for there in (*TABLES.values(), Base.metadata.tables["embedding_models"]):
        for statement in (
            insert(there).values(stored["C1"][there.name]),
            text(f"UPDATE {there.name} SET {there.c[0].name} = {there.c[0].name}"),
            text(f"DELETE FROM {there.name}"),
        ):
            with pytest.raises(DBAPIError, match=r"read-only transaction|permission denied"):
                async with sessions.reading(audience("C1", "C2")) as session:
                    await session.execute(statement)


async def test_nor_could_it_if_the_transaction_were_not_read_only(engine: AsyncEngine, stored: dict[str, Rows]) -> None:
    for there in TABLES.values():
        with pytest.raises(DBAPIError, match="row-level security"):
            await _as_audience(engine, insert(there).values(stored["C1"][there.name]))
        for statement in (f"UPDATE {there.name} SET team_id = team_id", f"DELETE FROM {there.name}"):
            if there.name != "audit_log":  # the bot's role may not even ask
                assert await _as_audience(engine, text(statement)) == 0, statement


async def _as_audience(engine: AsyncEngine, statement: Any) -> int:
    """Run a statement under the scope of who reads C1, but for the transaction's being read-only; roll back."""
    async with engine.connect() as connection:
        await connection.execute(SET, {"team": TEAM, "scope": "audience"})
        await connection.execute(text("SELECT set_config('app.channels', '{C1}', true)"))
        return (await connection.execute(statement)).rowcount


async def test_reading_can_not_be_turned_into_writing(sessions: Sessions) -> None:
    with pytest.raises(DBAPIError, match="read-write mode"):
        async with sessions.reading(audience("C1")) as session:
            await session.execute(text("SELECT set_config('transaction_read_only', 'off', true)"))


# Other releases


async def test_the_release_before_sees_and_writes_all_of_its_workspace(
    engine: AsyncEngine, stored: dict[str, Rows]
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SELECT set_config('app.team', :team, true)"), {"team": TEAM})
        for name, there in TABLES.items():
            seen = {tuple(row) for row in await connection.execute(select(*there.primary_key.columns))}
            assert seen == {key_of(rows, there) for rows in stored.values()}, name
        async with AsyncSession(connection) as session:
            await furnish(session, channel_id="C3")
        changed = await connection.execute(text("UPDATE documents SET filename = 'changed.pdf'"))
        gone = await connection.execute(text("DELETE FROM document_shares"))

    assert (changed.rowcount, gone.rowcount) == (3, 3)


# The pool


async def test_a_scope_ends_with_its_transaction_in_whatever_order_they_come(
    one_connection: AsyncEngine, stored: dict[str, Rows]
) -> None:
    sessions = Sessions(one_connection)

    for channels in (("C1",), ("C2",), ()):
        async with sessions.reading(audience(*channels)) as session:
            assert len(await keys_in(session, TABLES["documents"])) == len(channels)
        assert await _without_scope(one_connection) == ([], "off")
        async with sessions.tenant(TEAM) as session:
            assert len(await keys_in(session, TABLES["documents"])) == 2
        assert await _without_scope(one_connection) == ([], "off")


async def test_a_scope_ends_with_its_transaction_when_that_fails(
    one_connection: AsyncEngine, stored: dict[str, Rows]
) -> None:
    sessions = Sessions(one_connection)

    with pytest.raises(DBAPIError, match="division by zero"):
        async with sessions.reading(audience("C1")) as session:
            await session.execute(text("SELECT 1/0"))
    assert await _without_scope(one_connection) == ([], "off")
    with pytest.raises(FileNotFoundError):
        async with sessions.tenant(TEAM):
            raise FileNotFoundError

    async with sessions.reading(audience("C2")) as session:
        assert await keys_in(session, TABLES["documents"]) == {key_of(stored["C2"], TABLES["documents"])}


@pytest.mark.parametrize("scope", ["reading", "tenant"])
async def test_a_scope_ends_with_its_transaction_when_that_is_cancelled(
    one_connection: AsyncEngine, stored: dict[str, Rows], scope: str
) -> None:
    sessions = Sessions(one_connection)
    begun = asyncio.Event()

    async def linger() -> None:
        async with sessions.reading(audience("C1")) if scope == "reading" else sessions.tenant(TEAM) as session:
            assert await keys_in(session, TABLES["documents"])
            begun.set()
            await session.execute(text("SELECT pg_sleep(60)"))

    lingering = asyncio.create_task(linger())
    await begun.wait()
    lingering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lingering

    assert await _without_scope(one_connection) == ([], "off")
    async with sessions.reading(audience("C2")) as session:
        assert await keys_in(session, TABLES["documents"]) == {key_of(stored["C2"], TABLES["documents"])}


async def _without_scope(engine: AsyncEngine) -> tuple[list[Any], str]:
    """Return what the next transaction on the connection sees of documents, and whether it is read-only."""
    async with engine.connect() as connection:
        seen = (await connection.execute(text("SELECT id FROM documents"))).all()
        return list(seen), (await connection.execute(text("SHOW transaction_read_only"))).scalar_one()
