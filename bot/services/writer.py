"""Writing: what was found goes to the model, and of what it says the part that its sources bear out is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from bot.llm import ChatModel
from bot.services.offers import OfferService
from bot.services.ports import Reply
from bot.services.search import SearchService
from bot.text.citations import renumber
from bot.text.followup import standalone
from bot.values import (
    Answer,
    Audience,
    Citation,
    Passage,
    Prompt,
    Question,
    SearchResult,
    Spending,
    TurnContext,
    Usage,
    Vector,
)

NOT_FOUND = "I found nothing about that in what has been shared here."

Permalink = Callable[[Passage], str | None]


class AnswerWriter:
    """Turns a question and what is known of its thread into an answer, or into the passages nearest to it."""

    def __init__(self, search: SearchService, chat: ChatModel, offers: OfferService, *, permalink: Permalink) -> None:
        self._search = search
        self._chat = chat
        self._offers = offers
        self._permalink = permalink

    async def embed(self, text: str) -> Vector | None:
        """Return a question's vector, shape (dimensions,); None when the embedding model doesn't answer."""
        return await self._search.embed(text)

    async def write(
        self,
        question: Question,
        turn: TurnContext,
        reply: Reply,
        *,
        vector: Vector | None,
        spent: list[Spending],
    ) -> Answer:
        """Search, stream the model's text into the reply, and return what of it is borne out.

        Whether the asker alone could be told more is found out last: none of it comes near the model.

        `vector` is the question's own embedding; without one the words alone are searched for. What the model cost is
        put into `spent` as soon as it says so. Raises ModelUnavailable, also after a part was streamed.
        """
        search_text, vector, result = await self._find(question, turn, vector=vector)
        prompt = Prompt(question.text, search_text, result.passages, turn.history, result.term_weights)
        text, usage = await self._stream(prompt, reply, turn, spent) if prompt.passages else ("", None)
        usage = usage or Usage(self._chat.name, 0, 0, stated=False)
        text, citations = renumber(text, prompt.passages, term_weights=prompt.term_weights, permalink=self._permalink)
        best = max((passage.score for passage in prompt.passages), default=0.0) if citations else 0.0
        more = await self._offers.has_more(question, turn, text=search_text, vector=vector, best=best)
        if not citations:
            return Answer(NOT_FOUND, (), found=False, usage=usage, offers_more=more)
        return Answer(text, tuple(citations), found=True, usage=usage, offers_more=more)

    async def nearest(
        self, question: Question, turn: TurnContext, *, vector: Vector | None, limit: int
    ) -> list[Citation]:
        """Return the passages nearest to the question, floor or no floor, each as a source that quotes the whole."""
        _, _, result = await self._find(question, turn, vector=vector)
        passages = (result.passages or result.nearest)[:limit]
        return [self._quoting(number, passage) for number, passage in enumerate(passages, 1)]

    async def _find(
        self, question: Question, turn: TurnContext, *, vector: Vector | None
    ) -> tuple[str, Vector | None, SearchResult]:
        """Return the question made to stand alone, its vector, and what it finds among what the turn's audience may read."""
        search_text = standalone(question.text, turn.history)
        if vector is not None and search_text != question.text:
            vector = await self._search.embed(search_text)
        result = await self._search.search(
            search_text,
            audience=Audience(question.team_id, turn.channel_ids),
            prefer=question.channel_id,
            spread=True,
            model_id=turn.embedding_model_id,
            vector=vector,
            by_words=vector is None,
        )
        return search_text, vector, result

    async def _stream(
        self, prompt: Prompt, reply: Reply, turn: TurnContext, spent: list[Spending]
    ) -> tuple[str, Usage | None]:
        text, usage = "", None
        async with aclosing(self._chat.stream(prompt)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Usage):
                    usage = piece
                    spent.append(Spending(piece, turn.user_id))
                else:
                    text += piece
                    await reply.append(piece)
        return text, usage

    def _quoting(self, number: int, passage: Passage) -> Citation:
        return Citation(
            number,
            passage.document_id,
            passage.chunk_id,
            passage.filename,
            passage.page,
            passage.text.strip(),
            passage.char_start,
            passage.char_end,
            self._permalink(passage),
        )
