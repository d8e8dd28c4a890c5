"""A question whose model is away: how long it waits, what its asker sees, and what it gets in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.errors import InvalidRequest, InvalidSettings, ModelUnavailable, ServiceUnavailable, TooManyRequests
from bot.jobs.attempt import Attempts, PutBackError
from bot.jobs.queue import MAX_ATTEMPTS, Task
from bot.jobs.tasks import Tasks
from bot.repositories.work import ClaimedWork
from bot.services.answers import MODEL_AWAY_NEAREST
from bot.services.errands import answer_errand
from bot.services.ports import Asked, Claim, Unclaimed
from bot.values import new_id
from tests.conftest import TEAM
from tests.services.asking import GOOD, answers_stored, ask, question, rows
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat

STATUS = "The language model isn't answering; I keep trying …"


class MoodyChat(ScriptedChat):
    """A model that knows when the office opens, after it has failed with each of `failures` in turn."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__(GOOD)
        self._good = self._script
        self.failures = list(failures)

    def stream(self, prompt: Any) -> Any:
        self._script = ("The office ", self.failures.pop(0)) if self.failures else self._good
        return super().stream(prompt)


@dataclass
class OneQuestion:
    """An intake that always opens the same question; the replies it gave out are noted."""

    replies: list[NotedReply] = field(default_factory=list)
    make: Callable[[], NotedReply] = NotedReply

    async def open(self, body: bytes, claim: Claim) -> Asked:
        self.replies.append(self.make())
        return Asked(question(), self.replies[-1], private=False)


@dataclass(frozen=True)
class Desk:
    """The task that answers, with a model whose moods a test chose."""

    house: House
    intake: OneQuestion
    chat: MoodyChat
    tasks: dict[str, Task]

    async def run(self, *, blocked_s: float = 0) -> None:
        await self.tasks["answer"].run(replace(WORK, blocked_s=blocked_s), Unclaimed())

    @property
    def told(self) -> list[str]:
        return [apology for reply in self.intake.replies for apology in reply.apologies]


WORK = ClaimedWork(TEAM, new_id(), "answer", "key", {}, 1, None, b"")

MakeDesk = Callable[..., Desk]


@pytest.fixture
async def make_desk(house: House) -> MakeDesk:
    """Wire the task; the model fails with `failures` first."""
    await house.share()

    def make(*failures: Exception, model_wait_s: float = 60) -> Desk:
        intake, chat, unused = OneQuestion(), MoodyChat(*failures), cast("Any", None)
        tasks = Tasks(
            house.answers(chat),
            house.documents,
            unused,
            intake=intake,
            files=house.files,
            receipts=unused,
            backfill=unused,
            deletions=unused,
            retention=unused,
            lexicon=unused,
            model_wait_s=model_wait_s,
        )
        return Desk(house, intake, chat, tasks.table())

    return make


def away(times: int = 1, *, retry_after_s: float | None = None) -> list[Exception]:
    return [ModelUnavailable("down", retry_after_s=retry_after_s)] * times


async def test_the_question_goes_back_to_the_queue_and_its_asker_sees_why(make_desk: MakeDesk) -> None:
    desk = make_desk(*away())

    with pytest.raises(ModelUnavailable):
        await desk.run()

    (reply,) = desk.intake.replies
    assert reply.events == ["append", "status"]
    assert reply.statuses == [STATUS]


@pytest.mark.parametrize(("said_s", "blocked_s", "pause_s"), [(None, 10, None), (7, 10, 7), (50, 40, 20)])
async def test_it_comes_back_when_the_model_says_but_not_after_the_limit(
    make_desk: MakeDesk, said_s: float | None, blocked_s: float, pause_s: float | None
) -> None:
    desk = make_desk(*away(retry_after_s=said_s))

    with pytest.raises(ModelUnavailable) as raised:
        await desk.run(blocked_s=blocked_s)

    assert raised.value.retry_after_s == pytest.approx(pause_s, abs=1)


async def test_after_the_limit_an_apology_quotes_what_was_found(make_desk: MakeDesk) -> None:
    desk = make_desk(*away())

    await desk.run(blocked_s=60)

    assert desk.told == [MODEL_AWAY_NEAREST]
    assert [source.filename for source in desk.intake.replies[0].sources] == ["handbook.md"]
    (stored,) = await answers_stored(desk.house)
    assert (stored["state"], [source["filename"] for source in stored["sources"]]) == ("apology", ["handbook.md"])


async def test_an_apology_is_no_part_of_what_is_asked_next(make_desk: MakeDesk) -> None:
    desk = make_desk(*away())
    await desk.run(blocked_s=60)
    (asked,) = await rows(desk.house, "SELECT slack_ts FROM messages WHERE role = 'user'")

    after = await ask(desk.house, about=question(ts="1700000200.000000", thread_ts=asked["slack_ts"]))

    (prompt,) = after.chat.prompts
    assert [turn.text for turn in prompt.history] == [question().text]


async def test_a_model_that_is_back_after_the_limit_is_welcome(make_desk: MakeDesk) -> None:
    desk = make_desk()

    await desk.run(blocked_s=600)

    assert desk.told == []
    assert len(await answers_stored(desk.house)) == 1


