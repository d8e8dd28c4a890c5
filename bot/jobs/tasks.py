"""What each kind of work does. Work holds ids; bodies and rows are opened here again."""

from __future__ import annotations

import asyncio

import structlog

from bot.errors import InvalidRequest, ModelUnavailable, NotFound, Refused
from bot.jobs.queue import Task
from bot.repositories.work import ClaimedWork
from bot.services.answers import AnswerService
from bot.services.documents import DocumentService
from bot.services.indexes import IndexService
from bot.services.ports import Claim, FileSource, Intake, Receipts
from bot.values import SharedFile

log = structlog.get_logger()

_RECEIPT_POLL_S = 0.3


class Tasks:
    """Answers questions, reads files, and says in the thread what became of them."""

    def __init__(
        self,
        answers: AnswerService,
        documents: DocumentService,
        indexes: IndexService,
        *,
        intake: Intake,
        files: FileSource,
        receipts: Receipts,
    ) -> None:
        self._answers = answers
        self._documents = documents
        self._indexes = indexes
        self._intake = intake
        self._files = files
        self._receipts = receipts

    def table(self) -> dict[str, Task]:
        """Return the tasks by name."""
        return {
            "answer": Task(self._answer, self._apologise),
            "ingest": Task(self._ingest, self._give_up_file),
            "receipt": Task(self._receipt, _only_log),
            "index": Task(self._index, _only_log),
            "forget": Task(self._forget, _only_log),
        }

    async def _answer(self, work: ClaimedWork, claim: Claim) -> None:
        asked = await self._intake.open(work.body or b"")
        try:
            await self._answers.answer(asked.question, asked.reply, private=asked.private)
        except (InvalidRequest, Refused, ModelUnavailable) as error:  # the others may pass: the queue tries again
            log.warning("question.refused", error=type(error).__name__, reason=str(error))
            await asked.reply.apologise(error.user_message)

    async def _apologise(self, work: ClaimedWork, error_id: str) -> None:
        asked = await self._intake.open(work.body or b"")
        await asked.reply.apologise(
            f"I couldn't answer this, and have stopped trying. Please ask again; if it keeps happening, "
            f"tell an administrator this number: {error_id}"
        )

    async def _ingest(self, work: ClaimedWork, claim: Claim) -> None:
        try:
            await self._documents.ingest_shared(await self._describe(work))
            await self._indexes.request(work.team_id)
        except NotFound:
            log.info("file.gone", file_id=work.ids["file_id"])

    async def _give_up_file(self, work: ClaimedWork, error_id: str) -> None:
        """Say that the file can't be read: by the event's own word of it, should Slack be the one that doesn't answer."""
        file = self._files.recall(work.body, work.team_id, work.ids["file_id"], **_place(work)) if work.body else None
        await self._documents.give_up(
            file or await self._describe(work), f"Reading it failed several times (number {error_id})."
        )

    async def _describe(self, work: ClaimedWork) -> SharedFile:
        return await self._files.describe(work.team_id, work.ids["file_id"], **_place(work))

    async def _receipt(self, work: ClaimedWork, claim: Claim) -> None:
        """Wait until every file of the message is read, then say how it went."""
        ids = work.ids
        while await self._documents.unfinished(  # noqa: ASYNC110  # another process may be the one reading
            work.team_id, channel_id=ids["channel_id"], thread_ts=ids["thread_ts"]
        ):
            await asyncio.sleep(_RECEIPT_POLL_S)
        outcomes = await self._documents.outcomes(
            work.team_id, channel_id=ids["channel_id"], message_ts=ids["message_ts"]
        )
        if outcomes:
            await self._receipts.post_receipt(
                work.team_id,
                channel_id=ids["channel_id"],
                message_ts=ids["message_ts"],
                thread_ts=ids["thread_ts"],
                outcomes=outcomes,
            )

    async def _index(self, work: ClaimedWork, claim: Claim) -> None:
        await self._indexes.build(work.team_id)

    async def _forget(self, work: ClaimedWork, claim: Claim) -> None:
        await self._documents.forget_file(work.team_id, work.ids["file_id"])


def _place(work: ClaimedWork) -> dict[str, str]:
    return {name: work.ids[name] for name in ("channel_id", "message_ts", "thread_ts")}


async def _only_log(work: ClaimedWork, error_id: str) -> None:
    log.error("work.given_up", task=work.task, key=work.key, error_id=error_id)
