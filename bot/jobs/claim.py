"""Our hold on a piece of work: the fence between what we write and what whoever took it over writes."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from bot.errors import Superseded
from bot.repositories.work import ClaimedWork, WorkRepository


class WorkClaim:
    """The claim on a piece of work; good as long as its row carries the epoch under which we took it on."""

    def __init__(self, work: ClaimedWork) -> None:
        self._work = work
        self.is_finished = False

    async def hold(self, session: AsyncSession) -> None:
        """Keep the work ours until the transaction ends. Raises Superseded: then nothing may be written."""
        work = self._work
        if not await WorkRepository(session).hold(work.team_id, work.id, work.epoch):
            raise Superseded(f"{work.task} {work.key}: epoch {work.epoch} is over")

    async def finish(self, session: AsyncSession) -> None:
        """Mark the work done, in this transaction. Raises Superseded: then nothing may be written."""
        work = self._work
        if not await WorkRepository(session).finish(work.team_id, work.id, work.epoch, "done"):
            raise Superseded(f"{work.task} {work.key}: epoch {work.epoch} is over")
        event.listen(session.sync_session, "after_commit", self._note_finished, once=True)

    def _note_finished(self, _: Session) -> None:
        """What is rolled back isn't finished: a file that was deleted while it was fetched, say."""
        self.is_finished = True
