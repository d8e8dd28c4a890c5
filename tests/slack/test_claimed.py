"""A message of ours is posted once: whoever posts, whatever gets lost on the way, however often it is begun."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bot.db.engine import Sessions
from bot.errors import NotFound, ServiceUnavailable, Superseded
from bot.playground.faults import Fault, broken, html, refused, slow
from bot.playground.local import LocalSlack
from bot.slack.client import SlackRefusal
from bot.values import Question
from tests.slack.acts import calls_of
from tests.slack.posting import Desk, lag

START = "chat.startStream"
POST = "chat.postMessage"


@pytest.fixture
async def desk(slack: LocalSlack, sessions: Sessions) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as closing:
        yield Desk(slack, sessions, closing)


async def begin_stream(desk: Desk, question: Question) -> bool:
    """Post the first word of a stream, as whoever has the work now."""
    message = desk.message(question, await desk.claim(question))
    recipient = {"recipient_team_id": question.team_id, "recipient_user_id": question.user_id}
    return await message.post(START, {**recipient, "markdown_text": "Nine "}, state="streaming")


async def show(desk: Desk, question: Question, words: str = "Nine.") -> str:
    """Show the whole answer, as whoever has the work now."""
    return await desk.message(question, await desk.claim(question)).show(words, [])


async def test_a_message_is_posted_with_its_label_and_noted(desk: Desk) -> None:
    question = await desk.ask()

    ts = await show(desk, question)

    [posted] = desk.answers(question)
    key = f"{question.channel_id}:{question.ts}"
    assert (posted.ts, posted.text) == (ts, "Nine.")
    assert posted.metadata == {"event_type": "recollect_answer", "event_payload": {"key": key, "answer_id": key}}
    assert await desk.noted(question) == (ts, "final")


async def test_another_attempt_changes_what_stands_there(desk: Desk) -> None:
    question = await desk.ask()
    first = await show(desk, question, "Nine.")

    second = await show(desk, question, "Ten.")

    assert first == second
    assert desk.said(question) == ["Ten."]


@pytest.mark.parametrize("fault", [broken(done=True), html(done=True)])
async def test_a_post_whose_answer_was_lost_is_found_and_not_posted_again(desk: Desk, fault: Fault) -> None:
    question = await desk.ask()
    desk.slack.faults.put(POST, fault)

    await show(desk, question)

    assert desk.said(question) == ["Nine."]
    assert desk.count(POST) == 1


@pytest.mark.parametrize(
    "fault", [broken(done=False), html(done=False), refused("", status=503), refused("fatal_error")]
)
async def test_a_post_that_came_to_nothing_is_made_again_at_once(desk: Desk, fault: Fault) -> None:
    question = await desk.ask()
    desk.slack.faults.put(POST, fault)

    await show(desk, question)

    assert desk.said(question) == ["Nine."]
    assert desk.count(POST) == 2


async def test_a_post_that_shows_late_in_its_thread_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    question = await desk.ask()
    desk.slack.faults.cut_reply(POST)
    lag(desk.slack, monkeypatch, seconds=1)

    await show(desk, question)
    await asyncio.sleep(1)

    assert desk.said(question) == ["Nine."]


async def test_a_slack_that_never_answers_leaves_the_post_to_another_attempt(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.faults.put(POST, refused("", status=502), times=3)

    with pytest.raises(ServiceUnavailable):
        await show(desk, question)
    await show(desk, question)

    assert desk.said(question) == ["Nine."]


async def test_a_crash_between_post_and_note_leaves_one_message(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.faults.put(POST, slow(5, done=True))
    attempt = asyncio.create_task(show(desk, question, "Nine."))
    while not desk.answers(question):
        await asyncio.sleep(0.01)
    attempt.cancel()

    ts = await show(desk, question, "Ten.")

    assert [(m.ts, m.text) for m in desk.answers(question)] == [(ts, "Ten.")]
    assert await desk.noted(question) == (ts, "final")


async def test_a_stream_whose_beginning_was_not_answered_is_taken_over(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.faults.cut_reply(START)

    began = await begin_stream(desk, question)
    [found] = desk.answers(question)
    await show(desk, question, "Nine o'clock.")

    assert not began
    assert [(m.ts, m.text, m.streaming) for m in desk.answers(question)] == [(found.ts, "Nine o'clock.", None)]


async def test_of_several_beginnings_one_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    question = await desk.ask()
    desk.slack.faults.cut_reply(START, times=3)
    with monkeypatch.context() as patch:
        lag(desk.slack, patch, seconds=60)
        with pytest.raises(ServiceUnavailable):
            await begin_stream(desk, question)
    assert len(desk.answers(question)) == 3

    await show(desk, question)

    assert desk.said(question) == ["Nine."]


async def test_what_is_known_to_be_something_else_is_left_alone(desk: Desk) -> None:
    question = await desk.ask()
    other = desk.slack.workspace.post(
        desk.slack.store.bot, desk.slack.store.channel("general"), "Another answer.", thread_ts=question.thread_ts
    )
    await desk.note_other(question, other.ts)
    desk.slack.faults.put(START, broken(done=False))

    await begin_stream(desk, question)
    await show(desk, question)

    assert desk.said(question) == ["Another answer.", "Nine."]


async def test_what_was_there_before_the_question_is_left_alone(desk: Desk) -> None:
    root = await desk.slack.mention("Ada", "general", "Hello")
    desk.slack.workspace.post(
        desk.slack.store.bot, desk.slack.store.channel("general"), "An old one.", thread_ts=root.ts
    )
    question = await desk.ask(root=root)
    desk.slack.faults.put(POST, broken(done=False))

    await show(desk, question)

    assert [m.text for m in desk.slack.replies("general", root.ts)] == ["An old one.", "Nine."]


async def test_a_message_far_down_a_long_thread_is_found(desk: Desk) -> None:
    question = await desk.ask()
    general = desk.slack.store.channel("general")
    for number in range(450):
        desk.slack.workspace.post(
            desk.slack.store.user("Ada"), general, f"Message {number}", thread_ts=question.thread_ts
        )
    desk.slack.faults.cut_reply(POST)

    await show(desk, question)

    assert desk.said(question) == ["Nine."]


async def test_who_lost_the_work_posts_nothing(desk: Desk) -> None:
    question = await desk.ask()
    asleep = desk.message(question, await desk.claim(question))
    await show(desk, question, "Nine.")

    with pytest.raises(Superseded):
        await asleep.show("Ten.", [])

    assert desk.said(question) == ["Nine."]
    assert desk.count(POST) == 1


async def test_who_lost_the_work_after_posting_changes_nothing(desk: Desk) -> None:
    question = await desk.ask()
    asleep = desk.message(question, await desk.claim(question))
    await asleep.show("Ni", [], state="streaming")
    await show(desk, question, "Nine.")

    with pytest.raises(Superseded):
        await asleep.show("Ten.", [])

    assert desk.said(question) == ["Nine."]


async def test_a_post_of_one_thought_dead_goes_when_another_stands_already(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sleeper's message arrives while it sleeps, and shows too late to be found by the one who took over."""
    question = await desk.ask()
    sleeper = desk.message(question, await desk.claim(question), by=desk.process())
    desk.slack.faults.put(POST, slow(4, done=True))
    asleep = asyncio.create_task(sleeper.show("Ten.", []))
    while not desk.answers(question):
        await asyncio.sleep(0.01)
    with monkeypatch.context() as patch:
        lag(desk.slack, patch, seconds=60)
        ts = await show(desk, question, "Nine.")
    assert sorted(desk.said(question)) == ["Nine.", "Ten."]

    with pytest.raises(Superseded):
        await asleep

    assert [(m.ts, m.text) for m in desk.answers(question)] == [(ts, "Nine.")]
    assert await desk.noted(question) == (ts, "final")


