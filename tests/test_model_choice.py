"""Which models are used: what the settings ask for, bound by what a workspace's documents were embedded with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot.config import Settings
from bot.db.engine import Sessions
from bot.errors import InvalidSettings
from bot.llm import Embedder
from bot.llm.extractive import ExtractiveModel
from bot.llm.local import LocalEmbedder
from bot.llm.openai import OpenAIChat
from bot.llm.openai_embeddings import OpenAIEmbedder
from bot.model_choice import choose_embedder, make_chat, make_embedder
from bot.repositories.channels import ChannelRepository
from tests.conftest import OTHER_TEAM, TEAM
from tests.fakes import FakeOpenAI

KEY = SecretStr("sk-test-test-test")
LOCAL = ("all-MiniLM-L6-v2-int8", 384)
LARGE = ("text-embedding-3-large", 1024)


def settings_with(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


async def record(sessions: Sessions, name: str, dimensions: int, *, team_id: str = TEAM) -> None:
    """Let a workspace's documents have been embedded with this model."""
    async with sessions.tenant(team_id) as session:
        await ChannelRepository(session).record_embedding_model(team_id, name, dimensions)


@asynccontextmanager
async def chosen(settings: Settings, sessions: Sessions) -> AsyncIterator[Embedder]:
    embedder = await choose_embedder(settings, sessions, TEAM)
    try:
        yield embedder
    finally:
        await embedder.close()


@pytest.mark.parametrize(
    ("values", "embeds_here", "writes_here"),
    [
        ({}, True, True),
        ({"openai_api_key": KEY}, False, False),
        ({"openai_api_key": KEY, "embedding_model": "local"}, True, False),
        ({"openai_api_key": KEY, "chat_model": "local"}, False, True),
        ({"openai_api_key": KEY, "chat_model": "local", "embedding_model": "local"}, True, True),
        ({"openai_api_key": KEY, "chat_model": "openai", "embedding_model": "openai"}, False, False),
        ({"chat_model": "local", "embedding_model": "local"}, True, True),
    ],
    ids=["nothing", "a key", "embeds locally", "writes locally", "a key unused", "openai by name", "local by name"],
)
async def test_the_settings_choose_who_embeds_and_who_writes(
    sessions: Sessions, *, values: dict[str, Any], embeds_here: bool, writes_here: bool
) -> None:
    settings = settings_with(**values)
    async with chosen(settings, sessions) as embedder:
        chat = make_chat(settings, embedder)
        await chat.close()

    assert isinstance(embedder, LocalEmbedder if embeds_here else OpenAIEmbedder)
    assert isinstance(chat, ExtractiveModel if writes_here else OpenAIChat)


async def test_openai_by_name_without_a_key_is_refused_before_anything_starts() -> None:
    for setting in ("chat_model", "embedding_model"):
        with pytest.raises(ValueError, match="OPENAI_API_KEY is not set"):
            settings_with(**{setting: "openai"})


async def test_the_settings_of_openai_reach_its_server(sessions: Sessions) -> None:
    async with FakeOpenAI().running() as server:
        settings = settings_with(
            openai_api_key=KEY,
            openai_base_url=server.base_url,
            openai_embedding_model="text-embedding-3-large",
            openai_embedding_dimensions=256,
        )
        async with chosen(settings, sessions) as embedder:
            vector = await embedder.embed_query("When do we open?")

    assert vector.shape == (256,)
    assert (server.requests[0]["model"], server.requests[0]["dimensions"]) == ("text-embedding-3-large", 256)


async def test_choosing_a_model_calls_nobody(sessions: Sessions) -> None:
    async with FakeOpenAI().running() as server:
        settings = settings_with(openai_api_key=KEY, openai_base_url=server.base_url)
        async with chosen(settings, sessions):
            pass

    assert server.requests == []


# What was recorded


async def test_the_recorded_model_that_is_wanted_too_is_taken_without_a_word(sessions: Sessions) -> None:
    await record(sessions, *LOCAL)

    with capture_logs() as logs:
        async with chosen(settings_with(), sessions) as embedder:
            assert (embedder.name, embedder.dimensions) == LOCAL

    assert logs == []


async def test_the_local_model_stays_when_a_key_is_set_later(sessions: Sessions) -> None:
    await record(sessions, *LOCAL)

    with capture_logs() as logs:
        async with chosen(settings_with(openai_api_key=KEY), sessions) as embedder:
            assert isinstance(embedder, LocalEmbedder)

    assert logs == [
        {
            "event": "embedding.setting_ignored",
            "log_level": "warning",
            "recorded": LOCAL[0],
            "setting": "text-embedding-3-small",
        }
    ]


@pytest.mark.parametrize("embedding_model", ["auto", "local", "openai"])
async def test_a_recorded_openai_model_stays_whatever_the_settings_say(
    sessions: Sessions, embedding_model: str
) -> None:
    await record(sessions, *LARGE)

    with capture_logs() as logs:
        async with chosen(settings_with(openai_api_key=KEY, embedding_model=embedding_model), sessions) as embedder:
            assert isinstance(embedder, OpenAIEmbedder)
            assert (embedder.name, embedder.dimensions) == LARGE

    assert [entry["event"] for entry in logs] == ["embedding.setting_ignored"]


async def test_the_same_model_with_other_dimensions_is_another(sessions: Sessions) -> None:
    await record(sessions, "text-embedding-3-small", 512)

    with capture_logs() as logs:
        async with chosen(settings_with(openai_api_key=KEY), sessions) as embedder:
            assert embedder.dimensions == 512

    assert len(logs) == 1


async def test_a_recorded_openai_model_without_a_key_says_what_is_missing(sessions: Sessions) -> None:
    await record(sessions, *LARGE)

    with pytest.raises(InvalidSettings) as refused:
        await choose_embedder(settings_with(), sessions, TEAM)

    assert refused.value.user_message == (
        "This workspace's documents were embedded with text-embedding-3-large: set OPENAI_API_KEY to read them."
    )


async def test_what_another_workspace_uses_binds_nobody_else(sessions: Sessions) -> None:
    await record(sessions, *LARGE, team_id=OTHER_TEAM)

    async with chosen(settings_with(), sessions) as embedder:
        assert isinstance(embedder, LocalEmbedder)


def test_a_model_is_made_without_reading_or_calling_anything() -> None:
    embedder = make_embedder(settings_with(), openai=False)

    assert isinstance(embedder, LocalEmbedder)
    assert "_session" not in vars(embedder._model)
