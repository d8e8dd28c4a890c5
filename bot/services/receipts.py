"""Receipts: when people are told how far the files of a message are. What is told comes from the database alone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from bot.db.engine import Sessions
from bot.repositories.progress import ProgressRepository
from bot.services.errands import message_key
from bot.services.ports import Claim, FileSource, Receipts
from bot.values import FileProgress, MessageProgress

PATIENCE_S = 2.0
"""What is read by then is told of once, with its end alone."""

EDIT_INTERVAL_S = 3.0
"""A receipt is changed no oftener."""

_LONGEST_PAUSE_S = 15.0
_LOOK_EVERY_S = 0.3


class ReceiptService:
    """Tells in the thread what becomes of a message's files, by one message that is changed until all are read.

    Nobody waits for long here: whoever is told to come again looks at how it stands then, in whatever process.
    """

    def __init__(self, sessions: Sessions, receipts: Receipts, files: FileSource) -> None:
        self._sessions = sessions
        self._receipts = receipts
        self._files = files

    async def tell(
        self,
        team_id: str,
        *,
        channel_id: str,
        message_ts: str,
        thread_ts: str,
        body: bytes | None = None,
        claim: Claim,
    ) -> float | None:
        """Say how far the files are; return the seconds after which to come again, None when all is said.

        `body` is the event that told of them, by which files are named that nobody has asked Slack about yet.
        Raises ServiceUnavailable, and Superseded when the claim is lost.
        """
        place = {"channel_id": channel_id, "message_ts": message_ts, "thread_ts": thread_ts}
        progress = await self._look_a_while(team_id, place)
        if progress.is_shown or (progress.is_done and not progress.files and progress.shown_s is None):
            return None
        if not progress.is_done and not progress.is_news:
            return min(_LONGEST_PAUSE_S, max(EDIT_INTERVAL_S, progress.quiet_s / 4))
        early_s = 0.0 if progress.shown_s is None else EDIT_INTERVAL_S - progress.shown_s
        if early_s > 0:
            return early_s
        files = [self._named(file, team_id, body, place) for file in progress.files]
        await self._receipts.show_receipt(team_id, **place, files=files, claim=claim)
        return None if progress.is_done else EDIT_INTERVAL_S

    async def _look_a_while(self, team_id: str, place: dict[str, str]) -> MessageProgress:
        """Return how far the files are: at their end, when that comes soon and nothing was said yet."""
        started = time.monotonic()
        while True:
            progress = await self._look(team_id, place)
            is_late = time.monotonic() - started >= PATIENCE_S
            if progress.is_done or progress.shown_s is not None or is_late:
                return progress
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, team_id: str, place: dict[str, str]) -> MessageProgress:
        key = message_key(place["channel_id"], place["message_ts"])
        async with self._sessions.tenant(team_id) as session:
            return await ProgressRepository(session).of_message(team_id, **place, receipt_key=key)

    def _named(self, file: FileProgress, team_id: str, body: bytes | None, place: dict[str, str]) -> FileProgress:
        if file.filename is not None or body is None:
            return file
        told = self._files.recall(body, team_id, file.file_id, **place)
        return file if told is None else replace(file, filename=told.filename)
