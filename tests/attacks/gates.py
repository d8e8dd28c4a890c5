"""Gates: places of the bot, in this process, where one document's way can be stopped and let go on."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.llm.local import LocalEmbedder
from bot.playground.local import LocalSlack
from bot.repositories.passages import PassageRepository
from bot.services import ingest
from bot.services.search import SearchService
from bot.slack.delivery import ThreadReply
from bot.slack.files import SlackFiles

Wrapped = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class Gate:
    """Whoever comes by with this word stops: `reached` says that somebody did, `go` lets them on."""

    word: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self) -> None:
        """Wait here."""
        self.reached.set()
        await self.go.wait()


class Gates:
    """The gates that are up, by place."""

    def __init__(self) -> None:
        self._up: dict[str, list[Gate]] = {}

    def put(self, place: str, word: str) -> Gate:
        """Stop the next one who comes by this place with a word."""
        gate = Gate(word)
        self._up.setdefault(place, []).append(gate)
        return gate

    async def pass_by(self, place: str, words: str) -> None:
        """Go through, or wait at the gate that is meant for us: each stops one."""
        for gate in self._up.get(place, []):
            if gate.word in words and not gate.reached.is_set():
                await gate.stop()
                return

    @contextmanager
    def built(self) -> Iterator[Gates]:
        """Build the places where gates may be put up, into the bot and the Slack of this process."""
        places = (
            (SlackFiles, "fetch", self._before("fetch", lambda _, file, **__: file.file_id)),
            (LocalSlack, "serve_file", self._before("download", lambda _, request: request.path)),
            (ingest, "parse_in_sandbox", self._before("parse", lambda _, name: name)),
            (LocalEmbedder, "embed", self._after("embed", lambda _, texts: " ".join(texts))),
            (PassageRepository, "store", self._after("store", _stored_words)),
            (SearchService, "search", self._after("search", lambda _, text, **__: text)),
            (ThreadReply, "append", self._after("append", _shown_words)),
        )
        with ExitStack() as stack:
            for owner, name, wrap in places:
                stack.enter_context(_wrapped(owner, name, wrap))
            yield self

    def _before(self, place: str, words: Callable[..., str]) -> Callable[[Wrapped], Wrapped]:
        def wrap(inner: Wrapped) -> Wrapped:
            @functools.wraps(inner)
            async def wrapper(*arguments: Any, **named: Any) -> Any:
                await self.pass_by(place, words(*arguments, **named))
                return await inner(*arguments, **named)

            return wrapper

        return wrap

    def _after(self, place: str, words: Callable[..., str]) -> Callable[[Wrapped], Wrapped]:
        def wrap(inner: Wrapped) -> Wrapped:
            @functools.wraps(inner)
            async def wrapper(*arguments: Any, **named: Any) -> Any:
                result = await inner(*arguments, **named)
                await self.pass_by(place, words(*arguments, **named))
                return result

            return wrapper

        return wrap


def _stored_words(_: object, team_id: str, document_id: object, model_id: object, batch: Any, **__: object) -> str:
    return " ".join(indexed.chunk.text for indexed in batch)


def _shown_words(reply: ThreadReply, *_: object) -> str:
    return reply._sent  # what stands there in Slack by now


@contextmanager
def _wrapped(owner: Any, name: str, wrap: Callable[[Wrapped], Wrapped]) -> Iterator[None]:
    inner = getattr(owner, name)
    setattr(owner, name, wrap(inner))
    try:
        yield
    finally:
        setattr(owner, name, inner)
