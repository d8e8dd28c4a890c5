from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions
from bot.errors import Superseded
from bot.repositories.channels import ChannelRepository
from bot.repositories.conversations import ConversationRepository, RecordedAnswer
from bot.repositories.documents import DocumentRepository
from bot.repositories.retractions import RetractionRepository
from bot.repositories.tombstones import ChannelTombstones, MessageTombstones
from bot.repositories.users import UserRepository
from bot.repositories.work import WorkRepository
from bot.values import (
    Answer,
    Citation,
    DocumentStatus,
    Errand,
    Question,
    Role,
    Turn,
    TurnContext,
    Usage,
    UserKind,
    new_id,
)
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import (
    channel,
    counted_statements,
    overlap,
    person,
    question,
    record_user,
    share_bytes,
    store_texts,
)

ROOT = "1700000000.000000"
CITATION = Citation(1, new_id(), new_id(), "handbook.pdf", 3, "We open at nine.", 10, 26, "https://example.com/p1")


def answer(text: str = "At nine. [1]", *citations: Citation) -> Answer:
    return Answer(text, citations, found=bool(citations), usage=Usage("extractive", 120, 30))


async def begin(session: AsyncSession, asked: Question, *, private: bool = False) -> TurnContext:
    return await ConversationRepository(session).begin_turn(asked, person(), private=private)


async def test_a_first_question_makes_the_person_the_conversation_and_the_message(sessions: Sessions) -> None:
    asked = question("When do we open?", ts=ROOT)

    async with sessions.tenant(TEAM) as session:
        turn = await begin(session, asked)

    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        user = await UserRepository(session).get(TEAM, turn.user_id)
        conversation = await conversations.get(TEAM, turn.conversation_id)
        message = await conversations.get_message(TEAM, "C1", ROOT)
    assert user is not None
    assert (user.slack_user_id, user.name) == ("U1", "Ada")
    assert conversation is not None
    assert (conversation.channel_id, conversation.thread_ts, conversation.started_by) == ("C1", ROOT, turn.user_id)
    assert message is not None
    assert (message.content, message.role, message.author_id) == ("When do we open?", Role.USER, turn.user_id)
    assert turn.history == ()
    assert turn.thread_read
    assert turn.channel_ids == {"C1"}
    assert turn.channel_synced_at is None
    assert turn.stale_channel_ids == {"C1"}
    assert turn.embedding_model_id is None
    assert (turn.pending_files, turn.processing) == (0, ())


async def test_a_turn_is_read_and_stored_in_one_statement_each(sessions: Sessions, engine: AsyncEngine) -> None:
    for asked in (question(ts=ROOT), question(ts="1700000009.000000", thread_ts=ROOT)):
        async with sessions.tenant(TEAM) as session:
            with counted_statements(engine) as statements:
                turn = await begin(session, asked)
                await ConversationRepository(session).record_answer(
                    asked, turn, answer(), slack_ts=asked.ts[:-1] + "1", latency_ms=5
                )

        assert len(statements) == 2


