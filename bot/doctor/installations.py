"""Looks at the workspaces that let us in: whether their tokens can be read, and whether Slack takes them."""

from __future__ import annotations

from bot.config import Settings
from bot.db.storage import Storage
from bot.doctor.finding import Finding, Verdict, fail, ok, warn
from bot.doctor.slack import scope_findings
from bot.errors import InvalidSettings, ServiceUnavailable
from bot.slack.client import Clients, ask
from bot.slack.installing import INSTALL_PATH
from bot.values import Installation
from bot.wiring import make_installations


async def check_installations(settings: Settings, storage: Storage) -> list[Finding]:
    """Return a finding for each workspace. Raises DatabaseUnavailable."""
    where = f"{settings.public_url}{INSTALL_PATH}"
    installed = await make_installations(settings, storage.sessions).list_all()
    if not installed:
        return [warn("Workspaces", "none has let Recollect in yet", mend=f"Open {where} in a browser.")]
    return [await _finding(settings, one, where) for one in installed]


async def _finding(settings: Settings, one: Installation, where: str) -> Finding:
    if one.access_token is None:
        return fail("Workspace", f"{one.title}: its token can't be read", mend=one.problem)
    clients = Clients(one.access_token, base_url=settings.slack_api_url)
    try:
        response = await ask(clients.reading.auth_test())
    except InvalidSettings:
        return fail("Workspace", f"{one.title}: Slack refuses its token", mend=f"Let Recollect in again: {where}")
    except ServiceUnavailable as error:
        return fail("Workspace", f"{one.title}: Slack doesn't answer ({error})", mend="Try again in a moment.")
    finally:
        await clients.close()
    lacking = next((found for found in scope_findings(response.headers) if found.verdict is Verdict.FAIL), None)
    if lacking is not None:
        return fail("Workspace", f"{one.title}: scopes {lacking.text}", mend=f"Let Recollect in again: {where}")
    lasts = "" if one.expires_at is None else f", good until {one.expires_at:%Y-%m-%d %H:%M}Z and exchanged before"
    kind = " (the whole organisation)" if one.is_enterprise else ""
    return ok("Workspace", f"{one.title}{kind}: Slack takes its token{lasts}")
