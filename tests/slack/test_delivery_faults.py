"""Answers arrive whole and once, whatever breaks while they are written, and whoever is thought dead meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import Sessions
from bot.errors import NotFound, ServiceUnavailable, Superseded
from bot.playground.faults import broken, html, slow
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.slack.delivery import APPEND_INTERVAL_S
from bot.values import Question
from tests.repositories.builders import counted_statements
from tests.slack.posting import Desk, answer

NINE = "The office opens at nine."


@pytest.fixture
async def desk(slack: LocalSlack, sessions: Sessions) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as closing:
        yield Desk(slack, sessions, closing)


async def next_piece() -> None:
    """Wait until another piece of a stream is due."""
    await asyncio.sleep(APPEND_INTERVAL_S)


def only(desk: Desk, question: Question) -> tuple[str, bool]:
    """Return what the one answer to the question says, and whether it is still being written."""
    [message] = desk.answers(question)
    shown = "".join(block["text"] for block in message.blocks if block["type"] == "markdown") or message.text
    return shown.strip(), message.streaming == "in_progress"


async def test_a_streamed_answer_costs_three_transactions(desk: Desk, engine: AsyncEngine) -> None:
    question = await desk.ask()
    reply = desk.reply(question, await desk.claim(question))

    with counted_statements(engine) as executed:
        await reply.append("The office opens ")
        await next_piece()
        await reply.append("at nine. ")
        ts = await reply.finish(answer(NINE, found=True))

    assert only(desk, question) == (NINE, False)
    assert await desk.noted(question) == (ts, "final")
    assert len(executed) == 7, "claim, turn, ts, end; and the fence in each of the three transactions"
    assert (desk.count("chat.startStream"), desk.count("chat.stopStream"), desk.count("chat.update")) == (1, 1, 0)


async def test_an_answer_of_which_nothing_was_shown_yet_is_one_post(desk: Desk) -> None:
    question = await desk.ask()

    ts = await desk.reply(question, await desk.claim(question)).finish(answer("I found nothing."))

    [message] = desk.answers(question)
    assert message.ts == ts
    assert "I found nothing." in words_of(message)
    assert desk.count("chat.postMessage") == sum(desk.slack.manners.calls.values())


async def test_a_limit_on_pieces_loses_no_text(desk: Desk) -> None:
    question = await desk.ask()
    reply = desk.reply(question, await desk.claim(question))
    await reply.append("The office ")
    await next_piece()
    desk.slack.faults.refuse("chat.appendStream", "ratelimited", status=429, retry_after_s=1)

    for piece in ("opens ", "at ", "nine. "):
        await reply.append(piece)
        await next_piece()
    await reply.finish(answer(NINE, found=True))

    assert only(desk, question) == (NINE, False)
    assert desk.count("chat.update") == 0
    assert not desk.slack.manners.early


@pytest.mark.parametrize("fault", [broken(done=True), broken(done=False), html(done=True)])
async def test_a_piece_that_may_have_arrived_is_neither_lost_nor_doubled(desk: Desk, fault: object) -> None:
    question = await desk.ask()
    reply = desk.reply(question, await desk.claim(question))
    await reply.append("The office ")
    await next_piece()
    desk.slack.faults.put("chat.appendStream", fault)  # type: ignore[arg-type]  # parametrized

    await reply.append("opens ")
    await reply.append("at nine. ")
    await reply.finish(answer(NINE, found=True))

    assert only(desk, question) == (NINE, False)


@pytest.mark.parametrize("fault", [broken(done=True), broken(done=False), html(done=True)])
async def test_an_end_that_may_have_come_is_seen_to(desk: Desk, fault: object) -> None:
    question = await desk.ask()
    reply = desk.reply(question, await desk.claim(question))
    await reply.append("The office ")
    desk.slack.faults.put("chat.stopStream", fault)  # type: ignore[arg-type]  # parametrized
    desk.slack.faults.put("chat.update", fault)  # type: ignore[arg-type]  # parametrized

    await reply.finish(answer(NINE, found=True))

    assert only(desk, question) == (NINE, False)


@pytest.mark.parametrize("streams_again", [True, False])
async def test_a_stream_cut_by_a_crash_is_replaced_by_the_next_attempt(desk: Desk, streams_again: bool) -> None:  # noqa: FBT001  # parametrized
    question = await desk.ask()
    await desk.reply(question, await desk.claim(question)).append("The offi ")
    [message] = desk.answers(question)

    reply = desk.reply(question, await desk.claim(question), by=desk.process())
    if streams_again:
        await reply.append("The office ")
        assert message.streaming != "in_progress", "it doesn't spin while it is written anew"
    await reply.finish(answer(NINE, found=True))

    assert only(desk, question) == (NINE, False)
    assert message.metadata


async def test_an_answer_that_was_complete_stays_until_it_is_replaced_as_a_whole(desk: Desk) -> None:
    question = await desk.ask()
    await desk.reply(question, await desk.claim(question)).finish(answer(NINE, found=True))
    again = desk.reply(question, await desk.claim(question))

    await again.append("The ")
    await asyncio.sleep(2 * APPEND_INTERVAL_S)
    await again.append("office ")

    assert only(desk, question) == (NINE, False)


async def test_a_stream_cut_by_a_crash_may_end_in_an_apology(desk: Desk) -> None:
    question = await desk.ask()
    await desk.reply(question, await desk.claim(question)).append("The offi ")

    await desk.reply(question, await desk.claim(question)).apologise("I couldn't.")

    assert only(desk, question) == ("I couldn't.", False)
    assert (await desk.noted(question) or ())[1:] == ("apology",)


async def test_an_apology_replaces_what_was_written_so_far(desk: Desk) -> None:
    question = await desk.ask()
    reply = desk.reply(question, await desk.claim(question))
    await reply.append("The offi ")

    await reply.apologise("I couldn't.")

    assert only(desk, question) == ("I couldn't.", False)


async def test_a_crash_before_the_stream_was_noted_is_taken_up(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.faults.put("chat.startStream", slow(5, done=True))
    first = asyncio.create_task(desk.reply(question, await desk.claim(question)).append("The offi "))
    while not desk.answers(question):
        await asyncio.sleep(0.01)
    first.cancel()

    reply = desk.reply(question, await desk.claim(question))
    await reply.append("The office ")
    await reply.finish(answer(NINE, found=True))

    assert only(desk, question) == (NINE, False)


@pytest.mark.parametrize("can_stream", [True, False])
async def test_one_thought_dead_changes_nothing_when_it_wakes(desk: Desk, can_stream: bool) -> None:  # noqa: FBT001  # parametrized
    if not can_stream:
        desk.slack.disable("chat.startStream")
    question = await desk.ask()
    asleep = desk.reply(question, await desk.claim(question), by=desk.process())
    await asleep.append("The offi ")
    await desk.reply(question, await desk.claim(question)).finish(answer(NINE, found=True))
    await asyncio.sleep(2 * APPEND_INTERVAL_S)

    with pytest.raises(Superseded):
        await _write_on(desk, asleep)

    assert only(desk, question) == (NINE, False)


async def _write_on(desk: Desk, reply: object) -> None:
    await reply.append("closes ")  # type: ignore[attr-defined]  # a reply
    await reply.finish(answer("The office closes."))  # type: ignore[attr-defined]  # a reply


async def test_a_question_deleted_while_its_answer_is_written_leaves_none(desk: Desk) -> None:
    question = await desk.ask()
    writing = desk.reply(question, await desk.claim(question))
    await writing.append("The offi ")
    await desk.stop(question)
    await desk.reply(question, await desk.claim(question), by=desk.process()).withdraw()
    await next_piece()

    with pytest.raises(Superseded):
        await _write_on(desk, writing)

    assert desk.answers(question) == []


async def test_who_is_no_longer_in_the_channel_gets_the_answer_unstreamed(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.leave("Ada", "general")
    reply = desk.reply(question, await desk.claim(question))

    await reply.append("The office ")
    await reply.finish(answer(NINE, found=True))

    assert only(desk, question) == (NINE, False)


async def test_a_channel_that_was_archived_ends_the_work(desk: Desk) -> None:
    question = await desk.ask()
    desk.slack.faults.refuse("chat.startStream", "is_archived", times=9)

    with pytest.raises(NotFound, match="is_archived"):
        await desk.reply(question, await desk.claim(question)).append("The office ")

    assert desk.count("chat.startStream") == 1


async def test_an_end_that_slack_puts_off_for_long_is_left_to_the_next_attempt(desk: Desk) -> None:
    question = await desk.ask()
    reply = desk.reply(question, await desk.claim(question))
    await reply.append("The office ")
    desk.slack.faults.refuse("chat.stopStream", "ratelimited", status=429, retry_after_s=20)

    with pytest.raises(ServiceUnavailable) as error:
        await reply.finish(answer(NINE, found=True))
    later = desk.process()
    await desk.reply(question, await desk.claim(question), by=later).finish(answer(NINE, found=True))

    assert error.value.retry_after_s == 20
    assert only(desk, question) == (NINE, False)


async def test_a_status_is_shown_at_best(desk: Desk) -> None:
    question = await desk.ask()
    reply = desk.reply(question, await desk.claim(question))
    status = "assistant.threads.setStatus"
    for fault in (broken(done=False), html()):
        desk.slack.faults.put(status, fault)
    desk.slack.faults.refuse(status, "ratelimited", status=429, retry_after_s=30)

    for _ in range(5):
        await reply.show_status("Reading …")

    assert desk.count(status) == 3, "and not before it may"
