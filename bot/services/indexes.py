"""Approximate search for the very large: an index per model, once exact search would be slow."""

from __future__ import annotations

import structlog

from bot.db.engine import Sessions
from bot.repositories.channels import ChannelRepository
from bot.repositories.indexes import IndexRepository, build_index
from bot.repositories.neighbours import VectorIndex
from bot.services.errands import index_errand
from bot.services.ports import Enqueue

log = structlog.get_logger()


class IndexService:
    """Has a model's vectors indexed when a workspace holds more of them than exact search should scan."""

    def __init__(self, sessions: Sessions, owner_url: str, enqueue: Enqueue, *, exact_search_limit: int) -> None:
        self._sessions = sessions
        self._owner_url = owner_url
        self._enqueue = enqueue
        self._exact_search_limit = exact_search_limit

    async def request(self, team_id: str) -> bool:
        """Leave the building of an index for later when it is due; False when it isn't, or was asked for before."""
        async with self._sessions.tenant(team_id) as session:
            model = await ChannelRepository(session).get_active_model(team_id)
            if model is None:
                return False
            cap = self._exact_search_limit + 1
            if await IndexRepository(session).count_stored(team_id, model.model_id, cap=cap) < cap:
                return False
            return await self._enqueue(session, index_errand(team_id, model.model_id))

    async def build(self, team_id: str) -> bool:
        """Build the index of the workspace's model; False when it stands already. Raises DatabaseUnavailable."""
        async with self._sessions.tenant(team_id) as session:
            model = await ChannelRepository(session).get_active_model(team_id)
        if model is None:
            return False
        index = VectorIndex(model.model_id, model.dimensions)
        built = await build_index(self._owner_url, index)
        log.info("index.built" if built else "index.found", name=index.name)
        return built
