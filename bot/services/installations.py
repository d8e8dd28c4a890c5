"""Workspaces that come and go: how one is let in by OAuth, and how its tokens are kept, changed and read.

A token is sealed before it is stored, for its workspace, its app and its kind: what is copied to another row, or from
one column into the other, can't be opened there.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Coroutine
from dataclasses import dataclass, fields
from typing import Any, Protocol

import structlog

from bot.db.engine import Session, Sessions
from bot.errors import DatabaseUnavailable, Forbidden, RecollectError, TooManyRequests, WorkspaceGone
from bot.repositories.audit import AuditRepository
from bot.repositories.installations import (
    InstallationRepository,
    SealedTokens,
    SignInRepository,
    StoredInstallation,
)
from bot.repositories.users import UserRepository
from bot.services.departures import DepartureService
from bot.values import BOT, INSTALLATIONS, AuditEntry, Deed, Grant, Installation, Installed, Token
from bot.vault import CannotOpen, Vault

log = structlog.get_logger()

SIGN_IN_S = 600
"""How long somebody may take to say yes to Slack."""

SIGN_INS_LIMIT = 1_000
"""Sign-ins under way at once: anybody may begin one."""

REFRESH_BEFORE_S = 2 * 60 * 60.0
"""How long before its end a token is exchanged; Slack's last for twelve hours (docs.slack.dev, token rotation)."""

LEASE_S = 60.0
"""How long nobody else exchanges it meanwhile: far longer than a call to Slack may take."""

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between tries to store a token that Slack gave for one that is worth nothing any more."""

_STOP_S = 3.0
"""How long a stop waits for a token that is under way; nobody has another copy."""


class TokenExchange(Protocol):
    """Slack's side of token rotation."""

    async def exchange(self, refresh_token: str) -> Token:
        """Return the token that comes after. Raises InvalidRequest when Slack refuses, ServiceUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many workspaces' tokens there are, and how many of them had been sealed with another key than the first."""

    total: int
    changed: int


