"""Looks at Slack: whether it takes the tokens, and has given the scopes that are needed."""

from __future__ import annotations

import re

from bot.config import Settings
from bot.doctor.finding import Finding, fail, ok, warn
from bot.slack.client import Clients, ask
from bot.slack.connection import require_app_token
from bot.slack.scopes import BOT_SCOPES, OPTIONAL_SCOPES
from bot.workspace import identify

_SIGNING_SECRET = re.compile(r"[0-9a-f]{32}")


async def check_slack(settings: Settings) -> list[Finding]:
    """Look at the tokens that are set. Raises InvalidSettings for half the settings or a refused bot token."""
    tokens = (settings.slack_bot_token, settings.slack_app_token, settings.slack_signing_secret)
    if not any(tokens) and not settings.is_shared:
        mend = "For a real workspace set SLACK_BOT_TOKEN, and SLACK_APP_TOKEN or SLACK_SIGNING_SECRET (README)."
        return [warn("Slack", "no token is set: `bot demo` works, `bot run` doesn't", mend=mend)]
    settings.require_slack()
    if settings.is_shared:
        keys = "tokens in the database are encrypted"
        return [ok("OAuth", keys), *await _app_token(settings), *_signing_secret(settings)]
    return [*await _bot_token(settings), *await _app_token(settings), *_signing_secret(settings)]


async def _bot_token(settings: Settings) -> list[Finding]:
    token = settings.slack_bot_token.get_secret_value() if settings.slack_bot_token else ""
    clients = Clients(token, base_url=settings.slack_api_url)
    try:
        workspace = await identify(clients)
        response = await ask(clients.reading.auth_test())
    finally:
        await clients.close()
    name = workspace.name or workspace.team_id
    return [ok("Slack token", f"{name} ({workspace.team_id}) takes it"), *scope_findings(response.headers)]


def scope_findings(headers: dict[str, str]) -> list[Finding]:
    """Compare the scopes that Slack names in a header with those the bot needs."""
    named = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), None)
    if named is None:
        return [warn("Scopes", "the server doesn't name them", mend="Compare the app's scopes with manifest.yml.")]
    held = {scope.strip() for scope in named.split(",")}
    mend = "Add them under OAuth & Permissions (or paste manifest.yml anew), and install the app again."
    if missing := [f"{scope} (to {purpose})" for scope, purpose in BOT_SCOPES.items() if scope not in held]:
        return [fail("Scopes", f"missing: {', '.join(missing)}", mend=mend)]
    if missing := [f"{scope} (to {purpose})" for scope, purpose in OPTIONAL_SCOPES.items() if scope not in held]:
        return [ok("Scopes", f"all that are needed; without {', '.join(missing)}")]
    return [ok("Scopes", "all that are needed")]


async def _app_token(settings: Settings) -> list[Finding]:
    """Try to open Socket Mode. Raises InvalidSettings when Slack refuses the token."""
    if settings.slack_app_token is None:
        return []
    token = settings.slack_app_token.get_secret_value()
    clients = Clients(token, base_url=settings.slack_api_url)
    try:
        await require_app_token(clients.reading, token)
    finally:
        await clients.close()
    return [ok("App token", "Socket Mode opens")]


def _signing_secret(settings: Settings) -> list[Finding]:
    if settings.slack_signing_secret is None:
        return []
    where = f"events are taken at http://{settings.http_host}:{settings.http_port}/slack/events"
    if not _SIGNING_SECRET.fullmatch(settings.slack_signing_secret.get_secret_value()):
        mend = "Copy it again: Basic Information, App Credentials, Signing Secret (32 digits and letters a–f)."
        return [warn("Signing secret", f"{where}, but it doesn't look like Slack's", mend=mend)]
    return [ok("Signing secret", where)]
