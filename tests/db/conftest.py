"""Servers of a test's own, in this process and in others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import pool, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from bot.db.binaries import account_for, bundled_tree, runnable_tree
from bot.db.cluster import is_served
from bot.db.embedded import EmbeddedServer, start_embedded
from bot.db.models import ChunkEmbedding, Document, DocumentChunk, EmbeddingModel
from bot.values import new_id

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory that any account can enter."""
    directory = Path(tempfile.mkdtemp(prefix="recollect-"))
    directory.chmod(0o755)
    yield directory
    deadline = time.monotonic() + 20
    while any(is_served(data) for data in directory.rglob("data")):  # its owner was killed, and it is going
        assert time.monotonic() < deadline, "a server was left behind"
        time.sleep(0.02)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def tree() -> Iterator[Path]:
    """The bundled PostgreSQL where any account can run it."""
    directory = Path(tempfile.mkdtemp(prefix="recollect-"))
    directory.chmod(0o755)
    yield runnable_tree(bundled_tree(), directory, account_for(directory / "none"))
    shutil.rmtree(directory)


@pytest.fixture
def start(home: Path, tree: Path) -> Iterator[Callable[..., EmbeddedServer]]:
    """Start a server on `home`; stopped at the end of the test."""
    started: list[EmbeddedServer] = []

    def start(where: Path = home, **options: Any) -> EmbeddedServer:
        server = start_embedded(where, **{"tree": tree, "throwaway": True, **options})
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


class Holder:
    """Another process that started a server, or attached to one."""

    def __init__(self, home: Path, tree: Path, account: str | None = None) -> None:
        command = [sys.executable, "-m", "tests.db.holder", str(home), str(tree)]
        self.process = subprocess.Popen(
            [*command, account] if account else command,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": "/root", "SLACK_BOT_TOKEN": "xoxb-secret"},
        )

    def said(self) -> dict[str, Any]:
        """Wait until its server is up; return what it knows of it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it said nothing: its server didn't start"
        return dict(json.loads(line))

    @property
    def is_done(self) -> bool:
        """True when it was stopped or killed already, and its pipes closed."""
        return self.process.returncode is not None

    def stop(self) -> None:
        """Let it stop its server, and wait for its end."""
        self.process.communicate("stop\n", timeout=30)

    def kill(self) -> None:
        """End it without a word of warning."""
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def hold(home: Path, tree: Path) -> Iterator[Callable[..., Holder]]:
    """Start another process that holds a server on `home`; ended at the end of the test."""
    held: list[Holder] = []

    def hold(account: str | None = None) -> Holder:
        held.append(Holder(home, tree, account))
        return held[-1]

    yield hold
    for holder in held:
        if not holder.is_done:
            holder.kill()


async def ask(url: str, statement: str) -> Any:
    """Run one statement in a transaction and return the first value of its answer, if it has one."""
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        await engine.dispose()


async def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows."""
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]
    finally:
        await engine.dispose()


async def add_chunk(
    session: AsyncSession, *, embedding: Sequence[float], lexical: Mapping[int, float] | None = None
) -> DocumentChunk:
    """Store a document of one chunk with its vectors."""
    team_id = (await session.execute(text("SELECT current_setting('app.team')"))).scalar_one()
    model = EmbeddingModel(name=f"model-{new_id()}", dimensions=len(embedding))
    document = Document(team_id=team_id, id=new_id(), filename="plan.md")
    session.add_all([model, document])
    await session.flush()
    content = "We open at nine."
    chunk = DocumentChunk(team_id=team_id, id=new_id(), document_id=document.id, chunk_index=0, content=content)
    chunk.token_count, chunk.char_start, chunk.char_end = 5, 0, len(content)
    session.add(chunk)
    await session.flush()
    vectors = ChunkEmbedding(team_id=team_id, model_id=model.id, document_id=document.id, chunk_id=chunk.id)
    vectors.embedding, vectors.lexical = np.array(embedding, dtype=np.float32), dict(lexical or {})
    vectors.lexical_version = 1
    session.add(vectors)
    await session.flush()
    return chunk
