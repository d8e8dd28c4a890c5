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
        say(f"The database is at revision {(await migrate.status(server.owner_url)).current}.")


async def down(settings: Settings, revision: str) -> None:
    """Take the tables down to a revision."""
    async with open_server(settings) as server:
        await migrate.downgrade(server.owner_url, revision)
        say(f"The database is at revision {(await migrate.status(server.owner_url)).current or 'none'}.")


async def status(settings: Settings) -> int:
    """Say where the database stands; return 1 when migrations are pending."""
    async with open_server(settings) as server:
        stand = await migrate.status(server.owner_url)
    say(f"The database is at revision {stand.current or 'none'}; the newest is {stand.head}.")
    if stand.pending:
        complain(f"Pending: {', '.join(stand.pending)}. Run: bot migrate up")
    return 1 if stand.pending else 0
