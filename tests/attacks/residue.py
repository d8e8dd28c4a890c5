"""What is left of a word: in every column of every table, and in what the bot's messages show."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.playground.state import Message
from tests.faults.postgres import Postgres

_TABLES = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
     WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


async def left_in_tables(postgres: Postgres, words: Collection[str]) -> dict[str, list[str]]:
    """Return in which tables each word stands, as text or among bytes; of those in none, nothing."""
    found: dict[str, list[str]] = {}
    for table in await postgres.fetch(_TABLES):
        rows = await postgres.fetch(f"SELECT t::text AS row FROM {table['name']} t")
        everything = "\n".join(row["row"] or "" for row in rows)
        for word in words:
            if word in everything or word.encode().hex() in everything:
                found.setdefault(word, []).append(table["name"])
    return found


def left_in_slack(slack: LocalSlack, words: Collection[str]) -> dict[str, list[str]]:
    """Return in which channels a message of the bot's shows each word; of those in none, nothing."""
    found: dict[str, list[str]] = {}
    for message in _ours(slack):
        shown = f"{words_of(message)} {message.text} {json.dumps(message.blocks)}"
        for word in words:
            if word in shown:
                found.setdefault(word, []).append(f"{message.channel_id}:{message.ts}")
    return found


def _ours(slack: LocalSlack) -> Iterator[Message]:
    for messages in slack.store.messages.values():
        yield from (message for message in messages.values() if message.user_id == slack.store.bot.id)
