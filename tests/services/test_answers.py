"""An answer from question to record: what is asked of whom, in which order, and what is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import InvalidRequest, ModelUnavailable, NotFound, ServiceUnavailable, Superseded
from bot.jobs.claim import WorkClaim
from bot.repositories.conversations import ConversationRepository
from bot.repositories.memberships import MembershipRepository
from bot.repositories.work import WorkRepository
from bot.services.answers import AnswerService
from bot.services.errands import answer_errand, ingest_errand
from bot.services.ports import Unclaimed
from bot.services.questions import GREETING, MAX_QUESTION_CHARS
from bot.services.writer import NOT_FOUND
from bot.values import Answer, Audience, Channel, ChannelKind, Question, Role, Turn, Usage
from tests.conftest import TEAM
from tests.repositories.builders import counted_statements
from tests.services.asking import GOOD, ROOT, answers_stored, ask, question, rows
from tests.services.conftest import House
from tests.services.stand_ins import NotedReply, ScriptedChat, shared_file

# What an answer is


async def test_an_answer_streams_first_and_is_finished_with_its_sources(house: House) -> None:
    outcome = await house.share()

    asked = await ask(house, "The office opens ", "at eight in the morning. ", "[1]")

    assert asked.reply.events == ["append", "append", "append", "finish"]
    assert asked.reply.streamed == GOOD
    assert asked.reply.finished == asked.answer
    (citation,) = asked.answer.citations
    assert citation.document_id == outcome.document_id
    assert citation.quote == "The office opens at eight in the morning and closes at six."
    assert citation.permalink == f"https://slack.test/C1/{ROOT}"


async def test_what_is_stored_is_stored_after_it_was_posted(house: House) -> None:
    await house.share()
    seen: list[int] = []

    class Looking(NotedReply):
        async def finish(self, answer: Answer) -> str:
            seen.append(len(await answers_stored(house)))
            return await super().finish(answer)

    await house.answers(ScriptedChat(GOOD)).answer(question(), Looking(), claim=Unclaimed())

    assert seen == [0]
    assert len(await answers_stored(house)) == 1


async def test_the_record_holds_text_sources_and_what_it_cost(house: House) -> None:
    await house.share()

    asked = await ask(house)

    (row,) = await answers_stored(house)
    assert (row["content"], row["slack_ts"], row["reply_to"]) == (GOOD, asked.reply.ts, question().ts)
    assert (row["model"], row["prompt_tokens"], row["completion_tokens"], row["token_count"]) == (
        "scripted",
        120,
        7,
        127,
    )
    assert row["latency_ms"] >= 0
    assert [source["quote"] for source in row["sources"]] == [c.quote for c in asked.answer.citations]
    (used,) = await rows(house, "SELECT * FROM usage_events")
    assert (used["model"], used["prompt_tokens"], used["completion_tokens"]) == ("scripted", 120, 7)
    assert used["user_id"] == await house.user_id()


async def test_the_real_extractive_model_answers_in_the_words_of_the_file(house: House) -> None:
    await house.share()
    reply = NotedReply()

    answer = await house.answers().answer(
        question("How many days of holiday do employees have?"), reply, claim=Unclaimed()
    )

    assert answer is not None
    assert answer.found
    assert "twenty-seven days of holiday" in answer.citations[0].quote
    assert answer.usage.model == "extractive"
    assert answer.usage.prompt_tokens > answer.usage.completion_tokens > 0


async def test_marks_are_numbered_as_they_appear(house: House) -> None:
    await house.share(b"The canteen serves soup on Mondays.", file_id="F1", filename="soup.txt")
    await house.share(b"The canteen serves fish on Fridays.", file_id="F2", filename="fish.txt")
    chat = ScriptedChat("The canteen serves fish on Fridays. [2] The canteen serves soup on Mondays. [1]")
    about = question("What does the canteen serve?")
    found = await house.search.search(about.text, audience=Audience(TEAM, frozenset(["C1"])))
    if found.passages[0].filename == "fish.txt":  # whichever passage comes first, the model names the other first
        chat = ScriptedChat("The canteen serves soup on Mondays. [2] The canteen serves fish on Fridays. [1]")

    answer = await house.answers(chat).answer(about, NotedReply(), claim=Unclaimed())

    assert answer is not None
    assert [c.number for c in answer.citations] == [1, 2]
    assert answer.text.index("[1]") < answer.text.index("[2]")
    assert answer.citations[0].filename == found.passages[1].filename


# What isn't one


async def test_a_greeting_is_greeted_and_nothing_is_stored(house: House) -> None:
    for words in ("", "  ", "👋", ":wave: :tada:", "…?!"):
        reply, chat = NotedReply(), ScriptedChat(GOOD)

        assert await house.answers(chat).answer(question(words), reply, claim=Unclaimed()) is None

        assert reply.apologies == [GREETING]
        assert chat.prompts == []
    assert await rows(house, "SELECT * FROM messages") == []


async def test_a_question_may_be_long_but_not_a_book(house: House) -> None:
    answers = house.answers(ScriptedChat(GOOD))

    assert await answers.answer(question("a " * (MAX_QUESTION_CHARS // 2)), NotedReply(), claim=Unclaimed()) is not None
    with pytest.raises(InvalidRequest) as refused:
        await answers.answer(question("a" * (MAX_QUESTION_CHARS + 1)), NotedReply(), claim=Unclaimed())

    assert "8,000 characters" in refused.value.user_message
    assert "Share it as a file" in refused.value.user_message


async def test_without_passages_the_model_is_not_asked(house: House) -> None:
    asked = await ask(house)

    assert (asked.answer.text, asked.answer.found, asked.answer.citations) == (NOT_FOUND, False, ())
    assert asked.chat.prompts == []
    assert asked.reply.events == ["finish"]
    (row,) = await answers_stored(house)
    assert (row["content"], row["token_count"]) == (NOT_FOUND, 0)


async def test_passages_below_the_floor_are_no_passages(house: House) -> None:
    await house.share()

    asked = await ask(house, about=question("Which quarks make up a proton?"))

    assert not asked.answer.found
    assert asked.chat.prompts == []


@pytest.mark.parametrize(
    "words",
    [
        "The office opens at eight in the morning.",
        "The chairman of the board is paid four million zlotys. [1]",
        "The office opens at eight in the morning. [7]",
        "",
    ],
    ids=["no mark", "not borne out", "no such passage", "nothing said"],
)
async def test_what_no_source_bears_out_is_not_said(house: House, words: str) -> None:
    await house.share()

    asked = await ask(house, words)

    assert asked.answer.text == NOT_FOUND
    assert not asked.answer.found
    assert asked.answer.usage.prompt_tokens == 120, "what was spent was spent"
    assert asked.reply.finished == asked.answer


async def test_a_model_that_fails_half_way_leaves_the_question_and_no_answer(house: House) -> None:
    await house.share()
    reply = NotedReply()

    with pytest.raises(ModelUnavailable):
        await house.answers(ScriptedChat("The office ", ModelUnavailable("cut"))).answer(
            question(), reply, claim=Unclaimed()
        )

    assert reply.events == ["append"]
    assert [row["role"] for row in await rows(house, "SELECT role FROM messages")] == ["user"]


async def test_the_next_attempt_completes_what_the_first_began(house: House) -> None:
    await house.share()
    with pytest.raises(ModelUnavailable):
        await house.answers(ScriptedChat(ModelUnavailable("down"))).answer(question(), NotedReply(), claim=Unclaimed())

    asked = await ask(house)

    assert asked.answer.found
    stored = await rows(house, "SELECT role FROM messages ORDER BY id")
    assert [row["role"] for row in stored] == ["user", "assistant"]


# Whose work it is


async def claimed_work(house: House) -> WorkClaim:
    """Leave a question in the queue and take it on."""
    async with house.sessions.tenant(TEAM) as session:
        await house.queue.enqueue(session, answer_errand(question()))
        work_id = await session.scalar(text("SELECT id FROM work"))
        work = await WorkRepository(session).claim(TEAM, work_id)
    assert work is not None
    return WorkClaim(work)


async def test_the_answer_and_the_end_of_the_work_are_stored_together(house: House) -> None:
    await house.share()
    claim = await claimed_work(house)

    with counted_statements(house.engine) as statements:
        await house.answers(ScriptedChat(GOOD)).answer(question(), NotedReply(), claim=claim)

    assert [row["state"] for row in await rows(house, "SELECT state FROM work")] == ["done"]
    assert len(await answers_stored(house)) == 1
    assert len(statements) <= 4, statements


async def test_who_has_lost_the_work_stores_nothing_but_what_it_spent(house: House) -> None:
    await house.share()
    claim = await claimed_work(house)

    class Overtaken(NotedReply):
        async def finish(self, answer: Answer) -> str:
            async with house.sessions.tenant(TEAM) as session:
                await session.execute(text("UPDATE work SET epoch = epoch + 1"))
            return await super().finish(answer)

    with pytest.raises(Superseded):
        await house.answers(ScriptedChat(GOOD)).answer(question(), Overtaken(), claim=claim)
    await house.usage.close()

    assert [row["state"] for row in await rows(house, "SELECT state FROM work")] == ["running"]
    assert await answers_stored(house) == []
    (used,) = await rows(house, "SELECT * FROM usage_events")
    assert (used["prompt_tokens"], used["completion_tokens"]) == (120, 7)
    assert used["user_id"] == await house.user_id()


async def test_somebody_slack_does_not_know_gets_no_answer(house: House) -> None:
    with pytest.raises(NotFound):
        await house.answers(ScriptedChat(GOOD)).answer(question(user="U404"), NotedReply(), claim=Unclaimed())


# History and follow-ups


async def test_what_was_said_in_the_thread_goes_into_the_prompt(house: House) -> None:
    await house.share()
    await ask(house)

    later = question("And when does it close?", ts="1700001200.000000", thread_ts=question().ts)
    asked = await ask(house, "The office closes at six. [1]", about=later)

    (prompt,) = asked.chat.prompts
    assert [(turn.role, turn.text) for turn in prompt.history] == [
        (Role.USER, "When does the office open?"),
        (Role.ASSISTANT, GOOD),
    ]
    assert prompt.history[0].author == "Name of U1"


async def test_a_follow_up_is_searched_with_what_it_refers_to(house: House) -> None:
    await house.share()
    await ask(house, about=question("How many days of holiday does an employee have?"))
    house.embedder.queries.clear()

    later = question("And how many of them carry over?", ts="1700001200.000000", thread_ts=question().ts)
    asked = await ask(house, "Up to five days carry over into March. [1]", about=later)

    standalone = "How many days of holiday does an employee have? And how many of them carry over?"
    assert asked.chat.prompts[0].search_text == standalone
    assert asked.chat.prompts[0].question == "And how many of them carry over?"
    assert standalone in house.embedder.queries


async def test_a_question_that_stands_alone_is_embedded_once(house: House) -> None:
    await house.share()
    house.embedder.queries.clear()

    await ask(house)

    assert house.embedder.queries == ["When does the office open?"]


async def test_a_thread_that_began_without_us_is_read_once(house: House) -> None:
    await house.share()
    house.threads.turns = [
        Turn(Role.USER, "We talked about holidays.", "Ben", ts="1700000001.000000"),
        Turn(Role.USER, "When does the office open?", "Ada", ts="1700000100.000000"),
        Turn(Role.USER, "Somebody was faster.", "Cleo", ts="1700000101.000000"),
    ]

    first = await ask(house, about=question(thread_ts=ROOT))
    second = await ask(house, about=question("When does the office close?", ts="1700001200.000000", thread_ts=ROOT))

    assert house.threads.read == [("C1", ROOT)]
    assert [turn.text for turn in first.chat.prompts[0].history] == ["We talked about holidays."]
    stored = await rows(house, "SELECT content, author_name FROM messages WHERE author_name = 'Ben'")
    assert stored == [{"content": "We talked about holidays.", "author_name": "Ben"}]
    assert second.chat.prompts[0].history[0].text == "We talked about holidays."


async def test_a_question_that_opens_its_thread_has_no_thread_to_read(house: House) -> None:
    await house.share()

    await ask(house)

    assert house.threads.read == []


async def test_files_found_in_a_thread_are_left_to_be_read_once(house: House) -> None:
    house.threads.files = [shared_file("F7", filename="late.md"), shared_file("F8", filename="later.md")]

    asked = await ask(house, about=question(thread_ts=ROOT), file_wait_s=0)

    assert asked.answer.unread == ("a file shared in this thread",)
    work = await rows(house, "SELECT task, key, ids, thread FROM work ORDER BY key")
    assert [row["key"] for row in work] == [f"F7:C1:{ROOT}", f"F8:C1:{ROOT}"]
    assert work[0]["thread"] == f"C1:{ROOT}"
    assert work[0]["ids"] == {
        "team_id": TEAM,
        "file_id": "F7",
        "channel_id": "C1",
        "message_ts": ROOT,
        "thread_ts": ROOT,
    }


# Waiting for files


async def enqueue_ingest(house: House) -> None:
    errand = ingest_errand(TEAM, "F1", channel_id="C1", message_ts=ROOT, thread_ts=ROOT)
    async with house.sessions.tenant(TEAM) as session:
        await house.queue.enqueue(session, errand)


async def finish_ingest(house: House) -> None:
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE work SET state = 'done'"))


async def test_a_question_waits_for_the_files_of_its_thread(house: House) -> None:
    await enqueue_ingest(house)

    async def read_later() -> None:
        await asyncio.sleep(0.4)
        await house.share()
        await finish_ingest(house)

    reading = asyncio.create_task(read_later())
    asked = await ask(house, about=question(thread_ts=ROOT))
    await reading

    assert asked.answer.found
    assert asked.answer.unread == ()
    assert asked.reply.events[0] == "status"
    assert asked.reply.events[-1] == "finish"


async def test_a_status_is_shown_once_while_nothing_changes(house: House) -> None:
    await enqueue_ingest(house)

    asked = await ask(house, about=question(thread_ts=ROOT), file_wait_s=0.9)

    assert asked.reply.statuses == ["Reading the files in this thread …"]


async def test_after_the_wait_the_unread_files_are_named(house: House) -> None:
    await house.share(b"The gate opens at five.", file_id="F0", filename="gate.txt", ts="1699999999.000000")
    await enqueue_ingest(house)
    house.embedder.fails_with = ModelUnavailable("down")
    with pytest.raises(ModelUnavailable):
        await house.share()
    house.embedder.fails_with = None

    asked = await ask(
        house,
        "The gate opens at five. [1]",
        about=question("When does the gate open?", thread_ts=ROOT),
        file_wait_s=0.3,
    )

    assert asked.answer.found, "what is known is answered"
    assert asked.answer.unread == ("handbook.md",)
    assert asked.reply.statuses == ["Reading handbook.md …"]
    assert asked.reply.finished is not None
    assert asked.reply.finished.unread == ("handbook.md",)


async def test_files_of_another_thread_are_not_waited_for(house: House) -> None:
    await house.share()
    await enqueue_ingest(house)

    asked = await ask(house, file_wait_s=30)

    assert asked.reply.statuses == []


# Who may read what


async def test_a_channel_known_too_long_is_looked_up_again(house: House) -> None:
    await house.share()
    await age_channels(house)
    house.slack.asked.clear()

    asked = await ask(house)

    assert house.slack.asked == ["C1"]
    assert asked.answer.found


async def test_a_channel_known_lately_is_not(house: House) -> None:
    await house.share()
    house.slack.asked.clear()

    await ask(house)

    assert house.slack.asked == []


async def test_an_answer_from_a_channel_that_its_asker_left_is_no_part_of_what_they_ask_next(house: House) -> None:
    await house.share(channel="G1")
    house.slack.add_channel("D1", "U1", kind=ChannelKind.IM)
    await house.audiences.refresh(TEAM, ["D1"])
    first = await ask(house, about=question(channel="D1", ts="1700000100.000000"))
    again = question("And when does it close?", channel="D1", ts="1700000200.000000", thread_ts="1700000100.000000")
    kept = await house.answers(chat := ScriptedChat(GOOD)).answer(again, NotedReply(), claim=Unclaimed())
    house.slack.channels["G1"] = Channel("G1", ChannelKind.PRIVATE, "g1", has_outsiders=False)
    async with house.sessions.tenant(TEAM) as session:
        await MembershipRepository(session).delete_member(TEAM, "G1", "U1")
    await house.share(b"The library opens at noon and closes at ten.", file_id="F2", filename="library.txt")

    last = question("And the library?", channel="D1", ts="1700000300.000000", thread_ts="1700000100.000000")
    asked = await ask(house, about=last)

    assert first.answer.found
    assert kept is not None
    assert "eight in the morning" in str(chat.prompts[0].history)
    assert [turn.text for turn in asked.chat.prompts[0].history] == ["When does the office open?", again.text]
    assert "eight in the morning" not in str(asked.chat.prompts)


async def test_when_slack_cannot_be_asked_nothing_is_answered_from_what_has_aged(house: House) -> None:
    await house.share()
    await age_channels(house)
    house.slack.is_down = True
    chat, reply = ScriptedChat(GOOD), NotedReply()

    with pytest.raises(ServiceUnavailable):
        await house.answers(chat).answer(question(), reply, claim=Unclaimed())

    assert chat.prompts == []
    assert reply.events == []


async def test_a_channel_turned_private_is_left_out_of_answers_elsewhere(house: House) -> None:
    house.slack.add_channel("C3", "U1", "U2")
    await house.share(channel="C3")
    elsewhere = question(channel="C1")
    assert (await ask(house, about=elsewhere)).answer.found

    house.slack.channels["C3"] = Channel("C3", ChannelKind.PRIVATE, "c3", has_outsiders=False, member_ids=frozenset())
    await age_channels(house)
    asked = await ask(house, about=replace(elsewhere, ts="1700002000.000000", thread_ts="1700002000.000000"))

    assert not asked.answer.found
    assert asked.chat.prompts == []


async def test_a_private_channel_is_read_there_and_nowhere_else(house: House) -> None:
    await house.share(channel="G1")

    assert (await ask(house, about=question(channel="G1"))).answer.found
    assert not (await ask(house, about=question(channel="C1", ts="1700000200.000000"))).answer.found


async def test_where_outsiders_are_about_only_their_own_channel_is_read(house: House) -> None:
    await house.share(channel="C1")
    await house.share(b"The car park opens at nine in the evening.", file_id="F2", filename="park.txt", channel="C2")

    asked = await ask(house, about=question("When does the office or the car park open?", channel="C2"))

    assert {passage.filename for passage in asked.chat.prompts[0].passages} == {"park.txt"}


async def test_what_is_answered_to_the_asker_alone_draws_on_all_they_may_read(house: House) -> None:
    await house.share(channel="G1")
    private = replace(question(ts="command:1"), channel_id="private:U1", thread_ts="command:1")
    chat = ScriptedChat(GOOD)

    answer = await house.answers(chat).answer(private, NotedReply(), private=True, claim=Unclaimed())
    others = await house.answers(chat).answer(
        replace(private, user_id="U2", channel_id="private:U2", ts="command:2"),
        NotedReply(),
        private=True,
        claim=Unclaimed(),
    )

    assert answer is not None
    assert answer.found
    assert others is not None
    assert not others.found


async def age_channels(house: House) -> None:
    async with house.sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE channels SET synced_at = now() - interval '1 hour'"))


# Nearest passages


async def test_the_nearest_passages_are_shown_below_the_floor_too(house: House) -> None:
    await house.share()
    about = question("Which quarks make up a proton?")
    asked = await ask(house, about=about)
    assert not asked.answer.found

    found = await nearest(house, about, user="U1")

    assert {passage.filename for passage in found} == {"handbook.md"}


async def test_the_nearest_passages_are_those_the_one_who_presses_may_read(house: House) -> None:
    await house.share(channel="G1")
    about = question("Which quarks make up a proton?", channel="C1")
    await ask(house, about=about)

    assert await nearest(house, about, user="U1"), "she is in the private channel"
    assert await nearest(house, about, user="U2") == ()
    assert await nearest(house, about, user="U9") == ()


async def test_a_question_nobody_stored_has_nothing_near(house: House) -> None:
    await house.share()

    assert await nearest(house, question(), user="U1") == ()


async def nearest(house: House, about: Question, *, user: str) -> tuple[Any, ...]:
    return await house.answers().nearest(TEAM, channel_id=about.channel_id, ts=about.ts, user_id=user)


# The API's way in


async def test_the_api_asks_in_a_conversation_of_its_own(house: House) -> None:
    await house.share()
    user_id = await house.user_id()

    answer = await house.answers(ScriptedChat(GOOD)).ask(only_c1(), "When does the office open?", user_id=user_id)

    assert answer.found
    (conversation,) = await rows(house, "SELECT * FROM conversations WHERE channel_id LIKE 'personal:%'")
    assert conversation["started_by"] == user_id
    said = await rows(house, "SELECT * FROM messages ORDER BY id")
    assert [(row["role"], row["slack_ts"]) for row in said] == [("user", None), ("assistant", None)]
    assert {row["conversation_id"] for row in said} == {conversation["id"]}
    assert said[1]["token_count"] == 127


async def test_two_questions_by_the_api_are_two_conversations(house: House) -> None:
    await house.share()
    answers, user_id = house.answers(ScriptedChat(GOOD)), await house.user_id()

    for _ in range(2):
        await answers.ask(only_c1(), "When does the office open?", user_id=user_id)

    assert len(await answers_stored(house)) == 2
    assert len(await rows(house, "SELECT id FROM conversations WHERE channel_id LIKE 'personal:%'")) == 2


async def test_the_api_is_told_what_is_no_question(house: House) -> None:
    answers, user_id = house.answers(ScriptedChat(GOOD)), await house.user_id()

    for words, sentence in (("?", "Ask me something"), ("a" * 8_001, "too long")):
        with pytest.raises(InvalidRequest) as refused:
            await answers.ask(only_c1(), words, user_id=user_id)
        assert sentence in refused.value.user_message


async def test_the_api_reads_no_more_than_its_audience(house: House) -> None:
    await house.share(channel="G1")

    answer = await house.answers(ScriptedChat(GOOD)).ask(only_c1(), "When does it open?", user_id=await house.user_id())

    assert not answer.found


def only_c1() -> Audience:
    return Audience(TEAM, frozenset(["C1"]))


# What it costs the database


async def test_a_turn_costs_three_statements(house: House) -> None:
    await house.share()

    with counted_statements(house.engine) as statements:
        await ask(house)

    assert len(statements) <= 3, statements


async def test_no_transaction_is_open_while_a_model_or_slack_is_at_work(house: House) -> None:
    await house.share()
    await age_channels(house)
    house.slack.on_ask = house.assert_no_transaction
    chat = ScriptedChat("The office opens at eight ", "in the morning. [1]", meanwhile=house.assert_no_transaction)

    answer = await house.answers(chat).answer(question(), NotedReply(), claim=Unclaimed())

    assert answer is not None
    assert answer.found


async def test_a_follow_up_is_embedded_outside_any_transaction(house: House) -> None:
    await house.share()
    answers: AnswerService = house.answers(ScriptedChat(GOOD))
    user_id = await house.user_id()
    house.embedder.meanwhile = house.assert_no_transaction

    assert (await answers.ask(only_c1(), "When does the office open?", user_id=user_id)).found


async def test_a_conversation_is_one_a_thread(house: House) -> None:
    await house.share()
    await asyncio.gather(
        ask(house, about=question(ts="1700000100.000000", thread_ts=ROOT)),
        ask(house, about=question(ts="1700000101.000000", thread_ts=ROOT)),
    )

    async with house.sessions.tenant(TEAM) as session:
        conversation = await ConversationRepository(session).get_by_thread(TEAM, "C1", ROOT)
    assert conversation is not None
    asked = await rows(house, "SELECT DISTINCT conversation_id FROM messages WHERE role = 'user'")
    assert [row["conversation_id"] for row in asked] == [conversation.id]


# Rehearsals


async def test_a_rehearsal_answers_as_ask_does_and_keeps_only_what_it_cost(house: House) -> None:
    await house.share()
    answers, user_id = house.answers(ScriptedChat(GOOD)), await house.user_id()
    before = await rows(house, "SELECT id FROM conversations")

    answer = await answers.rehearse(only_c1(), "When does the office open?", user_id=user_id)
    await house.usage.close()

    assert answer.found
    assert answer.citations[0].quote == "The office opens at eight in the morning and closes at six."
    assert await rows(house, "SELECT id FROM messages") == []
    assert await rows(house, "SELECT id FROM conversations") == before
    (used,) = await rows(house, "SELECT * FROM usage_events")
    assert (used["prompt_tokens"], used["completion_tokens"], used["user_id"]) == (120, 7, user_id)


async def test_a_rehearsal_that_fails_keeps_what_it_cost_too(house: House) -> None:
    await house.share()
    answers = house.answers(ScriptedChat("The office", Usage("scripted", 120, 7), ModelUnavailable("away")))

    with pytest.raises(ModelUnavailable):
        await answers.rehearse(only_c1(), "When does the office open?", user_id=await house.user_id())
    await house.usage.close()

    assert len(await rows(house, "SELECT * FROM usage_events")) == 1
