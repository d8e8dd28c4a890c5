"""What each kind of work does. Work holds ids; bodies and rows are opened here again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog

from bot.errors import InvalidRequest, ModelUnavailable, NotFound, Refused, UnreadableFile
from bot.jobs.claim import WorkClaim
from bot.jobs.queue import Task, UnsaidError
from bot.repositories.work import ClaimedWork
from bot.services.answers import AnswerService
from bot.services.deletions import DeletionService
from bot.services.documents import DocumentService
from bot.services.indexes import IndexService
from bot.services.lexicon import LexiconService
from bot.services.ports import Asked, Backfill, Claim, FileSource, Intake, Unclaimed
from bot.services.receipts import ReceiptService
from bot.services.retention import RetentionService
from bot.values import SharedFile

log = structlog.get_logger()

_LAST_PART = 0.25
"""Of a question's wait for the model: in the queue it would wait as long again as it has waited so far."""

_MODEL_AWAY = "The language model isn't answering; I keep trying …"


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
        receipts: ReceiptService,
        backfill: Backfill,
        deletions: DeletionService,
        retention: RetentionService,
        lexicon: LexiconService,
        model_wait_s: float = 60,
    ) -> None:
        self._answers = answers
        self._documents = documents
        self._indexes = indexes
        self._intake = intake
        self._files = files
        self._receipts = receipts
        self._backfill = backfill
        self._deletions = deletions
        self._retention = retention
        self._lexicon = lexicon
        self._model_wait_s = model_wait_s

    def table(self) -> dict[str, Task]:
        """Return the tasks by name."""
        return {
            "answer": Task(self._answer, self._apologise, self._take_back),
            "ingest": Task(self._ingest, self._give_up_file),
            "receipt": Task(self._receipt, _only_log),
            "index": Task(self._index, _only_log),
            "forget": Task(self._forget, _only_log),
            "unsay": Task(self._unsay, _only_log),
            "vacate": Task(self._vacate, _only_log),
            "retract": Task(self._retract, _only_log),
            "expire": Task(self._expire, _only_log),
            "lexicon": Task(self._renew_lexicon, _only_log),
            "backfill": Task(self._read_missed, _only_log),
        }

    async def _answer(self, work: ClaimedWork, claim: Claim) -> None:
        asked, started = await self._intake.open(work.body or b"", claim), time.monotonic()
        try:
            await self._answers.answer(asked.question, asked.reply, private=asked.private, claim=claim)
        except ModelUnavailable as error:
            waited_s = work.blocked_s and work.blocked_s + time.monotonic() - started
            await self._without_model(asked, work, claim, error, left_s=self._model_wait_s - waited_s)
        except (InvalidRequest, Refused) as error:  # the others may pass: the queue tries again
            log.warning("question.refused", error=type(error).__name__, reason=str(error))
            if not await _say(asked, error.user_message):
                raise UnsaidError from error

    async def _without_model(
        self, asked: Asked, work: ClaimedWork, claim: Claim, error: ModelUnavailable, *, left_s: float
    ) -> None:
        """Leave the question to the queue while it may still wait, else apologise with what was found."""
        if left_s <= 0:
            await self._answers.apologise_for_model(asked.question, asked.reply, private=asked.private, claim=claim)
            return
        await asked.reply.show_status(_MODEL_AWAY)
        if left_s <= self._model_wait_s * _LAST_PART:
            await asyncio.sleep(left_s)  # the queue would bring it back too late
            await self._answer(replace(work, blocked_s=self._model_wait_s), claim)
            return
        pause_s = None if error.retry_after_s is None else min(error.retry_after_s, left_s)
        raise ModelUnavailable(str(error), retry_after_s=pause_s) from error

    async def _apologise(self, work: ClaimedWork, error_id: str) -> None:
        asked = await self._intake.open(work.body or b"", WorkClaim(work))
        await _say(
            asked,
            f"I couldn't answer this, and have stopped trying. Please ask again; if it keeps happening, "
            f"tell an administrator this number: {error_id}",
        )

    async def _take_back(self, work: ClaimedWork) -> None:
        """Delete what was posted for a question whose message was deleted."""
        asked = await self._intake.open(work.body or b"", WorkClaim(work))
        await asked.reply.withdraw()

    async def _ingest(self, work: ClaimedWork, claim: Claim) -> None:
        try:
            await self._documents.ingest_shared(await self._describe(work), claim=claim)
            await self._indexes.request(work.team_id)
        except NotFound:
            log.info("file.gone", file_id=work.ids["file_id"])
        except UnreadableFile as error:  # nobody may even look at it
            log.warning("file.refused", file_id=work.ids["file_id"], reason=str(error))
            await self._give_up(work, error.user_message, claim)

    async def _give_up_file(self, work: ClaimedWork, error_id: str) -> None:
        await self._give_up(work, f"Reading it failed several times (number {error_id}).", Unclaimed())

    async def _give_up(self, work: ClaimedWork, reason: str, claim: Claim) -> None:
        """Say why the file isn't read: by the event's own word of it, should Slack be the one that doesn't answer."""
        file = self._files.recall(work.body, work.team_id, work.ids["file_id"], **_place(work)) if work.body else None
        await self._documents.give_up(file or await self._describe(work), reason, claim=claim)

    async def _describe(self, work: ClaimedWork) -> SharedFile:
        return await self._files.describe(work.team_id, work.ids["file_id"], **_place(work))

    async def _receipt(self, work: ClaimedWork, claim: Claim) -> float | None:
        return await self._receipts.tell(work.team_id, **_place(work), body=work.body, claim=claim)

    async def _index(self, work: ClaimedWork, claim: Claim) -> None:  # noqa: ARG002  # every task gets one
        await self._indexes.build(work.team_id)

    async def _forget(self, work: ClaimedWork, claim: Claim) -> float | None:  # noqa: ARG002  # every task gets one
        await self._documents.forget_file(work.team_id, work.ids["file_id"])
        return await self._deletions.unshow(work.team_id, work.ids["file_id"])

    async def _unsay(self, work: ClaimedWork, claim: Claim) -> float | None:  # noqa: ARG002  # every task gets one
        place = {name: work.ids[name] for name in ("channel_id", "message_ts")}
        return await self._deletions.unsay(work.team_id, **place)

    async def _vacate(self, work: ClaimedWork, claim: Claim) -> float | None:  # noqa: ARG002  # every task gets one
        return await self._deletions.vacate(work.team_id, work.ids["channel_id"])

    async def _retract(self, work: ClaimedWork, claim: Claim) -> None:  # noqa: ARG002  # every task gets one
        await self._deletions.retract(work.team_id, [UUID(one) for one in work.ids["document_ids"].split()])

    async def _expire(self, work: ClaimedWork, claim: Claim) -> None:  # noqa: ARG002  # every task gets one
        await self._retention.expire(work.team_id)

    async def _renew_lexicon(self, work: ClaimedWork, claim: Claim) -> None:  # noqa: ARG002  # every task gets one
        await self._lexicon.renew(work.team_id)

    async def _read_missed(self, work: ClaimedWork, claim: Claim) -> None:  # noqa: ARG002  # every task gets one
        await self._backfill.run(datetime.fromisoformat(work.ids["since"]))


async def _say(asked: Asked, message: str) -> bool:
    """Apologise. Where nothing can be posted, since the channel is archived for one, the log has to do: False."""
    try:
        await asked.reply.apologise(message)
    except (InvalidRequest, Refused) as error:
        log.warning("apology.refused", error=type(error).__name__, reason=str(error))
        return False
    return True


def _place(work: ClaimedWork) -> dict[str, str]:
    return {name: work.ids[name] for name in ("channel_id", "message_ts", "thread_ts")}


async def _only_log(work: ClaimedWork, error_id: str) -> None:
    log.error("work.given_up", task=work.task, key=work.key, error_id=error_id)
