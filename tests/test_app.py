"""The whole put together: which models are used, and what is said when something doesn't fit."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot.app import running
from bot.config import Settings
from bot.errors import InvalidSettings
from bot.playground.demo import furnish
from bot.playground.local import LocalSlack
from bot.smoke import playground_settings, quoted_words
from tests.conftest import TEAM, Database
from tests.fakes import FakeOpenAI
from tests.slack.acts import HANDBOOK, asked, shared


async def test_a_changed_embedding_model_changes_nothing_and_is_said_in_the_log(database: Database) -> None:
    async with FakeOpenAI().running() as openai, LocalSlack(team_id=TEAM, posts_per_second=None) as slack:
        furnish(slack)
        update = {"database_url": database.bot_url, "database_owner_url": database.owner_url}
        settings = playground_settings(Settings(_env_file=None), slack, home=None).model_copy(update=update)
        async with running(settings):
            root = await shared(slack, HANDBOOK)
        key = {"openai_api_key": SecretStr("sk-test-test-test"), "openai_base_url": openai.base_url}
        with capture_logs() as logs:
            async with running(settings.model_copy(update={**key, "embedding_model": "openai", "chat_model": "local"})):
                reply = await asked(slack, "When does the office open?", root)

    ignored = [entry for entry in logs if entry["event"] == "embedding.setting_ignored"]
    assert ignored[0]["setting"] == "text-embedding-3-small"
    assert quoted_words(reply)
    assert openai.requests == []


async def test_without_tokens_it_says_what_is_missing() -> None:
    with pytest.raises(InvalidSettings) as error:
        async with running(Settings(_env_file=None)):
            pass

    assert "SLACK_BOT_TOKEN" in error.value.user_message
    assert "bot demo" in error.value.user_message


async def test_a_port_that_is_taken_is_named_and_everything_opened_is_closed(database: Database) -> None:
    async with LocalSlack(team_id=TEAM) as slack:
        update = {"database_url": database.bot_url, "database_owner_url": database.owner_url}
        port = int(slack.url.rstrip("/").rpartition(":")[2])
        settings = playground_settings(Settings(_env_file=None), slack, home=None)
        with pytest.raises(InvalidSettings, match="listen"):
            async with running(settings.model_copy(update={**update, "http_port": port})):
                pass
