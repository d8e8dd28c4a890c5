"""Looks at the models: whether they answer, and whether the recorded one embeds."""

from __future__ import annotations

from bot.config import Settings
from bot.db.storage import Storage
from bot.doctor.finding import Finding, ok, warn
from bot.llm import ChatModel, Embedder
from bot.model_choice import choose_embedder, make_chat, make_embedder
from bot.repositories.channels import ChannelRepository
from bot.values import Passage, Prompt, Usage, new_id

_QUESTION = "When does the shop open?"
_TEXT = "The shop opens at nine in the morning, every day but Sunday."


async def check_models(settings: Settings, storage: Storage, team_id: str) -> list[Finding]:
    """Embed a question and have one answered. Raises InvalidSettings or ModelUnavailable when that doesn't work."""
    embedder = await choose_embedder(settings, storage.sessions, team_id)
    chat = make_chat(settings, embedder)
    try:
        return [await _embeds(embedder), await _recorded(settings, storage, team_id), await _answers(chat)]
    finally:
        await chat.close()
        await embedder.close()


async def _embeds(embedder: Embedder) -> Finding:
    vector = await embedder.embed_query(_QUESTION)
    return ok("Embedding model", f"{embedder.name} answers, {len(vector)} numbers a text")


async def _recorded(settings: Settings, storage: Storage, team_id: str) -> Finding:
    """Compare the model that made the stored vectors with the one the settings ask for."""
    wanted = make_embedder(settings, openai=settings.embedding_is_openai)
    await wanted.close()
    async with storage.sessions.tenant(team_id) as session:
        recorded = await ChannelRepository(session).get_active_model(team_id)
    if recorded is None:
        return ok("Stored vectors", f"none yet; the first document will be embedded with {wanted.name}")
    if (recorded.name, recorded.dimensions) == (wanted.name, wanted.dimensions):
        return ok("Stored vectors", f"of {recorded.name}, as the settings say")
    text = f"of {recorded.name}, and that goes on being used; the settings ask for {wanted.name}"
    mend = "Set EMBEDDING_MODEL (and OPENAI_EMBEDDING_MODEL) back: vectors of two models can't be compared."
    return warn("Stored vectors", text, mend=mend)


async def _answers(chat: ChatModel) -> Finding:
    passage = Passage(
        chunk_id=new_id(),
        document_id=new_id(),
        filename="hours.txt",
        text=_TEXT,
        char_start=0,
        char_end=len(_TEXT),
        page=None,
        heading=None,
        cosine=1.0,
        lexical=1.0,
        score=1.0,
    )
    pieces = [piece async for piece in chat.stream(Prompt(_QUESTION, _QUESTION, (passage,)))]
    text = "".join(piece for piece in pieces if not isinstance(piece, Usage))
    if "nine" not in text.lower() and "9" not in text:
        mend = "Try another OPENAI_CHAT_MODEL: this one doesn't answer a plain question from its passage."
        return warn("Chat model", f"{chat.name} answers, but not to the point", mend=mend)
    return ok("Chat model", f"{chat.name} answers")
