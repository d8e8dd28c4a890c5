"""Offers: what a channel may not read, its asker may, by themselves. Whether there is such a thing, and nothing of it."""

from __future__ import annotations

import structlog

from bot.errors import ServiceUnavailable
from bot.services.audience import AudienceService
from bot.services.search import SearchService
from bot.values import Audience, Question, TurnContext, Vector

log = structlog.get_logger()

LOOKED_AT = 3
"""Passages that are looked at: of these, one that its asker surely may read is enough."""


class OfferService:
    """Says whether somebody who asked in a channel could be told more alone. What it finds leaves it as yes or no."""

    def __init__(self, search: SearchService, audiences: AudienceService) -> None:
        self._search = search
        self._audiences = audiences

    async def has_more(
        self, question: Question, turn: TurnContext, *, text: str, vector: Vector | None, best: float
    ) -> bool:
        """Tell whether a passage outside the channel's audience, which the asker may read now, scores above `best`.

        It costs a search, and only where there is something beyond; Slack is asked only about where such passages are.
        When Slack doesn't answer, or the asker has lost what they had, there is nothing to offer.
        """
        if not turn.beyond_channel_ids or turn.asker is None:
            return False
        result = await self._search.search(
            text,
            audience=Audience(question.team_id, turn.beyond_channel_ids),
            limit=LOOKED_AT,
            model_id=turn.embedding_model_id,
            vector=vector,
            by_words=vector is None,
        )
        places = {passage.channel_id for passage in result.passages if passage.score > best and passage.channel_id}
        try:
            return bool(places and await self._audiences.still_alone(question, places, kind=turn.asker.kind))
        except ServiceUnavailable as error:
            log.info("offer.left_out", reason=str(error))
            return False
