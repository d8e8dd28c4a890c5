"""The walls, table by table: row-level security, and what the bot's role may do. For migrations.

A transaction says whose workspace it is in (`app.team`), and for whom it reads (`app.scope`): `workspace` is the bot
itself, `audience` are people who may read what is shared in `app.channels`. Whatever else `app.scope` says reads
nothing. Where it says nothing, the release before ours set `app.team` alone: docs/decisions/0016-audience-in-the-database.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from alembic import op
from sqlalchemy import text

EVERYTHING = "SELECT, INSERT, UPDATE, DELETE"
APPEND_ONLY = "SELECT, INSERT"

THE_BOT = "(SELECT coalesce(current_setting('app.scope', true), '') IN ('', 'workspace'))"
"""True in a transaction of the bot's own. In a subquery of its own, as all settings here: read once a statement."""

_WRITES = {"insert": "WITH CHECK", "update": "USING", "delete": "USING"}


def protect(table: str, *, rights: str = EVERYTHING) -> None:
    """Show and let write rows of the transaction's workspace alone, and grant the bot's role its `rights`.

    FORCE, because the bot may be the owner too. The setting is read once per statement, not once per row.
    """
    scope = "team_id = (SELECT current_setting('app.team', true))"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY team ON {table} USING ({scope}) WITH CHECK ({scope})")
    grant(table, rights)


def readable_in(channel: str) -> str:
    """Return the condition that an audience reads the channel which the expression `channel` names."""
    return f"{channel} = ANY ((SELECT CAST(nullif(current_setting('app.channels', true), '') AS text[]))::text[])"


def show_readers(table: str, rows: str) -> None:
    """Show an audience those of `table`'s rows alone that the condition `rows` chooses, and let it write none.

    Let nothing in `rows` depend on the row but the column compared: a subquery that does is run for every row.
    """
    op.execute(f"CREATE POLICY readers ON {table} AS RESTRICTIVE FOR SELECT USING ({THE_BOT} OR {rows})")
    open_to_readers(table)


def open_to_readers(table: str) -> None:
    """Let an audience see all of the workspace's rows of `table`, and write none."""
    for command, clause in _WRITES.items():
        op.execute(
            f"CREATE POLICY readers_{command} ON {table} AS RESTRICTIVE FOR {command.upper()} {clause} ({THE_BOT})"
        )


def close_to_readers(table: str) -> None:
    """Let an audience neither see nor write anything of `table`."""
    op.execute(f"CREATE POLICY readers ON {table} AS RESTRICTIVE USING ({THE_BOT})")


def unprotect_readers(table: str) -> None:
    """Take away what `show_readers`, `open_to_readers` and `close_to_readers` made."""
    for policy in ("readers", *(f"readers_{command}" for command in _WRITES)):
        op.execute(f"DROP POLICY IF EXISTS {policy} ON {table}")


def lock_tables(tables: Iterable[str]) -> None:
    """Take all these tables for the rest of the transaction, or fail after a minute or so.

    Each try gives up, and gives back what it has, before PostgreSQL would see a deadlock: the bot's transactions take
    the same tables in other orders, and are to go on while a deploy rolls.
    """
    op.execute(_LOCK.format(tables=", ".join(tables)))


_LOCK = """
    DO $$ BEGIN
        FOR try IN 1..120 LOOP
            BEGIN
                SET LOCAL lock_timeout = '400ms';
                LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE;
                RETURN;
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                PERFORM pg_sleep(0.2 * random());
            END;
        END LOOP;
        RAISE EXCEPTION 'the tables are in use all the time' USING ERRCODE = 'lock_not_available';
    END $$
"""


def grant(table: str, rights: str) -> None:
    """Grant the bot's role `rights` on `table`. Identity columns need no grant of their own."""
    role = op.get_context().config.attributes["bot_role"]  # type: ignore[union-attr]  # there when a command runs
    quoted = op.get_bind().dialect.identifier_preparer.quote(role)
    op.execute(f"GRANT {rights} ON {table} TO {quoted}")


def grant_function(signature: str) -> None:
    """Let the bot's role call a function, also where functions aren't everybody's."""
    role = op.get_context().config.attributes["bot_role"]  # type: ignore[union-attr]  # there when a command runs
    op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {op.get_bind().dialect.identifier_preparer.quote(role)}")


def current_schema() -> str:
    """Return the schema that our tables are in, quoted."""
    return str(op.get_bind().scalar(text("SELECT quote_ident(current_schema())")))


def grant_schema(schema: str) -> None:
    """Let the bot's role use everything in a schema that has no tenants: the queue's own."""
    role = op.get_context().config.attributes["bot_role"]  # type: ignore[union-attr]  # there when a command runs
    quoted = op.get_bind().dialect.identifier_preparer.quote(role)
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
    op.execute(f"GRANT {EVERYTHING} ON ALL TABLES IN SCHEMA {schema} TO {quoted}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted}")
