"""What the commands of whoever answers for the bot do: look into the audit log, and change the keys of its tokens."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any
from uuid import UUID

from bot.config import Settings
from bot.console import complain, say
from bot.db.storage import open_storage
from bot.offline import command_line, open_desk
from bot.repositories.audit import RecordedEntry
from bot.wiring import make_installations


async def audit(
    settings: Settings,
    *,
    since: str | None,
    actor: str | None,
    action: str | None,
    before: UUID | None,
    limit: int,
    as_json: bool,
    team: str | None,
) -> int:
    """Print who did what, newest last: a line each, or a JSON object each; return 1 when nothing fits."""
    async with open_desk(settings, team=team) as desk:
        extract = await desk.services.audit.read(
            desk.services.team_id, since=since, actor=actor, action=action, before=before, limit=limit
        )
    for entry in extract.entries:
        say(json.dumps(_as_json(entry), ensure_ascii=False) if as_json else _line(entry))
    if extract.before is not None:
        complain(f"There is more before that: bot audit --before {extract.before}")
    if not extract.entries:
        complain("Nothing in the audit log fits.")
    return 0 if extract.entries else 1


async def rotate_keys(settings: Settings) -> None:
    """Encrypt every workspace's tokens with the first of TOKEN_KEYS, and say how many that was."""
    async with open_storage(settings) as storage:
        resealed = await make_installations(settings, storage.sessions).rotate_keys(by=command_line())
    workspaces = "1 workspace" if resealed.total == 1 else f"{resealed.total} workspaces"
    say(f"{resealed.changed} of {workspaces} encrypted anew. The first key opens all of them; the others may go.")


async def discard_tokens(settings: Settings) -> None:
    """Forget the tokens that none of TOKEN_KEYS opens, and name their workspaces."""
    async with open_storage(settings) as storage:
        lost = await make_installations(settings, storage.sessions).discard_unreadable(by=command_line())
    for one in lost:
        say(f"{one.title}: forgotten. It has to let Recollect in again, at {settings.public_url or ''}/slack/install.")
    if not lost:
        say("Every token can be read: nothing was forgotten.")


def _as_json(entry: RecordedEntry) -> dict[str, Any]:
    return {
        "id": str(entry.id),
        "at": entry.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "actor": entry.actor,
        "name": entry.name,
        "action": entry.action,
        "target": entry.target,
        "details": entry.details,
    }


def _line(entry: RecordedEntry) -> str:
    who = f"{entry.actor} ({entry.name})" if entry.name else entry.actor
    details = " ".join(f"{name}={value}" for name, value in sorted(entry.details.items()) if value is not None)
    moment = entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{moment}  {entry.action:<26}  {entry.target}  by {who}  {details}".rstrip()
