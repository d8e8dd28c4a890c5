"""Which models answer and embed: the settings' choice, bound by what a workspace was embedded with."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bot.config import Settings
from bot.db.engine import Sessions
from bot.errors import InvalidSettings
from bot.llm import ChatModel, Embedder
from bot.llm.extractive import ExtractiveModel
from bot.llm.local import LocalEmbedder
from bot.repositories.channels import ChannelRepository
from bot.values import Usage

log = structlog.get_logger()


OnUsage = Callable[[Usage], None]
"""Told what each call of an embedding model cost, where its provider says so."""


async def choose_embedder(
    settings: Settings,
    sessions: Sessions,
    team_id: str,
    *,
    local: LocalEmbedder | None = None,
    on_usage: OnUsage = lambda _: None,
) -> Embedder:
    """Return the model this workspace's vectors were made with; the settings' own where there are none yet.

    Where that is the local one, it is `local` itself if given: loaded once, and not this workspace's to close.

    Raises InvalidSettings when the recorded model needs a key that isn't set.
    """
    wanted = make_embedder(settings, openai=settings.embedding_is_openai, local=local, on_usage=on_usage)
    async with sessions.tenant(team_id) as session:
        recorded = await ChannelRepository(session).get_active_model(team_id)
    if recorded is None or (recorded.name, recorded.dimensions) == (wanted.name, wanted.dimensions):
        return wanted
    log.warning("embedding.setting_ignored", recorded=recorded.name, setting=wanted.name)
    if wanted is not local:
        await wanted.close()
    if recorded.name == LocalEmbedder.name:
        return make_embedder(settings, openai=False, local=local)
    if settings.openai_api_key is None:
        message = f"This workspace's documents were embedded with {recorded.name}: set OPENAI_API_KEY to read them."
        raise InvalidSettings("embedding model", user_message=message)
    update = {"openai_embedding_model": recorded.name, "openai_embedding_dimensions": recorded.dimensions}
    return make_embedder(settings.model_copy(update=update), openai=True, on_usage=on_usage)


def make_embedder(
    settings: Settings, *, openai: bool, local: LocalEmbedder | None = None, on_usage: OnUsage = lambda _: None
) -> Embedder:
    """Return the embedding model the settings ask for; nothing is loaded or called yet."""
    if not openai or settings.openai_api_key is None:
        return local or LocalEmbedder()
    # Imported here: a second of start-up and 60 MB, only for who uses it.
    from bot.llm.openai_embeddings import OpenAIEmbedder  # noqa: PLC0415

    return OpenAIEmbedder(
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        model=settings.openai_embedding_model,
        dimensions=settings.openai_embedding_dimensions,
        timeout_s=settings.openai_timeout_s,
        on_usage=on_usage,
    )


def make_chat(settings: Settings, embedder: Embedder) -> ChatModel:
    """Return the model that writes answers."""
    if not settings.chat_is_openai or settings.openai_api_key is None:
        return ExtractiveModel(embedder, floor=settings.answer_floor)
    from bot.llm.openai import OpenAIChat  # noqa: PLC0415  # as above

    return OpenAIChat(
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        model=settings.openai_chat_model,
        timeout_s=settings.openai_timeout_s,
    )