class InstallationService:
    """Lets workspaces in, `limit` of them at most (0: all), and keeps their tokens."""

    def __init__(self, sessions: Sessions, vault: Vault, departures: DepartureService, *, limit: int = 0) -> None:
        self._sessions = sessions
        self._vault = vault
        self._departures = departures
        self._limit = limit

    async def begin(self, state: str, browser: str) -> None:
        """Note that this browser begins to sign in. Raises TooManyRequests."""
        async with self._sessions.tenant(INSTALLATIONS) as session:
            begun = await SignInRepository(session).record(
                _sign_in(state, browser), lasts_s=SIGN_IN_S, limit=SIGN_INS_LIMIT
            )
        if not begun:
            raise TooManyRequests("sign-ins", retry_after_s=SIGN_IN_S)

    async def redeem(self, state: str, browser: str) -> bool:
        """Tell whether this browser began to sign in with this state, not long ago; true once."""
        async with self._sessions.tenant(INSTALLATIONS) as session:
            return await SignInRepository(session).delete(_sign_in(state, browser))

    async def install(self, grant: Grant) -> None:
        """Keep what a workspace granted; whatever it granted before is void. One that was uninstalled starts empty.

        Raises Forbidden when there are as many others as there may be, and WorkspaceGone when it is uninstalled again
        meanwhile; nothing is kept then.
        """
        await self._refuse_beyond_limit(grant.team_id)
        tokens = self._seal(grant.team_id, grant.app_id, grant.token)
        entry = AuditEntry(
            f"slack:{grant.installer_id}", Deed.WORKSPACE_INSTALLED, f"workspace:{grant.team_id}", {"app": grant.app_id}
        )

        async def settle(session: Session) -> None:
            await InstallationRepository(session).replace(grant, tokens)
            await UserRepository(session).ensure_slack_user(grant.team_id, grant.installer_id)
            await AuditRepository(session).record(grant.team_id, entry)

        await self._departures.welcome(grant.team_id, settle)
        log.info("workspace.installed", team_id=grant.team_id, enterprise=grant.is_enterprise)

    async def list_all(self) -> list[Installation]:
        """Return every workspace that let us in, by team; one whose tokens can't be opened says so in `problem`."""
        return [self._opened(row) for row in await self._rows()]

    async def rotate_keys(self, *, by: str = BOT) -> Resealed:
        """Seal every token anew with the first key; `by` stands for it in each workspace's audit log.

        Raises CannotOpen, naming the workspace, for one whose key is missing; those before it are done then.
        """
        rows = await self._rows()
        changed = 0
        for row in rows:
            try:
                changed += await self._reseal(row, by)
            except (CannotOpen, WorkspaceGone):
                if not await self._departures.is_gone(row.team_id):
                    raise
                log.info("tokens.left", team_id=row.team_id)  # its row is about to go
        return Resealed(len(rows), changed)

    async def discard_unreadable(self, *, by: str = BOT) -> list[Installation]:
        """Forget the tokens that no key opens, and return whose: all else of these workspaces stays.

        Of one that was uninstalled nothing does: it is purged now, if nobody has done it yet. `by` stands for it in each
        workspace's audit log.
        """
        lost = [one for one in await self.list_all() if one.access_token is None]
        for one in lost:
            try:
                async with self._sessions.tenant(one.team_id) as session:
                    if await InstallationRepository(session).delete(one.team_id, version=one.version):
                        await _note(session, one.team_id, one.app_id, Deed.TOKENS_DISCARDED, by)
            except WorkspaceGone:
                await self._departures.purge(one.team_id)
        return lost

    async def refresh_due(self, exchange: TokenExchange, *, before_s: float = REFRESH_BEFORE_S) -> list[str]:
        """Exchange the tokens that end within `before_s`, and return whose were; each is exchanged by one process.

        No row is locked meanwhile, since nothing waits for a network while it holds a lock: the row says until when
        somebody is at it. A workspace for which it fails is tried again when that is over.
        """
        due = [row for row in await self._rows(due_s=before_s) if row.is_due and row.refresh_token is not None]
        return [row.team_id for row in due if await self._refresh_or_log(row, exchange)]

    async def _refresh_or_log(self, row: StoredInstallation, exchange: TokenExchange) -> bool:
        try:
            refreshed = await self._refresh(row, exchange)
        except RecollectError as error:
            log.warning("token.unrefreshed", team_id=row.team_id, error=type(error).__name__, reason=str(error))
            return False
        if refreshed:
            log.info("token.refreshed", team_id=row.team_id)
        return refreshed

    async def _refresh(self, row: StoredInstallation, exchange: TokenExchange) -> bool:
        installation = self._opened(row)
        if installation.refresh_token is None:
            return False  # it can't be opened, which is said elsewhere
        async with self._sessions.tenant(row.team_id) as session:
            claimed = await InstallationRepository(session).claim_refresh(
                row.team_id, version=row.version, lease_s=LEASE_S
            )
        return claimed and await _to_its_end(self._exchanged(row, installation.refresh_token, exchange))

    async def _exchanged(self, row: StoredInstallation, refresh_token: str, exchange: TokenExchange) -> bool:
        """Get a new token and store it, though the database is away for a moment: the former is worth nothing now."""
        token = await exchange.exchange(refresh_token)
        sealed = self._seal(row.team_id, row.app_id, token)
        for pause_s in _PAUSES_S:
            try:
                return await self._record(row, sealed, token)
            except DatabaseUnavailable as error:
                log.warning("token.unstored", team_id=row.team_id, reason=str(error))
                await asyncio.sleep(pause_s)
        return await self._record(row, sealed, token)

    async def _record(self, row: StoredInstallation, sealed: SealedTokens, token: Token) -> bool:
        async with self._sessions.tenant(row.team_id) as session:
            return await InstallationRepository(session).record_tokens(
                row.team_id, sealed, version=row.version, lasts_s=token.lasts_s
            )

    async def _refuse_beyond_limit(self, team_id: str) -> None:
        if not self._limit:
            return
        async with self._sessions.tenant(INSTALLATIONS) as session:
            team_ids = {row.team_id for row in await InstallationRepository(session).list_all()}
        if team_id not in team_ids and len(team_ids) >= self._limit:
            log.warning("workspace.beyond_limit", team_id=team_id, limit=self._limit)
            raise Forbidden(f"{self._limit} workspaces")

    async def _rows(self, *, due_s: float = 0) -> list[StoredInstallation]:
        async with self._sessions.tenant(INSTALLATIONS) as session:
            return await InstallationRepository(session).list_all(due_s=due_s)

    async def _reseal(self, row: StoredInstallation, by: str) -> bool:
        """Seal one workspace's tokens anew, those it has by then; False when the first key has sealed them already."""
        seen: StoredInstallation | None = row
        while seen is not None and not self._is_current(seen):
            installation = self._opened(seen)
            if installation.access_token is None:
                message = f"{installation.title}: {installation.problem}"
                raise CannotOpen("a token that can't be opened", user_message=message)
            token = Token(installation.access_token, installation.refresh_token)
            sealed = self._seal(seen.team_id, seen.app_id, token)
            async with self._sessions.tenant(seen.team_id) as session:
                repository = InstallationRepository(session)
                if await repository.replace_sealed(seen.team_id, sealed, version=seen.version):
                    await _note(session, seen.team_id, seen.app_id, Deed.TOKENS_RESEALED, by)
                    return True
                seen = await repository.get(seen.team_id)
        return False

    def _is_current(self, row: StoredInstallation) -> bool:
        return all(self._vault.is_current(sealed) for sealed in (row.bot_token, row.refresh_token) if sealed)

    def _seal(self, team_id: str, app_id: str, token: Token) -> SealedTokens:
        refresh = token.refresh_token
        return SealedTokens(
            self._vault.seal(token.access_token, team_id, app_id, "access"),
            None if refresh is None else self._vault.seal(refresh, team_id, app_id, "refresh"),
        )

    def _opened(self, row: StoredInstallation) -> Installation:
        access, refresh, problem = None, None, None
        try:
            access = self._vault.open(row.bot_token, row.team_id, row.app_id, "access")
            if row.refresh_token is not None:
                refresh = self._vault.open(row.refresh_token, row.team_id, row.app_id, "refresh")
        except CannotOpen as error:
            access, problem = None, error.user_message
        same = {field.name: getattr(row, field.name) for field in fields(Installed)}
        return Installation(**same, access_token=access, refresh_token=refresh, problem=problem)


async def _to_its_end(work: Coroutine[Any, Any, bool]) -> bool:
    """Await what mustn't be cut off half-way: who is cancelled meanwhile, however often, ends as soon as it is done."""
    task = asyncio.create_task(work, name="token")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + _STOP_S
        while not task.done() and (left_s := ends_at - loop.time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=left_s)
        raise


async def _note(session: Session, team_id: str, app_id: str, deed: Deed, by: str) -> None:
    entry = AuditEntry(by, deed, f"workspace:{team_id}", {"app": app_id})
    await AuditRepository(session).record(team_id, entry)


def _sign_in(state: str, browser: str) -> str:
    """Return what is stored of a sign-in: who reads the table can finish none."""
    return hashlib.sha256(f"{state}.{browser}".encode()).hexdigest()
