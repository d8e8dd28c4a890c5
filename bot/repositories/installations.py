"""Which workspaces let us in, with which tokens, encrypted as they come; and sign-ins that are under way.

The list of all is read by a transaction of `INSTALLATIONS`, of which each row says whose it is; a row is written by a
transaction of its own workspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean
from bot.values import INSTALLATIONS, Grant, Installed


@dataclass(frozen=True, slots=True)
class SealedTokens:
    """A workspace's tokens as they are stored; `refresh_token` is None where they don't rotate."""

    access_token: bytes
    refresh_token: bytes | None


@dataclass(frozen=True, slots=True)
class StoredInstallation(Installed):
    """A row. `is_due`: its token ends soon, by the database's clock, and nobody is getting another one."""

    bot_token: bytes
    refresh_token: bytes | None
    is_due: bool


Version = tuple[datetime, int]
"""When a workspace was installed, and how many tokens it has had since: what is written is written over this one alone.

A workspace that was purged and came back counts from 0 again."""


class InstallationRepository:
    """Keeps the installations."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list_all(self, *, due_s: float = 0) -> list[StoredInstallation]:
        """Return every workspace's, by team; a token is due `due_s` before it ends. For `INSTALLATIONS` alone."""
        return [StoredInstallation(**row) for row in (await self._session.execute(_LIST, {"due_s": due_s})).mappings()]

    async def get(self, team_id: str) -> StoredInstallation | None:
        """Return a workspace's."""
        row = (await self._session.execute(_GET, {"team": team_id, "due_s": 0.0})).mappings().one_or_none()
        return None if row is None else StoredInstallation(**row)

    async def replace(self, grant: Grant, tokens: SealedTokens) -> None:
        """Store what a workspace granted, in the place of whatever it granted before, to this app or another."""
        await self._session.execute(_DELETE_OTHERS, {"team": grant.team_id, "app": grant.app_id})
        parameters = {
            "team": grant.team_id,
            "app": grant.app_id,
            "name": clean(grant.name),
            "url": clean(grant.url),
            "bot_user": grant.bot_user_id,
            "bot": grant.bot_id,
            "scopes": clean(grant.scopes),
            "enterprise": grant.is_enterprise,
            **_token_parameters(tokens, grant.token.lasts_s),
        }
        await self._session.execute(_REPLACE, parameters)

    async def claim_refresh(self, team_id: str, *, version: Version, lease_s: float) -> bool:
        """Let nobody else get a new token for so long; False when somebody is at it, or has one since `version`."""
        parameters = {**_row(team_id, version), "lease_s": lease_s}
        return (await self._session.execute(_CLAIM, parameters)).scalar() is not None

    async def record_tokens(
        self, team_id: str, tokens: SealedTokens, *, version: Version, lasts_s: float | None
    ) -> bool:
        """Store new tokens in the place of those of this version, and let go of the claim; False: too late."""
        parameters = {**_row(team_id, version), **_token_parameters(tokens, lasts_s)}
        return (await self._session.execute(_RECORD, parameters)).scalar() is not None

    async def delete(self, team_id: str, *, version: Version) -> bool:
        """Delete a workspace's, and nothing else of it; False when its tokens are others by now."""
        return (await self._session.execute(_DELETE, _row(team_id, version))).scalar() is not None

    async def replace_sealed(self, team_id: str, tokens: SealedTokens, *, version: Version) -> bool:
        """Store the same tokens, sealed anew; False when they are others by now."""
        parameters = {
            **_row(team_id, version),
            "token": tokens.access_token,
            "refresh": tokens.refresh_token,
        }
        return (await self._session.execute(_RESEAL, parameters)).scalar() is not None


