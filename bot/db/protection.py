"""The tenant wall, table by table: row-level security, and what the bot's role may do. For migrations."""

from __future__ import annotations

from alembic import op

EVERYTHING = "SELECT, INSERT, UPDATE, DELETE"
APPEND_ONLY = "SELECT, INSERT"


def protect(table: str, *, rights: str = EVERYTHING) -> None:
    """Show and let write rows of the transaction's workspace alone, and grant the bot's role its `rights`.

    FORCE, because the bot may be the owner too. The setting is read once per statement, not once per row.
    """
    scope = "team_id = (SELECT current_setting('app.team', true))"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY team ON {table} USING ({scope}) WITH CHECK ({scope})")
    grant(table, rights)


def grant(table: str, rights: str) -> None:
    """Grant the bot's role `rights` on `table`. Identity columns need no grant of their own."""
    role = op.get_context().config.attributes["bot_role"]  # type: ignore[union-attr]  # there when a command runs
    quoted = op.get_bind().dialect.identifier_preparer.quote(role)
    op.execute(f"GRANT {rights} ON {table} TO {quoted}")


def grant_schema(schema: str) -> None:
    """Let the bot's role use everything in a schema that has no tenants: the queue's own."""
    role = op.get_context().config.attributes["bot_role"]  # type: ignore[union-attr]  # there when a command runs
    quoted = op.get_bind().dialect.identifier_preparer.quote(role)
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
    op.execute(f"GRANT {EVERYTHING} ON ALL TABLES IN SCHEMA {schema} TO {quoted}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted}")