async def test_a_question_delivered_twice_is_stored_once(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        first = await begin(session, question("one", ts=ROOT))
    async with sessions.tenant(TEAM) as session:
        second = await begin(session, question("other words", ts=ROOT))
        message = await ConversationRepository(session).get_message(TEAM, "C1", ROOT)
        count = await session.scalar(text("SELECT count(*) FROM messages"))

    assert (second.user_id, second.conversation_id) == (first.user_id, first.conversation_id)
    assert count == 1
    assert message is not None
    assert message.content == "one"


async def test_the_same_question_taken_on_by_two_transactions_at_once_is_one_turn(sessions: Sessions) -> None:
    async def taken_on(session: AsyncSession) -> TurnContext:
        return await begin(session, question(ts=ROOT))

    first, second = await overlap(sessions, taken_on, taken_on)

    async with sessions.tenant(TEAM) as session:
        counts = [
            await session.scalar(text(f"SELECT count(*) FROM {t}")) for t in ("users", "conversations", "messages")
        ]
    assert (second.user_id, second.conversation_id) == (first.user_id, first.conversation_id)
    assert counts == [1, 1, 1]


async def test_two_people_who_open_a_conversation_at_once_share_it(sessions: Sessions) -> None:
    async def ada(session: AsyncSession) -> TurnContext:
        asked = question(ts="1700000001.000000", thread_ts=ROOT)
        return await ConversationRepository(session).begin_turn(asked, person("UADA"))

    async def bob(session: AsyncSession) -> TurnContext:
        asked = question(ts="1700000002.000000", thread_ts=ROOT)
        return await ConversationRepository(session).begin_turn(asked, person("UBOB"))

    adas, bobs = await overlap(sessions, ada, bob)

    assert adas.conversation_id == bobs.conversation_id
    assert adas.user_id != bobs.user_id


async def test_history_is_what_stood_in_the_thread_before_the_question_in_order(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        first = question("When do we open?", ts=ROOT)
        turn = await begin(session, first)
        await conversations.record_answer(first, turn, answer("At nine."), slack_ts="1700000002.000000", latency_ms=1)
        await begin(session, question("later", ts="1700000009.000000", thread_ts=ROOT))
        await begin(session, question("elsewhere", ts="1700000001.000000", channel="C2"))

        follow_up = await begin(session, question("And on Sunday?", ts="1700000005.000000", thread_ts=ROOT))

    assert follow_up.history == (
        Turn(Role.USER, "When do we open?", author="Ada", ts=ROOT),
        Turn(Role.ASSISTANT, "At nine.", author=None, ts="1700000002.000000"),
    )


async def test_an_answer_to_an_earlier_question_is_history_though_it_came_after_the_next(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        first = question("one", ts=ROOT)
        turn = await begin(session, first)
        second = question("two", ts="1700000001.000000", thread_ts=ROOT)
        await begin(session, second)
        await conversations.record_answer(first, turn, answer("to one"), slack_ts="1700000003.000000", latency_ms=1)

        again = await begin(session, second)
        await conversations.record_answer(second, again, answer("to two"), slack_ts="1700000004.000000", latency_ms=1)
        once_more = await begin(session, second)

    assert [turn.text for turn in again.history] == ["one", "to one"]
    assert once_more.history == again.history


async def test_history_is_the_latest_of_a_long_thread(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        for n in range(6):
            await begin(session, question(f"question {n}", ts=f"170000000{n}.000000", thread_ts=ROOT))
        asked = question("last", ts="1700000009.000000", thread_ts=ROOT)
        turn = await ConversationRepository(session).begin_turn(asked, person(), history_limit=2)

    assert [turn.text for turn in turn.history] == ["question 4", "question 5"]


async def test_a_thread_that_began_without_us_is_read_once(sessions: Sessions) -> None:
    asked = question("What did they decide?", ts="1700000005.000000", thread_ts=ROOT)
    earlier = [
        Turn(Role.USER, "We could open at ten\x00.", author="Bob\ud800", ts=ROOT),
        Turn(Role.USER, "Rather at nine.", author="Eve", ts="1700000001.000000"),
        Turn(Role.USER, "without a ts", author="Eve"),
    ]
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        before = await begin(session, asked)
        new = await conversations.record_thread(TEAM, before.conversation_id, "C1", earlier)
        again = await conversations.record_thread(TEAM, before.conversation_id, "C1", earlier)
        after = await begin(session, asked)

    assert (new, again) == (2, 0)
    assert not before.thread_read
    assert after.thread_read
    assert after.history == (
        Turn(Role.USER, "We could open at ten\ufffd.", author="Bob\ufffd", ts=ROOT),
        Turn(Role.USER, "Rather at nine.", author="Eve", ts="1700000001.000000"),
    )


async def test_an_empty_thread_counts_as_read_too(sessions: Sessions) -> None:
    asked = question(ts="1700000005.000000", thread_ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        turn = await begin(session, asked)
        await conversations.record_thread(TEAM, turn.conversation_id, "C1", [])

        assert (await begin(session, asked)).thread_read


async def test_the_audience_is_that_of_the_repository_of_channels(sessions: Sessions) -> None:
    places = [channel("C1", ["U1"]), channel("C2"), channel("CX", has_outsiders=True), channel("CY", ["U1"])]
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        user = await record_user(session)
        own = await channels.record_personal(TEAM, user)
        for place in places:
            await channels.record_channel(TEAM, place)
        for where in ("C1", "CX", "CNEW"):
            for private in (False, True):
                turn = await begin(session, question(channel=where), private=private)
                known = await channels.get_audience(TEAM, channel_id=where, slack_user_id="U1", private=private)
                assert turn.channel_ids == known.channel_ids
                assert (own in turn.channel_ids) == private


async def test_the_kind_of_the_asker_counts_as_slack_told_it_now(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        await channels.record_channel(TEAM, channel("C1", ["U1"]))
        await channels.record_channel(TEAM, channel("C2"))
        conversations = ConversationRepository(session)
        as_member = await conversations.begin_turn(question(), person())
        as_guest = await conversations.begin_turn(question(), person(kind=UserKind.GUEST))

    assert as_member.channel_ids == {"C1", "C2"}
    assert as_guest.channel_ids == {"C1"}


async def test_channels_read_too_long_ago_are_named(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        channels = ChannelRepository(session)
        await channels.record_channel(TEAM, channel("C1", ["U1"]))
        fresh = await begin(session, question())
        await session.execute(text("UPDATE channels SET synced_at = now() - interval '1 hour'"))
        aged = await begin(session, question())

    assert fresh.stale_channel_ids == frozenset()
    assert fresh.channel_synced_at is not None
    assert aged.stale_channel_ids == {"C1"}


async def test_files_still_being_read_are_counted_and_named(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        conversations, work = ConversationRepository(session), WorkRepository(session)
        first_id = await work.record(Errand("ingest", TEAM, "F1", {}, lock="F1", thread=f"C1:{ROOT}"))
        assert first_id is not None
        await work.record(Errand("ingest", TEAM, "F2", {}, lock="F2", thread=f"C1:{ROOT}"))
        await work.record(Errand("ingest", TEAM, "F3", {}, lock="F3", thread="C1:1700000999.000000"))
        await work.record(Errand("answer", TEAM, "E1", {}, lock="E1", thread=f"C1:{ROOT}"))
        user = await record_user(session)
        document = await share_bytes(session, user=user, filename="a.pdf", thread_ts=ROOT, ts=ROOT)
        await share_bytes(session, b"b", user=user, filename="b.pdf", thread_ts=ROOT, ts=ROOT)
        await share_bytes(session, b"c", user=user, filename="c.pdf", thread_ts="1700000999.000000")
        asked = question(ts="1700000005.000000", thread_ts=ROOT)
        turn = await begin(session, asked)

        first = await work.claim(TEAM, first_id)
        assert first is not None
        await work.finish(TEAM, first.id, first.epoch, "done")
        await DocumentRepository(session).set_status(TEAM, document.id, DocumentStatus.READY)
        left = await conversations.pending_files(TEAM, "C1", ROOT)

    assert (turn.pending_files, turn.processing) == (2, ("a.pdf", "b.pdf"))
    assert left == (1, ("b.pdf",))


async def test_the_model_searched_by_comes_along(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await store_texts(session, ["We open at nine."])
        turn = await begin(session, question())
        model = await ChannelRepository(session).get_embedding_model(TEAM)

    assert turn.embedding_model_id == model is not None


async def test_an_answer_that_cites_a_document_which_is_just_being_deleted_misses_it(sessions: Sessions) -> None:
    asked = question(ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        document_id = await store_texts(session, ["We open at nine."])
        turn = await begin(session, asked)
    cites = answer("At nine. [1]", replace(CITATION, document_id=document_id))

    async def delete(session: AsyncSession) -> int:
        return await DocumentRepository(session).delete(TEAM, document_id)

    async def record(session: AsyncSession) -> RecordedAnswer:
        return await ConversationRepository(session).record_answer(asked, turn, cites, slack_ts="2.0", latency_ms=1)

    _, stored = await overlap(sessions, delete, record)

    assert stored.missing == (document_id,)


async def test_the_deletion_of_a_document_finds_the_answer_that_is_just_being_stored(sessions: Sessions) -> None:
    asked = question(ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        document_id = await store_texts(session, ["We open at nine."])
        turn = await begin(session, asked)
    cites = answer("At nine. [1]", replace(CITATION, document_id=document_id))

    async def record(session: AsyncSession) -> RecordedAnswer:
        return await ConversationRepository(session).record_answer(asked, turn, cites, slack_ts="2.0", latency_ms=1)

    async def delete(session: AsyncSession) -> int:
        await DocumentRepository(session).delete(TEAM, document_id)
        return await RetractionRepository(session).retract(TEAM, [document_id], notice="Gone.")

    stored, retracted = await overlap(sessions, record, delete)

    assert stored.missing == ()
    assert retracted == 1


async def cited_and_shared_in_private_too(sessions: Sessions, asked: Question) -> tuple[TurnContext, Answer]:
    """Share a document in C1 and in GSECRET, begin a turn in C1, and return it with an answer that cites the document."""
    async with sessions.tenant(TEAM) as session:
        document_id = await store_texts(session, ["We open at nine."])
        user = await record_user(session)
        data = b"handbook.pdf\nWe open at nine."
        again = await share_bytes(session, data, user=user, channel_id="GSECRET")
        assert again.id == document_id
        turn = await begin(session, asked)
    assert turn.channel_ids == {"C1"}
    return turn, answer("At nine. [1]", replace(CITATION, document_id=document_id))


async def test_an_answer_misses_what_is_just_being_taken_out_of_its_channel_and_stays_in_another(
    sessions: Sessions,
) -> None:
    asked = question(ts=ROOT)
    turn, cites = await cited_and_shared_in_private_too(sessions, asked)

    async def take_out(session: AsyncSession) -> int:
        return await DocumentRepository(session).delete_shares_in(TEAM, "C1")

    async def record(session: AsyncSession) -> RecordedAnswer:
        return await ConversationRepository(session).record_answer(asked, turn, cites, slack_ts="2.0", latency_ms=1)

    _, stored = await overlap(sessions, take_out, record)

    assert stored.missing == (cites.citations[0].document_id,)


async def test_who_takes_a_document_out_of_a_channel_finds_the_answer_that_is_just_being_stored(
    sessions: Sessions,
) -> None:
    asked = question(ts=ROOT)
    turn, cites = await cited_and_shared_in_private_too(sessions, asked)

    async def record(session: AsyncSession) -> RecordedAnswer:
        return await ConversationRepository(session).record_answer(asked, turn, cites, slack_ts="2.0", latency_ms=1)

    async def take_out(session: AsyncSession) -> int:
        await DocumentRepository(session).delete_shares_in(TEAM, "C1")
        ids = [cites.citations[0].document_id]
        return await RetractionRepository(session).retract(TEAM, ids, notice="Gone.")

    stored, retracted = await overlap(sessions, record, take_out)

    assert stored.missing == ()
    assert retracted == 1


async def test_a_question_that_was_deleted_is_not_stored(sessions: Sessions) -> None:
    asked = question(ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        await MessageTombstones(session).record(TEAM, f"C1:{ROOT}")

        await begin(session, asked)

        assert await ConversationRepository(session).get_message(TEAM, "C1", ROOT) is None


async def test_no_turn_begins_in_a_deleted_channel(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await begin(session, question(ts=ROOT))
        await ChannelTombstones(session).record(TEAM, "C1")

        await begin(session, question(ts="1700000001.000000", thread_ts=ROOT))
        with pytest.raises(Superseded):
            await begin(session, question(ts="1700000002.000000"))

        messages = await session.execute(text("SELECT slack_ts FROM messages"))
        assert [row.slack_ts for row in messages] == [ROOT]


async def test_an_answer_is_stored_with_its_sources_and_its_tokens(sessions: Sessions) -> None:
    asked = question(ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        turn = await begin(session, asked)
        stored = await conversations.record_answer(
            asked, turn, answer("At nine. [1]", CITATION), slack_ts="1700000002.000000", latency_ms=321, cost_usd=0.002
        )
        message = await conversations.get_message(TEAM, "C1", "1700000002.000000")
        usage = (await session.execute(text("SELECT * FROM usage_events"))).one()

    assert message is not None
    assert message.id == stored.id
    assert stored.missing == (CITATION.document_id,), "it cites a document that isn't there"
    assert (message.role, message.author_id, message.reply_to) == (Role.ASSISTANT, None, ROOT)
    assert (message.prompt_tokens, message.completion_tokens, message.token_count) == (120, 30, 150)
    assert (message.model, message.latency_ms, message.conversation_id) == ("extractive", 321, turn.conversation_id)
    (source,) = message.sources
    assert source == {
        "number": 1,
        "document_id": str(CITATION.document_id),
        "chunk_id": str(CITATION.chunk_id),
        "filename": "handbook.pdf",
        "page": 3,
        "quote": "We open at nine.",
        "char_start": 10,
        "char_end": 26,
        "permalink": "https://example.com/p1",
    }
    assert (usage.user_id, usage.prompt_tokens, usage.completion_tokens, usage.cost_usd) == (
        turn.user_id,
        120,
        30,
        0.002,
    )


async def test_an_answer_stored_twice_is_one_answer_and_one_use(sessions: Sessions) -> None:
    asked, usage_id = question(ts=ROOT), new_id()

    async def store(session: AsyncSession) -> RecordedAnswer:
        return await ConversationRepository(session).record_answer(
            asked, turn, answer(), slack_ts="1700000002.000000", latency_ms=1, usage_id=usage_id
        )

    async with sessions.tenant(TEAM) as session:
        turn = await begin(session, asked)
    first, second = await overlap(sessions, store, store)

    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SELECT count(*) FROM usage_events")) == 1
        assert await session.scalar(text("SELECT count(*) FROM messages WHERE role = 'assistant'")) == 1
    assert first.id is not None
    assert second.id is None


async def test_an_answer_that_is_there_already_was_paid_for_all_the_same(sessions: Sessions) -> None:
    asked = question(ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        conversations, turn = ConversationRepository(session), await begin(session, asked)
        for _ in range(2):
            await conversations.record_answer(asked, turn, answer(), slack_ts="1700000002.000000", latency_ms=1)

        assert await session.scalar(text("SELECT count(*) FROM usage_events")) == 2


async def test_an_answer_that_reading_the_thread_stored_as_bare_text_is_completed(sessions: Sessions) -> None:
    asked = question(ts="1700000005.000000", thread_ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        turn = await begin(session, asked)
        bare = [Turn(Role.ASSISTANT, "Reading …", ts="1700000006.000000")]
        await conversations.record_thread(TEAM, turn.conversation_id, "C1", bare)

        recorded = await conversations.record_answer(asked, turn, answer(), slack_ts="1700000006.000000", latency_ms=1)
        assert recorded.id is not None

        message = await conversations.get_message(TEAM, "C1", "1700000006.000000")
    assert message is not None
    assert (message.content, message.model) == ("At nine. [1]", "extractive")


async def test_an_answer_never_overwrites_what_a_person_said(sessions: Sessions) -> None:
    asked = question("mine", ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        turn = await begin(session, asked)

        recorded = await conversations.record_answer(asked, turn, answer(), slack_ts=ROOT, latency_ms=1)
        assert recorded.id is None

        message = await conversations.get_message(TEAM, "C1", ROOT)
    assert message is not None
    assert message.content == "mine"


async def test_answers_that_were_posted_nowhere_are_all_kept(sessions: Sessions) -> None:
    asked = question(ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        conversations = ConversationRepository(session)
        turn = await begin(session, asked)
        for _ in range(2):
            recorded = await conversations.record_answer(asked, turn, answer(), slack_ts=None, latency_ms=1)
            assert recorded.id is not None


async def test_an_answer_touches_its_conversation(sessions: Sessions) -> None:
    asked = question(ts=ROOT)
    async with sessions.tenant(TEAM) as session:
        turn = await begin(session, asked)
    async with sessions.tenant(TEAM) as session:
        await ConversationRepository(session).record_answer(asked, turn, answer(), slack_ts=None, latency_ms=1)
        conversation = await ConversationRepository(session).get(TEAM, turn.conversation_id)

    assert conversation is not None
    assert conversation.updated_at > conversation.created_at


@pytest.mark.parametrize("hostile", ["", "\x00", "\ud800\udc00", "a" * 40_000, "'; DELETE FROM users --", "{%s} :team"])
async def test_hostile_questions_and_answers_are_stored_as_text(sessions: Sessions, hostile: str) -> None:
    asked = question(hostile, ts=ROOT)
    citation = Citation(1, new_id(), new_id(), f"{hostile}.pdf", None, hostile, 0, 1)
    async with sessions.tenant(TEAM) as session:
        turn = await ConversationRepository(session).begin_turn(asked, person(name=hostile))
        await ConversationRepository(session).record_answer(
            asked, turn, answer(hostile, citation), slack_ts="1700000002.000000", latency_ms=1
        )
        message = await ConversationRepository(session).get_message(TEAM, "C1", "1700000002.000000")

    assert message is not None
    assert len(message.content) == len(hostile)
    assert len(message.sources[0]["quote"]) == len(hostile)


async def test_another_workspace_shares_nothing_of_a_turn(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        ours = await begin(session, question("ours", ts=ROOT))
    asked = Question(OTHER_TEAM, "C1", "U1", "1700000009.000000", ROOT, "theirs")
    async with sessions.tenant(OTHER_TEAM) as session:
        theirs = await ConversationRepository(session).begin_turn(asked, person())

    assert theirs.history == ()
    assert theirs.conversation_id != ours.conversation_id
    assert theirs.user_id != ours.user_id