class SignInRepository:
    """Keeps sign-ins that are under way, each until it is over or too old. They belong to no workspace yet."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, state: str, *, lasts_s: float, limit: int) -> bool:
        """Store a sign-in, and delete what is too old; False when there are `limit` others."""
        await self._session.execute(_DELETE_OLD, {"team": INSTALLATIONS})
        parameters = {"team": INSTALLATIONS, "state": state, "lasts_s": lasts_s, "limit": limit}
        return (await self._session.execute(_BEGIN, parameters)).scalar() is not None

    async def delete(self, state: str) -> bool:
        """Delete a sign-in, which only one can; False when there is none, or it is too old."""
        return (await self._session.execute(_REDEEM, {"team": INSTALLATIONS, "state": state})).scalar() is not None


def _row(team_id: str, version: Version) -> dict[str, str | int | datetime]:
    return {"team": team_id, "installed_at": version[0], "changes": version[1]}


def _token_parameters(tokens: SealedTokens, lasts_s: float | None) -> dict[str, bytes | float | None]:
    return {"token": tokens.access_token, "refresh": tokens.refresh_token, "lasts_s": lasts_s}


_COLUMNS = """
    team_id, app_id, coalesce(name, '') AS name, coalesce(url, '') AS url, coalesce(bot_user_id, '') AS bot_user_id,
    coalesce(bot_id, '') AS bot_id, coalesce(scopes, '') AS scopes, is_enterprise, installed_at,
    token_expires_at AS expires_at, changes, bot_token, refresh_token,
    coalesce(token_expires_at < now() + make_interval(secs => :due_s)
             AND coalesce(refreshing_until < now(), true), false) AS is_due
"""

_LIST = text(f"SELECT {_COLUMNS} FROM installations WHERE bot_token IS NOT NULL ORDER BY team_id, installed_at")

_GET = text(f"""
    SELECT {_COLUMNS} FROM installations
     WHERE team_id = :team AND bot_token IS NOT NULL ORDER BY installed_at DESC LIMIT 1
""")

_DELETE_OTHERS = text("DELETE FROM installations WHERE team_id = :team AND app_id <> :app")

_REPLACE = text("""
    INSERT INTO installations AS kept (team_id, app_id, name, url, bot_user_id, bot_id, scopes, is_enterprise,
                                       bot_token, refresh_token, token_expires_at, installed_at)
    VALUES (:team, :app, :name, :url, :bot_user, :bot, :scopes, :enterprise,
            :token, :refresh, now() + make_interval(secs => CAST(:lasts_s AS double precision)), now())
    ON CONFLICT (team_id, app_id) DO UPDATE
       SET name = excluded.name, url = excluded.url, bot_user_id = excluded.bot_user_id, bot_id = excluded.bot_id,
           scopes = excluded.scopes, is_enterprise = excluded.is_enterprise, bot_token = excluded.bot_token,
           refresh_token = excluded.refresh_token, token_expires_at = excluded.token_expires_at,
           installed_at = excluded.installed_at, changes = kept.changes + 1, refreshing_until = NULL
""")

_THIS = "team_id = :team AND installed_at = :installed_at AND changes = :changes"

_CLAIM = text(f"""
    UPDATE installations SET refreshing_until = now() + make_interval(secs => :lease_s)
     WHERE {_THIS} AND coalesce(refreshing_until < now(), true)
    RETURNING 1
""")

_RECORD = text(f"""
    UPDATE installations
       SET bot_token = :token, refresh_token = :refresh, changes = changes + 1, refreshing_until = NULL,
           token_expires_at = now() + make_interval(secs => CAST(:lasts_s AS double precision))
     WHERE {_THIS}
    RETURNING 1
""")

_RESEAL = text(f"""
    UPDATE installations SET bot_token = :token, refresh_token = :refresh
     WHERE {_THIS}
    RETURNING 1
""")

_DELETE = text(f"DELETE FROM installations WHERE {_THIS} RETURNING 1")

_DELETE_OLD = text("DELETE FROM oauth_states WHERE team_id = :team AND expires_at <= now()")

_BEGIN = text("""
    INSERT INTO oauth_states (team_id, state, expires_at)
    SELECT CAST(:team AS text), CAST(:state AS text), now() + make_interval(secs => CAST(:lasts_s AS double precision))
     WHERE (SELECT count(*) FROM oauth_states WHERE team_id = :team) < :limit
    RETURNING 1
""")

_REDEEM = text("""
    DELETE FROM oauth_states WHERE team_id = :team AND state = :state AND expires_at > now() RETURNING 1
""")
