"""A process that reads a file slowly, to be killed: `python -m tests.services.reader DATABASE_URL BATCH < file`.

It prints how many chunks are stored, a line each time that there are more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from bot.db.engine import Sessions, build_engine
from bot.llm.local import LocalEmbedder
from bot.services.ingest import IngestService, Upload
from bot.services.ports import Unclaimed
from bot.values import Share, Vector
from tests.conftest import TEAM


class SlowEmbedder(LocalEmbedder):
    """The real one, which takes its time."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return the vectors, later."""
        await asyncio.sleep(0.3)
        return await super().embed(texts)


def tell(stored: int, _total: int) -> None:
    """Say how far it is."""
    sys.stdout.write(f"{stored}\n")
    sys.stdout.flush()


async def main(url: str, batch: int) -> None:
    """Read what comes by stdin as house-rules.txt of channel C1."""
    engine = build_engine(url)
    service = IngestService(Sessions(engine), SlowEmbedder(), max_file_bytes=2**20, batch=batch)
    upload = Upload(TEAM, "house-rules.txt", sys.stdin.buffer.read(), Share("C1", None))  # type: ignore[arg-type]  # nobody's
    await service.ingest(upload, claim=Unclaimed(), progress=tell)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
