"""The real bot, over the wire, in a local Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.app import running
from bot.config import Settings
from bot.playground.demo import furnish
from bot.playground.local import LocalSlack
from bot.smoke import playground_settings
from bot.web.server import WebServer
from tests.conftest import TEAM, Database
from tests.fakes import FakeOpenAI

StartBot = Callable[..., AbstractAsyncContextManager[WebServer]]


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """A furnished local Slack without a bot yet."""
    slack = LocalSlack(team_id=TEAM, posts_per_second=None)
    furnish(slack)
    async with slack:
        yield slack


@pytest.fixture
def start_bot(slack: LocalSlack, database: Database) -> StartBot:
    """Start the bot in this Slack and database, with settings of the test's own."""

    @asynccontextmanager
    async def start(*, worker: bool = True, **changes: object) -> AsyncIterator[WebServer]:
        settings = playground_settings(Settings(_env_file=None), slack, home=None)
        urls = {"database_url": database.bot_url, "database_owner_url": database.owner_url}
        async with running(
            settings.model_copy(update={**urls, "database_pool_size": 5, **changes}), worker=worker
        ) as server:
            yield server

    return start


@pytest.fixture
async def bot(start_bot: StartBot) -> AsyncIterator[WebServer]:
    """The bot, connected over Socket Mode."""
    async with start_bot() as server:
        yield server


@pytest.fixture
async def openai() -> AsyncIterator[FakeOpenAI]:
    """A server that speaks OpenAI's protocol."""
    async with FakeOpenAI().running() as server:
        yield server


@pytest.fixture
def writer(openai: FakeOpenAI) -> dict[str, object]:
    """The settings by which the bot lets that server write its answers; it embeds by itself."""
    return {
        "openai_api_key": SecretStr("sk-test-test-test"),
        "openai_base_url": openai.base_url,
        "chat_model": "openai",
        "embedding_model": "local",
        "openai_timeout_s": 5.0,
    }


@pytest.fixture
def shared_folder(shared: Path) -> Path:
    """The folder beside the repository, under a name that no act here has."""
    return shared
