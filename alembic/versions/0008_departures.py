"""The door of every transaction: a workspace that was uninstalled lets nobody in, and its purge knows when all are out.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

from bot.db.protection import current_schema, grant_function

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ENTER = """
    CREATE FUNCTION enter_workspace(team text, scope text) RETURNS boolean LANGUAGE plpgsql VOLATILE
        SET plan_cache_mode = force_generic_plan AS $$
    BEGIN
        PERFORM set_config('app.team', team, true), set_config('app.scope', 'workspace', true);
        PERFORM pg_advisory_xact_lock_shared(hashtextextended(team || '/workspace', 0));
        IF EXISTS (SELECT FROM {schema}.tombstones t WHERE t.team_id = team AND t.kind = 'workspace') THEN
            PERFORM set_config('app.team', '', true);
            RETURN false;
        END IF;
        PERFORM set_config('app.scope', scope, true);
        RETURN true;
    END $$
"""
"""Volatile: the look at the tombstone comes after the lock, with a snapshot of its own. So who is let in has the lock that
the purge waits for, and who comes after the purge began sees the tombstone. Its plan is made once a connection."""


def upgrade() -> None:
    op.execute(ENTER.format(schema=current_schema()))
    grant_function("enter_workspace(text, text)")


def downgrade() -> None:
    op.execute("DROP FUNCTION enter_workspace(text, text)")
