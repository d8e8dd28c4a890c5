"""Who asks too much is told so, once a question; and nobody else notices."""

from __future__ import annotations

from bot.db.engine import Sessions
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from tests.slack.acts import HANDBOOK, count, shared, worked_off
from tests.slack.conftest import StartBot
from tests.slack.test_commands import said

AT_ONCE = 10  # of one a minute


async def test_each_question_gets_one_answer_or_one_sentence_and_others_get_answers(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot(user_questions_per_minute=1):
        await shared(slack, HANDBOOK)
        questions = [await slack.mention("Ada", "general", "When does the office open?") for _ in range(AT_ONCE + 3)]
        replies = [await slack.wait_for_reply("general", question.ts, timeout=30) for question in questions]
        bens = await slack.mention("Ben", "general", "When does the office open?")
        answer = await slack.wait_for_reply("general", bens.ts, timeout=30)
        await worked_off(sessions)

    sentences = [words_of(reply) for reply in replies if "You've asked more questions" in words_of(reply)]
    assert len(sentences) == 3
    assert all("1 a minute, 10 at once. I answer again in " in sentence for sentence in sentences)
    assert all(len(slack.replies("general", question.ts)) == 1 for question in questions)
    assert "eight in the morning" in words_of(answer)
    assert await count(sessions, "work WHERE task = 'answer' AND state = 'done'") == AT_ONCE + 4
    assert await count(sessions, "messages WHERE role = 'user'") == AT_ONCE + 1


async def test_commands_beyond_the_limit_get_the_sentence_alone(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot(user_requests_per_minute=1, user_questions_per_minute=1):
        await shared(slack, HANDBOOK)
        shown = [words_of(await said(slack, "Ada", "/find", "office")) for _ in range(AT_ONCE + 1)]
        listed = words_of(await said(slack, "Ada", "/docs"))
        found = words_of(await said(slack, "Ben", "/find", "office"))
        for _ in range(AT_ONCE):
            await said(slack, "Ada", "/ask", "When does the office open?")
        refused = words_of(await said(slack, "Ada", "/ask", "When does the office open?"))

    assert all("eight in the morning" in words for words in [*shown[:AT_ONCE], found])
    assert all("That was more than I take from one person: 1 a minute" in words for words in (shown[-1], listed))
    assert "You've asked more questions" in refused
