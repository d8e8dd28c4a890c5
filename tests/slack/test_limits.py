"""Who asks too much is told so, once a question; and nobody else notices."""

from __future__ import annotations

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from tests.repositories.builders import exhaust
from tests.slack.acts import HANDBOOK, count, shared, worked_off
from tests.slack.conftest import StartBot
from tests.slack.test_commands import said


async def test_each_question_too_many_gets_one_sentence_in_its_thread_and_others_get_answers(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    ada = slack.store.user("Ada").id
    async with start_bot(user_questions_per_minute=1):
        await shared(slack, HANDBOOK)
        first = await slack.mention("Ada", "general", "When does the office open?")
        answer = await slack.wait_for_reply("general", first.ts, timeout=30)
        await exhaust(sessions, f"questions:{ada}")
        questions = [await slack.mention("Ada", "general", "When does the office open?") for _ in range(3)]
        sentences = [await slack.wait_for_reply("general", question.ts, timeout=30) for question in questions]
        bens = await slack.mention("Ben", "general", "When does the office open?")
        other = await slack.wait_for_reply("general", bens.ts, timeout=30)
        await worked_off(sessions)

    assert all("eight in the morning" in words_of(reply) for reply in (answer, other))
    assert all("1 a minute, 10 at once. I answer again in " in words_of(sentence) for sentence in sentences)
    assert all(len(slack.replies("general", question.ts)) == 1 for question in questions)
    assert await count(sessions, "work WHERE task = 'answer' AND state = 'done'") == 5
    assert await count(sessions, "messages WHERE role = 'user'") == 2


async def test_commands_too_many_get_the_sentence_for_their_asker_alone(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    ada = slack.store.user("Ada").id
    async with start_bot(user_requests_per_minute=1, user_questions_per_minute=1):
        await shared(slack, HANDBOOK)
        found = words_of(await said(slack, "Ada", "/find", "office"))
        for kind in ("requests", "questions"):
            await exhaust(sessions, f"{kind}:{ada}")
        refused = [words_of(await said(slack, "Ada", command, "office")) for command in ("/find", "/docs")]
        asked = words_of(await said(slack, "Ada", "/ask", "When does the office open?"))
        others = words_of(await said(slack, "Ben", "/find", "office"))

    assert all("eight in the morning" in words for words in (found, others))
    assert all("That was more than I take from one person: 1 a minute" in words for words in refused)
    assert "You've asked more questions" in asked
