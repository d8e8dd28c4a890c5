"""A retrieval set in a workspace of its own: read in by the bot's ingestion, ready to be asked about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from bot.config import Settings
from bot.db.storage import Storage
from bot.eval.beir import BeirDocument, BeirSet
from bot.eval.case import ByDocument, Case
from bot.eval.throwaway import throwaway_team
from bot.llm.local import LocalEmbedder
from bot.offline import nobody_outside
from bot.repositories.channels import ChannelRepository
from bot.repositories.users import UserRepository
from bot.services.ingest import Upload
from bot.services.ports import Unclaimed
from bot.values import Audience, DocumentStatus, Person, Share
from bot.wiring import Services, open_services

AT_ONCE = 4
"""Documents under way together: while one is embedded, the next are parsed."""

_NOBODY = Person("U0EVAL", "Evaluation")

Tick = Callable[[], None]
"""Told after each document."""


@dataclass(frozen=True, slots=True)
class Stocked:
    """A workspace that holds a set. `unread` names the documents that couldn't be read."""

    services: Services
    audience: Audience
    user_id: UUID
    names: dict[UUID, list[str]]
    unread: list[str]

    def cases(self, wanted: BeirSet) -> list[Case]:
        """Return the set's queries as they are run."""
        return [
            Case(query.text, ByDocument(query.gains, self.names) if query.gains else None) for query in wanted.queries
        ]


@asynccontextmanager
async def stock(
    settings: Settings,
    storage: Storage,
    documents: Sequence[BeirDocument],
    *,
    local: LocalEmbedder | None = None,
    tick: Tick = lambda: None,
) -> AsyncIterator[Stocked]:
    """Read a corpus into a throwaway workspace; it is gone afterwards.

    Raises ServiceUnavailable when model or database doesn't answer.
    """
    async with (
        throwaway_team(storage.sessions) as team_id,
        open_services(settings, storage, nobody_outside(team_id), local=local) as services,
    ):
        async with storage.sessions.tenant(team_id) as session:
            user_id = await UserRepository(session).record_person(team_id, _NOBODY)
            channel_id = await ChannelRepository(session).record_personal(team_id, user_id)
        reading = _Reading(services, Share(channel_id, user_id), tick)
        await reading.read(documents)
        yield Stocked(services, Audience(team_id, frozenset([channel_id])), user_id, reading.names, reading.unread)


def file_of(document: BeirDocument) -> tuple[str, bytes]:
    """Return the file that a document of a corpus is shared as: its suffix, and its bytes, the title as heading."""
    title = " ".join(document.title.split())
    return (".md", f"# {title}\n\n{document.text}".encode()) if title else (".txt", document.text.encode())


class _Reading:
    """The reading of one corpus, some documents at once. The same bytes are one document to the bot, and read once."""

    def __init__(self, services: Services, share: Share, tick: Tick) -> None:
        self._services = services
        self._share = share
        self._tick = tick
        self.names: dict[UUID, list[str]] = {}
        self.unread: list[str] = []

    async def read(self, documents: Sequence[BeirDocument]) -> None:
        files: dict[tuple[str, bytes], list[str]] = {}
        for document in documents:
            files.setdefault(file_of(document), []).append(document.id)
        waiting = iter(enumerate(files.items()))
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_ONCE):
                    tasks.create_task(self._work(waiting))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _work(self, waiting: Iterator[tuple[int, tuple[tuple[str, bytes], list[str]]]]) -> None:
        for number, ((suffix, data), names) in waiting:
            upload = Upload(self._services.team_id, f"{number}{suffix}", data, self._share)
            outcome = await self._services.ingest.ingest(upload, claim=Unclaimed())
            if outcome.status is DocumentStatus.READY:
                self.names[outcome.document_id] = names
            else:
                self.unread += names
            for _ in names:
                self._tick()
