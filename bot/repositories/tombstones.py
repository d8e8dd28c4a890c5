"""What was deleted, remembered so that no late job brings it back."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.text.clean import clean

_MESSAGE = "message"
_CHANNEL = "channel"


class TombstoneRepository:
    """Remembers deletions by kind (`file`, …) and key."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, kind: str, key: str) -> None:
        """Remember that this is gone. What is under way in other transactions has ended when this returns."""
        await self._session.execute(_LOCK_ALONE, {"team": team_id})
        await self._session.execute(_RECORD, {"team": team_id, "kind": kind, "key": clean(key)})

    async def is_gone(self, team_id: str, kind: str, key: str) -> bool:
        """Tell whether this was deleted. A deletion that comes later waits for the end of this transaction.

        So one of the two sees the other: the deletion finds what this transaction stores, or this one finds it gone.
        """
        await self._session.execute(_LOCK_TOGETHER, {"team": team_id})
        parameters = {"team": team_id, "kind": kind, "key": clean(key)}
        return bool(await self._session.scalar(_IS_GONE, parameters))


class MessageTombstones:
    """Remembers deleted messages by `channel:ts`. Who asks and who deletes wait for each other, and for nobody else.

    So here too one of the two sees the other, and no deletion waits for a document that is being stored.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, message: str) -> None:
        """Remember that this message is gone."""
        await self._lock(team_id, message)
        await self._session.execute(_RECORD, {"team": team_id, "kind": _MESSAGE, "key": clean(message)})

    async def is_gone(self, team_id: str, message: str) -> bool:
        """Tell whether this message was deleted. A deletion that comes later waits for the end of this transaction."""
        await self._lock(team_id, message)
        parameters = {"team": team_id, "kind": _MESSAGE, "key": clean(message)}
        return bool(await self._session.scalar(_IS_GONE, parameters))

    async def _lock(self, team_id: str, message: str) -> None:
        await self._session.execute(_LOCK_ONE, {"name": clean(f"{team_id}/{_MESSAGE}/{message}")})


class ChannelTombstones:
    """Remembers deleted channels. Whoever stores something for one goes on beside the others, and keeps no event waiting.

    The deletion is noted first, and carried out by whoever has waited for those who hadn't seen it.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, team_id: str, channel_id: str) -> None:
        """Remember that this channel is gone; `wait` before what is stored of it is deleted."""
        await self._session.execute(_RECORD, {"team": team_id, "kind": _CHANNEL, "key": clean(channel_id)})

    async def wait(self, team_id: str, channel_id: str) -> None:
        """Return when all who found the channel there have ended their transactions: what they stored can be seen now."""
        await self._session.execute(_LOCK_ONE, {"name": _name(team_id, channel_id)})

    async def is_gone(self, team_id: str, channel_id: str) -> bool:
        """Tell whether this channel was deleted; its deletion waits for the end of this transaction if not."""
        await self._session.execute(_SHARE_ONE, {"name": _name(team_id, channel_id)})
        parameters = {"team": team_id, "kind": _CHANNEL, "key": clean(channel_id)}
        return bool(await self._session.scalar(_IS_GONE, parameters))


def _name(team_id: str, channel_id: str) -> str:
    return clean(f"{team_id}/{_CHANNEL}/{channel_id}")


# The workspace's row stands for "its deletions": many may store at once, a deletion is alone for its moment.
_LOCK_TOGETHER = text("SELECT 1 FROM workspaces WHERE team_id = :team FOR KEY SHARE")
_LOCK_ALONE = text("SELECT 1 FROM workspaces WHERE team_id = :team FOR UPDATE")
_LOCK_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:name AS text), 0))")
_SHARE_ONE = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(CAST(:name AS text), 0))")

_RECORD = text("INSERT INTO tombstones (team_id, kind, key) VALUES (:team, :kind, :key) ON CONFLICT DO NOTHING")
_IS_GONE = text("""
    SELECT EXISTS (SELECT 1 FROM tombstones WHERE team_id = :team AND kind = :kind AND key = :key)
""")
