"""What fails under way: nothing is lost, nothing is said twice, and nobody sees an exception."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url
from structlog.testing import capture_logs

from bot.db.engine import Sessions
from bot.errors import InvalidSettings, ServiceUnavailable
from bot.playground.local import LocalSlack
from bot.playground.reading import words_of
from bot.smoke import quoted_words
from bot.values import Prompt, Usage
from bot.web.server import WebServer
from tests.conftest import Database, execute
from tests.slack.acts import HANDBOOK, asked, count, shared, until, worked_off
from tests.slack.conftest import StartBot


class Exploding:
    """A chat model with a defect nobody foresaw."""

    name = "exploding"
    prompt_budget = 1000

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        yield "Once upon a time "
        raise ZeroDivisionError("secret detail")

    async def problem(self) -> None:
        return None

    async def close(self) -> None:
        return


async def stop_serving(database: Database) -> None:
    """Cut the bot's connections to its database, and let it make no new ones."""
    await execute(
        database.owner_url,
        f"ALTER DATABASE {database.name} CONNECTION LIMIT 0",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND usename = '{make_url(database.bot_url).username}'",
    )


async def serve_again(database: Database) -> None:
    await execute(database.owner_url, f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")


async def test_a_defect_is_tried_again_and_then_apologised_for_with_a_number(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.jobs.queue.MAX_ATTEMPTS", 2)
    monkeypatch.setattr("bot.wiring.make_chat", lambda *_: Exploding())
    with capture_logs() as logs:
        async with start_bot():
            root = await shared(slack, HANDBOOK)
            sorry = await slack.wait_for_reply(
                "general",
                root.ts,
                after=(await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)).ts,
                until=lambda m: "number" in words_of(m),
                timeout=15,
            )

    failed = [entry for entry in logs if entry["event"] == "work.failed"]
    assert len(failed) == 2
    assert failed[-1]["error_id"] in words_of(sorry)
    assert "Once upon" not in words_of(sorry)
    assert not any("secret" in str(call.args) or "ZeroDivision" in str(call.args) for call in slack.calls)
    assert len(slack.replies("general", root.ts)) == 2
    assert await count(sessions, "work WHERE state = 'dead'") == 1


async def test_what_is_asked_while_the_database_is_down_is_answered_once_it_is_back(
    slack: LocalSlack, bot: WebServer, database: Database, sessions: Sessions
) -> None:
    root = await shared(slack, HANDBOOK)
    slack.workspace.deliveries.retry_delays_s = (0.5, 1.0, 1.0, 1.0, 1.0, 1.0)
    await stop_serving(database)
    question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
    told = await slack.command("Ada", "general", "/ask", "When does the office open?")
    private = await slack.wait_for_ephemeral("Ada", "general", after=told)
    found = await slack.command("Ada", "general", "/find", "office")
    unfound = await slack.wait_for_ephemeral("Ada", "general", after=found)
    unacknowledged = [delivery.acked_at is None for delivery in slack.delivered(question)]

    await serve_again(database)
    reply = await slack.wait_for_reply("general", root.ts, after=question.ts, timeout=20)
    await slack.settle()
    await worked_off(sessions)

    assert all(unacknowledged)
    assert "My memory isn't reachable" in words_of(private)
    assert "My memory isn't reachable" in words_of(unfound)
    assert quoted_words(reply)
    assert len(slack.replies("general", root.ts)) == 2


async def test_a_database_that_goes_away_in_the_middle_of_an_answer_costs_nothing(
    slack: LocalSlack,
    start_bot: StartBot,
    database: Database,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down = asyncio.Event()

    class Interrupted(Exploding):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
            yield "The office opens at eight in the morning and closes at six. [1] "
            if not down.is_set():
                await stop_serving(database)
                down.set()
            yield Usage(self.name, 1, 1)

    monkeypatch.setattr("bot.wiring.make_chat", lambda *_: Interrupted())
    async with start_bot():
        root = await shared(slack, HANDBOOK)
        question = await slack.mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
        await asyncio.wait_for(down.wait(), 10)
        await asyncio.sleep(1.5)
        await serve_again(database)

        async def recorded() -> bool:
            return await count(sessions, "messages WHERE role = 'assistant'") == 1

        await until(recorded, within_s=20)
        await worked_off(sessions)

    [reply] = [message for message in slack.replies("general", root.ts) if message.ts > question.ts]
    assert quoted_words(reply)


async def test_a_wrong_token_is_named(start_bot: StartBot) -> None:
    with pytest.raises(InvalidSettings) as error:
        async with start_bot(slack_bot_token=SecretStr("xoxb-wrong")):
            pass
    assert "SLACK_BOT_TOKEN" in error.value.user_message

    with pytest.raises(InvalidSettings) as error:
        async with start_bot(slack_app_token=SecretStr("xapp-wrong")):
            pass
    assert "SLACK_APP_TOKEN" in error.value.user_message


async def test_a_slack_that_is_not_there_is_a_service_unavailable(start_bot: StartBot) -> None:
    with pytest.raises(ServiceUnavailable):
        async with start_bot(slack_api_url="http://127.0.0.1:9/api/"):
            pass


async def test_an_event_that_comes_while_slack_is_ill_is_not_lost(slack: LocalSlack, bot: WebServer) -> None:
    slack.faults.refuse("auth.test", "internal_error", times=9)
    slack.faults.refuse("users.info", "internal_error", times=1)
    slack.faults.refuse("conversations.info", "internal_error", times=1)

    root = await shared(slack, HANDBOOK)

    assert quoted_words(await asked(slack, "When does the office open?", root))
