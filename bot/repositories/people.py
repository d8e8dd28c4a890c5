"""The part of a statement that keeps a Slack user's row, shared by those who need it inside a larger one."""

from __future__ import annotations

from typing import Any

from bot.text.clean import clean, clean_or_none
from bot.values import Person, new_id

PERSON = """
person_new AS (
    INSERT INTO users (team_id, id, slack_user_id, email, name, kind, is_admin)
    SELECT CAST(:team AS text), CAST(:new_user_id AS uuid), CAST(:slack_user AS text),
           CASE WHEN NOT EXISTS (SELECT 1 FROM users WHERE team_id = :team AND email = CAST(:email AS text))
                THEN CAST(:email AS text) END,
           CAST(:person_name AS text), CAST(:user_kind AS text), CAST(:is_admin AS boolean)
     WHERE NOT EXISTS (SELECT 1 FROM users WHERE team_id = :team AND slack_user_id = :slack_user)
    ON CONFLICT DO NOTHING
    RETURNING id
), person_changed AS (
    UPDATE users SET name = :person_name, kind = :user_kind, is_admin = :is_admin, updated_at = now(),
           email = coalesce(email, CASE WHEN NOT EXISTS (SELECT 1 FROM users WHERE team_id = :team AND email = CAST(:email AS text))
                                        THEN CAST(:email AS text) END)
     WHERE team_id = :team AND slack_user_id = :slack_user
       AND ((name, kind, is_admin) IS DISTINCT FROM
            (CAST(:person_name AS text), CAST(:user_kind AS text), CAST(:is_admin AS boolean))
            OR email IS NULL AND CAST(:email AS text) IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM users WHERE team_id = :team AND email = CAST(:email AS text)))
), person AS (
    SELECT id FROM person_new
    UNION ALL
    SELECT id FROM users WHERE team_id = :team AND slack_user_id = :slack_user
)"""
"""`person (id)`: one row, or none when somebody else's transaction made it while this statement ran: run it again.

The email of somebody else stays theirs: a Slack profile is no proof of who owns an address.
"""


def person_parameters(team_id: str, person: Person) -> dict[str, Any]:
    """Return what `PERSON` binds."""
    return {
        "team": team_id,
        "new_user_id": new_id(),
        "slack_user": person.user_id,
        "email": normal_email(person.email),
        "person_name": clean(person.name),
        "user_kind": str(person.kind),
        "is_admin": person.is_admin,
    }


def normal_email(email: str | None) -> str | None:
    """Return the form in which an address is stored and compared; None for an empty one."""
    return (clean_or_none(email) or "").strip().lower() or None
