"""A workspace that is there for one evaluation, and gone afterwards however that ends."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository
from bot.repositories.workspaces import DepartureRepository

log = structlog.get_logger()

PREFIX = "T0EVAL"
"""What the id of every such workspace begins with; it is longer than any of Slack's."""


@asynccontextmanager
async def throwaway_team(sessions: Sessions) -> AsyncIterator[str]:
    """Make an empty workspace; yield its id. It is deleted after an error, Ctrl-C and SIGTERM too."""
    team_id = f"{PREFIX}{secrets.token_hex(8).upper()}"
    with _ending_as_by_ctrl_c():
        try:
            async with sessions.tenant(team_id) as session:
                await ChannelRepository(session).record_workspace(team_id, name="Evaluation")
            yield team_id
        finally:
            await delete_team(sessions, team_id)


async def delete_team(sessions: Sessions, team_id: str) -> None:
    """Delete all a workspace holds, some rows a transaction: one statement for a large set could take too long."""
    rows = 0
    while count := await _delete_some(sessions, team_id):
        rows += count
    log.info("evaluation.deleted", team_id=team_id, rows=rows)


async def _delete_some(sessions: Sessions, team_id: str) -> int:
    async with sessions.tenant(team_id) as session:
        return await DepartureRepository(session).purge_some(team_id)


@contextmanager
def _ending_as_by_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does: `asyncio.run` then cancels it, and what is to be cleaned up is."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
