"""The main job over the wire: a file shared, a question asked, an answer with the words it relies on."""

from __future__ import annotations

from sqlalchemy import text

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled, words_of
from bot.smoke import quoted_words
from bot.web.server import WebServer
from tests.conftest import TEAM
from tests.slack.acts import HANDBOOK, asked, count, shared, worked_off


async def test_a_question_is_answered_with_the_quoted_words(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)

    reply = await asked(slack, "When does the office open?", root)

    assert any("opens at eight in the morning" in words for words in quoted_words(reply))
    assert "handbook.md" in words_of(reply)


async def test_the_source_links_to_the_message_that_shared_the_file(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)

    reply = await asked(slack, "How many days of holiday do we have?", root)

    assert f"/archives/{root.channel_id}/p{root.ts.replace('.', '')}" in str(reply.blocks)


async def test_a_question_without_an_answer_is_refused_with_a_way_on(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)

    reply = await asked(slack, "Which database engine does the Mars rover run?", root)

    assert quoted_words(reply) == []
    assert "found nothing" in words_of(reply)
    assert "nearest_passages" in str(reply.blocks)


async def test_the_nearest_passages_are_shown_to_the_asker_only(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)
    reply = await asked(slack, "Which database engine does the Mars rover run?", root)

    pressed_at = await slack.click("Ben", reply, "nearest_passages")
    seen = await slack.wait_for_ephemeral("Ben", "general", after=pressed_at)

    assert "handbook.md" in words_of(seen)
    assert slack.ephemerals("Ada", "general") == []


async def test_a_question_that_comes_with_its_file_waits_until_the_file_is_read(
    slack: LocalSlack, bot: WebServer
) -> None:
    root = await slack.mention("Ada", "general", "When does the office open?", files=[HANDBOOK])

    reply = await slack.wait_for_reply("general", root.ts, until=lambda m: bool(quoted_words(m)), timeout=30)

    assert any("eight in the morning" in words for words in quoted_words(reply))


async def test_a_follow_up_finds_what_it_refers_to(slack: LocalSlack, bot: WebServer) -> None:
    root = await shared(slack, HANDBOOK)
    await asked(slack, "How many days of holiday does an employee have?", root)

    reply = await asked(slack, "And how many of them carry over?", root)

    assert any("carry over into March" in words for words in quoted_words(reply))


async def test_a_mention_delivered_twice_is_answered_once(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
    await slack.wait_for_reply("general", root.ts, after=question.ts)

    await slack.deliver_twice(question)
    await worked_off(sessions)

    assert len([m for m in slack.replies("general", root.ts) if m.ts > question.ts]) == 1
    assert await count(sessions, "messages WHERE role = 'assistant'") == 1


async def test_the_answer_is_stored_with_its_sources_and_tokens(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    reply = await asked(slack, "When does the office open?", root)
    await worked_off(sessions)

    async with sessions.tenant(TEAM) as session:
        row = (await session.execute(text("SELECT * FROM messages WHERE role = 'assistant'"))).mappings().one()

    assert row["slack_ts"] == reply.ts
    assert row["model"] == "extractive"
    assert row["token_count"] > 0
    assert row["prompt_tokens"] > 0
    assert "eight in the morning" in row["sources"][0]["quote"]


async def test_the_same_bytes_are_read_once_and_found_in_both_channels(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, HANDBOOK)
    root = await shared(slack, HANDBOOK, channel="leads")

    reply = await asked(slack, "When does the office open?", root, channel="leads")

    assert quoted_words(reply)
    assert await count(sessions, "documents") == 1
    assert await count(sessions, "document_shares") == 2


async def test_what_was_shared_in_a_private_channel_is_not_told_elsewhere(slack: LocalSlack, bot: WebServer) -> None:
    await shared(
        slack,
        ("plan.txt", b"The secret launch date of the Albatross is the fourth of May.", "text/plain"),
        channel="leads",
    )
    question = await slack.mention("Ada", "handbook", "What is the launch date of the Albatross?")

    reply = await slack.wait_for_reply("handbook", question.ts, timeout=30)

    assert "fourth of May" not in words_of(reply)


async def test_a_new_version_replaces_the_old_one_in_its_channel(slack: LocalSlack, bot: WebServer) -> None:
    await shared(slack, ("hours.txt", b"The canteen opens at eleven in the morning.", "text/plain"))
    root = await shared(slack, ("hours.txt", b"The canteen opens at noon these days.", "text/plain"))

    reply = await asked(slack, "When does the canteen open?", root)

    assert any("noon" in words for words in quoted_words(reply))
    assert not any("eleven" in words for words in quoted_words(reply))


async def test_a_deleted_file_is_forgotten(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    root = await shared(slack, HANDBOOK)

    await slack.delete_file(root.file_ids[0])
    await slack.settle()
    await worked_off(sessions)

    assert await count(sessions, "documents") == 0
    assert await count(sessions, "chunk_embeddings") == 0


async def test_a_mention_in_an_older_thread_reads_that_thread_once(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    root = await slack.say("Ben", "general", "Lunch is at <noon> & @Ada pays")
    await slack.say("Ada", "general", "Fine by me", thread_ts=root.ts)

    await asked(slack, "Who pays for lunch?", root)

    async with sessions.tenant(TEAM) as session:
        rows = (await session.execute(text("SELECT author_name, content FROM messages ORDER BY slack_ts"))).all()
    assert ("Ben", "Lunch is at <noon> & @Ada pays") in [tuple(row) for row in rows]


async def test_a_direct_message_is_a_question(slack: LocalSlack, bot: WebServer) -> None:
    place = slack.direct("Ada")
    root = await slack.share("Ada", place, HANDBOOK)
    await slack.wait_for_reply(place, root.ts, until=is_settled, timeout=30)

    question = await slack.say("Ada", place, "When does the office open?")
    reply = await slack.wait_for_reply(place, question.ts, timeout=30)

    assert any("eight in the morning" in words for words in quoted_words(reply))