async def test_shortly_before_the_limit_the_question_waits_on_the_spot_and_tries_once_more(make_desk: MakeDesk) -> None:
    back, still_away = make_desk(*away(), model_wait_s=2), make_desk(*away(2), model_wait_s=2)

    await back.run(blocked_s=1.6)
    await still_away.run(blocked_s=1.6)

    assert back.told == []
    assert back.intake.replies[-1].finished is not None
    assert still_away.told == [MODEL_AWAY_NEAREST]
    assert len(still_away.intake.replies) == 2


async def test_the_wait_begins_with_the_first_failure_however_long_that_took(make_desk: MakeDesk) -> None:
    desk = make_desk(*away(), model_wait_s=0.2)
    told = desk.chat.stream

    async def stream(prompt: Any) -> Any:
        await asyncio.sleep(0.3)
        async for piece in told(prompt):
            yield piece

    desk.chat.stream = stream  # type: ignore[method-assign]

    with pytest.raises(ModelUnavailable):
        await desk.run()


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("refused", user_message="Ask otherwise."),
        InvalidSettings("key", user_message="Check the key."),
        TooManyRequests("flood", user_message="I answer again in 20 s.", retry_after_s=20),
    ],
)
async def test_what_waiting_would_not_mend_is_said_at_once(make_desk: MakeDesk, error: Exception) -> None:
    desk = make_desk(error)

    await desk.run()

    assert desk.told == [error.user_message]  # type: ignore[attr-defined]


# In the queue


async def enqueued(house: House) -> UUID:
    async with house.sessions.tenant(TEAM) as session:
        await house.queue.enqueue(session, answer_errand(question()))
        work_id = await session.scalar(text("SELECT id FROM work"))
    assert work_id is not None
    return UUID(str(work_id))


async def let_wait(house: House, seconds: float) -> None:
    """Let the question have been waiting for so much longer."""
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(
            text("UPDATE work SET blocked_since = blocked_since - make_interval(secs => :s)"), {"s": seconds}
        )


async def attempt(desk: Desk, work_id: UUID) -> bool:
    """Let the queue try once; return whether it wants to come again."""
    try:
        await Attempts(desk.house.sessions, desk.tasks, team_id=TEAM, start_interval_s=0).run(work_id)
    except PutBackError:
        return True
    return False


async def state(house: House) -> tuple[str, int]:
    (row,) = await rows(house, "SELECT state, attempts FROM work")
    return row["state"], row["attempts"]


async def test_a_model_that_returns_in_time_answers_however_often_it_failed(make_desk: MakeDesk) -> None:
    desk = make_desk(*away(6))
    work_id = await enqueued(desk.house)

    assert [await attempt(desk, work_id) for _ in range(7)] == [True] * 6 + [False]

    assert await state(desk.house) == ("done", 0)
    assert desk.told == []
    assert len(await answers_stored(desk.house)) == 1


async def test_a_model_that_stays_away_costs_one_apology_and_the_work_is_done(make_desk: MakeDesk) -> None:
    desk = make_desk(*away(10))
    work_id = await enqueued(desk.house)

    assert await attempt(desk, work_id)
    await let_wait(desk.house, 30)
    assert await attempt(desk, work_id)
    await let_wait(desk.house, 31)
    assert not await attempt(desk, work_id)
    assert not await attempt(desk, work_id)

    assert await state(desk.house) == ("done", 0)
    assert desk.told == [MODEL_AWAY_NEAREST]


async def test_an_apology_that_slack_does_not_take_waits_for_slack(make_desk: MakeDesk) -> None:
    desk = make_desk(*away(10))

    class Unreachable(NotedReply):
        async def apologise(self, message: str, **_: Any) -> str:
            raise ServiceUnavailable("Slack is down")

    work_id = await enqueued(desk.house)
    await attempt(desk, work_id)
    await let_wait(desk.house, 61)
    desk.intake.make = Unreachable
    assert await attempt(desk, work_id)
    desk.intake.make = NotedReply

    assert not await attempt(desk, work_id)

    assert desk.told == [MODEL_AWAY_NEAREST]


async def test_a_question_that_fails_by_itself_four_times_gets_one_apology_with_a_number(make_desk: MakeDesk) -> None:
    desk = make_desk(*[ZeroDivisionError()] * 10)
    work_id = await enqueued(desk.house)

    assert [await attempt(desk, work_id) for _ in range(5)] == [True] * (MAX_ATTEMPTS - 1) + [False, False]

    (row,) = await rows(desk.house, "SELECT state, error_id FROM work")
    (apology,) = desk.told
    assert row["state"] == "dead"
    assert apology.endswith(row["error_id"])
    assert len(desk.chat.prompts) == MAX_ATTEMPTS


async def test_what_every_attempt_spent_is_counted(make_desk: MakeDesk) -> None:
    desk = make_desk()

    class Unreachable(NotedReply):
        async def finish(self, answer: Any) -> str:
            raise ServiceUnavailable("Slack is down")

    desk.intake.make = Unreachable
    work_id = await enqueued(desk.house)
    assert [await attempt(desk, work_id) for _ in range(2)] == [True, True]
    desk.intake.make = NotedReply
    assert not await attempt(desk, work_id)
    await desk.house.usage.close()

    used = await rows(desk.house, "SELECT prompt_tokens, completion_tokens FROM usage_events")
    assert used == [{"prompt_tokens": 120, "completion_tokens": 7}] * 3
