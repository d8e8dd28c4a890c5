"""A process that reads one made-up PDF into memory: `python -m benchmarks.reader DATABASE_URL PAGES`.

It prints the bytes it held at most before it began and when it was done, those of the sandbox's child, the number of
passages and the seconds, separated by spaces. Vectors come from nowhere: no model's memory stands in the way.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.pdf import pdf_of
from benchmarks.place import TEAM
from benchmarks.rows import DIMENSIONS, MODEL, Maker
from bot.db.engine import Sessions, build_engine
from bot.log import configure
from bot.repositories.users import UserRepository
from bot.services.ingest import IngestService, Upload
from bot.services.ports import Unclaimed
from bot.values import Person, Share, Vector

PARAGRAPHS = 2
"""A page, some 1,800 characters: 2,000 full ones would be over the limit of text."""


class MadeUpEmbedder:
    """Gives vectors to whatever comes, at once."""

    name = MODEL
    dimensions = DIMENSIONS
    max_tokens = 256

    def __init__(self) -> None:
        self._maker = Maker()

    def count_tokens(self, text: str) -> int:
        """Return about as many as a tokenizer counts."""
        return len(text) // 4

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return vectors near to each other."""
        return np.stack([self._maker.vector() for _ in texts])

    async def embed_query(self, text: str) -> Vector:  # noqa: ARG002
        """Return any vector."""
        return self._maker.vector()

    async def problem(self) -> str | None:
        """Return that all is well."""
        return None

    async def close(self) -> None:
        """Nothing is open."""


async def read(database_url: str, *, pages: int) -> str:
    """Read a PDF of so many pages; return the line to print."""
    engine = build_engine(database_url)
    sessions, embedder = Sessions(engine), MadeUpEmbedder()
    async with sessions.tenant(TEAM) as session:
        user_id = await UserRepository(session).record_person(TEAM, Person("U1", "Ada"))
    ingest = IngestService(sessions, embedder, max_file_bytes=50 * 2**20)
    data = pdf_of(pages=pages, size=0, paragraphs=PARAGRAPHS)
    before, started = _peak(resource.RUSAGE_SELF), time.monotonic()
    upload = Upload(TEAM, f"{pages}.pdf", data, Share("C1", user_id))
    outcome = await ingest.ingest(upload, claim=Unclaimed())
    seconds = time.monotonic() - started
    await engine.dispose()
    if outcome.error is not None:
        return outcome.error
    after, child = _peak(resource.RUSAGE_SELF), _peak(resource.RUSAGE_CHILDREN)
    return f"{before} {after} {child} {outcome.chunk_count} {seconds:.1f}"


def _peak(who: int) -> int:
    kilobytes = resource.getrusage(who).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


if __name__ == "__main__":
    configure("console", "ERROR")
    sys.stdout.write(asyncio.run(read(sys.argv[1], pages=int(sys.argv[2]))) + "\n")
