"""`bot migrate`: the schema of whichever database the settings name."""

from __future__ import annotations

from bot.config import Settings
from bot.console import complain, say
from bot.db import migrate
from bot.db.storage import open_server


async def up(settings: Settings) -> None:
    """Bring the tables to the newest revision."""
    async with open_server(settings) as server:
        await migrate.upgrade(server.owner_url, server.bot_url)
        say(_standing(await migrate.status(server.owner_url)))


async def down(settings: Settings, revision: str) -> None:
    """Take the tables down to a revision."""
    async with open_server(settings) as server:
        await migrate.downgrade(server.owner_url, revision)
        say(f"The database is at revision {(await migrate.status(server.owner_url)).current or 'none'}.")


async def status(settings: Settings) -> int:
    """Say where the database stands; return 1 when that isn't the newest revision this release knows."""
    async with open_server(settings) as server:
        stand = await migrate.status(server.owner_url)
    say(_standing(stand))
    if stand.pending:
        complain(f"Pending: {', '.join(stand.pending)}. Run: bot migrate up")
    return 1 if stand.pending or stand.is_newer else 0


def _standing(stand: migrate.SchemaStatus) -> str:
    if stand.is_newer:
        return f"The database is at revision {stand.current}, which a newer release made; this one knows {stand.head}."
    return f"The database is at revision {stand.current or 'none'}; the newest is {stand.head}."