async def test_a_post_goes_when_one_thought_dead_was_noted_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    question = await desk.ask()
    sleeper = desk.message(question, await desk.claim(question), by=desk.process())
    desk.slack.faults.put(POST, slow(3, done=True))
    asleep = asyncio.create_task(sleeper.show("Ten.", []))
    while not desk.answers(question):
        await asyncio.sleep(0.01)
    with monkeypatch.context() as patch:
        lag(desk.slack, patch, seconds=60)
        desk.slack.faults.put(POST, slow(4, done=True))
        ts = await show(desk, question, "Nine.")
    with pytest.raises(Superseded):
        await asleep

    assert [(m.ts, m.text) for m in desk.answers(question)] == [(ts, "Nine.")]
    assert await desk.noted(question) == (ts, "final")


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_order_of_two_one_message_remains(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    question = await desk.ask()
    desk.slack.faults.sometimes(POST, broken(done=True), probability=0.4, seed=seed)
    desk.slack.faults.sometimes("chat.update", broken(done=True), probability=0.2, seed=seed)

    async def attempt(words: str) -> None:
        message = desk.message(question, await desk.claim(question), by=desk.process())
        await asyncio.sleep(dice.random() * 0.1)
        await message.show(words, [])

    outcomes = await asyncio.gather(*(attempt(f"{n}.") for n in range(4)), return_exceptions=True)
    last = await show(desk, question, "Nine.")

    assert [(m.ts, m.text) for m in desk.answers(question)] == [(last, "Nine.")]
    assert all(outcome is None or isinstance(outcome, (Superseded, ServiceUnavailable)) for outcome in outcomes)


async def test_what_was_posted_for_a_deleted_question_is_deleted(desk: Desk) -> None:
    question = await desk.ask()
    claim = await desk.claim(question)
    message = desk.message(question, claim)
    await message.show("Nine.", [])
    await desk.stop(question)

    for _ in range(2):
        await desk.message(question, await desk.claim(question)).withdraw()

    assert desk.said(question) == []
    assert (await desk.noted(question) or (None, None))[1] == "withdrawn"
    with pytest.raises(Superseded):
        await desk.message(question, await desk.claim(question)).show("Nine.", [])
    assert desk.said(question) == []


async def test_what_was_posted_and_not_noted_is_deleted_with_its_question(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.faults.put(START, slow(5, done=True))
    attempt = asyncio.create_task(begin_stream(desk, question))
    while not desk.answers(question):
        await asyncio.sleep(0.01)
    attempt.cancel()
    await desk.stop(question)

    await desk.message(question, await desk.claim(question)).withdraw()
    with pytest.raises(Superseded):
        await show(desk, question)

    assert desk.said(question) == []
    assert desk.count(POST) == 0


async def test_what_arrives_after_its_question_was_deleted_goes_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = await desk.ask()
    desk.slack.faults.put(POST, slow(3, done=True))
    attempt = asyncio.create_task(show(desk, question))
    while not desk.answers(question):
        await asyncio.sleep(0.01)
    with monkeypatch.context() as patch:
        lag(desk.slack, patch, seconds=60)
        await desk.stop(question)
        await desk.message(question, await desk.claim(question)).withdraw()

    with pytest.raises(Superseded):
        await attempt

    assert desk.said(question) == []


async def test_a_question_for_which_nothing_was_posted_is_withdrawn_in_silence(desk: Desk) -> None:
    question = await desk.ask()
    await desk.stop(question)

    await desk.message(question, await desk.claim(question)).withdraw()

    assert await desk.noted(question) is None
    assert desk.count("conversations.replies") == 0


async def test_an_answer_that_somebody_deleted_is_posted_anew(desk: Desk) -> None:
    question = await desk.ask()
    await show(desk, question)
    [posted] = desk.answers(question)
    desk.slack.workspace.delete(posted)

    ts = await show(desk, question, "Ten.")

    assert [(m.ts, m.text) for m in desk.answers(question)] == [(ts, "Ten.")]
    assert ts != posted.ts


@pytest.mark.parametrize(
    ("code", "kind"), [("is_archived", NotFound), ("not_in_channel", NotFound), ("msg_too_long", SlackRefusal)]
)
async def test_what_slack_will_not_take_is_tried_once(desk: Desk, code: str, kind: type[Exception]) -> None:
    question = await desk.ask()
    desk.slack.faults.refuse(POST, code, times=9)

    with pytest.raises(kind):
        await show(desk, question)

    assert desk.count(POST) == 1


async def test_a_stream_that_may_have_ended_is_seen_to_its_end(desk: Desk) -> None:
    question = await desk.ask()
    message = desk.message(question, await desk.claim(question))
    recipient = {"recipient_team_id": question.team_id, "recipient_user_id": question.user_id}
    await message.post(START, {**recipient, "markdown_text": "Nine "}, state="streaming")
    desk.slack.faults.put("chat.stopStream", broken(done=False))
    desk.slack.faults.put("chat.stopStream", html(done=False))
    desk.slack.faults.cut_reply("chat.stopStream")

    stopped = await message.stop(last_text="o'clock.")

    [posted] = desk.answers(question)
    assert not stopped, "it had ended when it was asked the last time"
    assert (posted.text, posted.streaming) == ("Nine o'clock.", "completed")


async def test_a_short_limit_is_waited_out(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.faults.refuse(POST, "ratelimited", status=429, retry_after_s=1)

    await show(desk, question)

    assert desk.said(question) == ["Nine."]
    assert not desk.slack.manners.early


async def test_a_long_limit_is_left_to_the_queue_and_holds_every_process_off(desk: Desk) -> None:
    question, other, elsewhere = await desk.ask(), await desk.ask(), await desk.ask(channel="handbook")
    desk.slack.faults.refuse(POST, "ratelimited", status=429, retry_after_s=30)

    with pytest.raises(ServiceUnavailable) as first:
        await show(desk, question)
    with pytest.raises(ServiceUnavailable) as second:
        await desk.message(other, await desk.claim(other), by=desk.process()).show("Ten.", [])
    await desk.message(elsewhere, await desk.claim(elsewhere), by=desk.process()).show("Eleven.", [])

    assert 25 < (first.value.retry_after_s or 0) <= 30
    assert 25 < (second.value.retry_after_s or 0) <= 30
    assert desk.count(POST) == 2
    assert not desk.slack.manners.early
    assert await desk.noted(question) is None, "so the next attempt has nothing to look for"


async def test_who_waits_for_a_turn_heeds_what_slack_tells_another_meanwhile(desk: Desk) -> None:
    first, second, third = [await desk.ask() for _ in range(3)]
    one, two = desk.process(interval_s=1), desk.process(interval_s=1)
    await desk.message(first, await desk.claim(first), by=one).show("1.", [])
    desk.slack.faults.refuse(POST, "ratelimited", status=429, retry_after_s=2)

    await asyncio.gather(
        desk.message(second, await desk.claim(second), by=one).show("2.", []),
        desk.message(third, await desk.claim(third), by=two).show("3.", []),
    )

    assert [desk.said(question) for question in (first, second, third)] == [["1."], ["2."], ["3."]]
    assert desk.slack.manners.limited[POST] == 1
    assert not desk.slack.manners.early
    assert not desk.slack.manners.crowded


async def test_processes_keep_their_messages_to_one_channel_apart(desk: Desk) -> None:
    questions = [await desk.ask() for _ in range(3)]
    processes = [desk.process(interval_s=1.05) for _ in range(3)]

    await asyncio.gather(
        *[
            desk.message(question, await desk.claim(question), by=process).show("Nine.", [])
            for question, process in zip(questions, processes, strict=True)
        ]
    )

    assert len(calls_of(desk.slack, POST)) == 3
    assert not desk.slack.manners.crowded


async def test_where_the_line_is_long_the_work_is_put_back_and_holds_no_place(desk: Desk) -> None:
    busy = desk.process(interval_s=5)
    first, second, third = [await desk.ask() for _ in range(3)]
    await desk.message(first, await desk.claim(first), by=busy).show("1.", [])

    waits: list[float] = []
    for question in (second, third):
        with pytest.raises(ServiceUnavailable) as error:
            await desk.message(question, await desk.claim(question), by=busy).show("?", [])
        waits.append(error.value.retry_after_s or 0)

    assert all(3 < wait <= 5 for wait in waits)
    assert desk.count(POST) == 1
