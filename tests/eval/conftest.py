"""A tiny set in BEIR's layout, and a look into every table for what an evaluation left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from bot.eval.throwaway import PREFIX
from bot.llm.local import LocalEmbedder
from tests.conftest import Database

CORPUS: list[dict[str, Any]] = [
    {"_id": "gate", "title": "The gate", "text": "The garden gate is locked at nine in the evening."},
    {"_id": "soup", "title": "", "text": "The canteen serves tomato soup every Monday."},
    {"_id": "fish", "title": "", "text": "Fresh fish is on the menu on Fridays."},
    {"_id": "rent", "title": "", "text": "The rent is due on the first working day of a month."},
    {"_id": "copy", "title": "", "text": "The canteen serves tomato soup every Monday."},
    {"_id": "void", "title": "", "text": ""},
]
QUERIES: list[dict[str, Any]] = [
    {"_id": "q1", "text": "When is the garden gate locked?"},
    {"_id": "q2", "text": "On which day is there tomato soup?"},
    {"_id": "q3", "text": "When is the rent due?"},
    {"_id": "q4", "text": "Which volcano erupted in Iceland?"},
    {"_id": "q5", "text": "Who invented the telescope?", "metadata": {"refuse": True}},
]
QRELS = [("q1", "gate", 2), ("q2", "soup", 1), ("q2", "copy", 1), ("q3", "rent", 1), ("q4", "gate", 0)]


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def write_set(
    folder: Path,
    *,
    corpus: Iterable[dict[str, Any]] = CORPUS,
    queries: Iterable[dict[str, Any]] = QUERIES,
    qrels: Iterable[tuple[str, str, object]] = QRELS,
    split: str = "test",
) -> Path:
    write_lines(folder / "corpus.jsonl", map(json.dumps, corpus))
    write_lines(folder / "queries.jsonl", map(json.dumps, queries))
    header = ("query-id", "corpus-id", "score")
    write_lines(folder / "qrels" / f"{split}.tsv", ("\t".join(map(str, row)) for row in (header, *qrels)))
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Six documents, two of them the same and one empty, and five queries, two of them nothing answers."""
    return write_set(tmp_path / "tiny")


@pytest.fixture(scope="session")
async def embedder() -> AsyncIterator[LocalEmbedder]:
    """The real model, loaded once."""
    embedder = LocalEmbedder()
    yield embedder
    await embedder.close()


async def evaluations_left(database: Database) -> dict[str, int]:
    """Return how many rows of throwaway workspaces each table holds, as the owner sees them."""
    return await _rows(database, f"team_id LIKE '{PREFIX}%'")


async def rows_by_table(database: Database) -> dict[str, int]:
    """Return how many rows each table of workspaces holds."""
    return await _rows(database, "true")


async def _rows(database: Database, condition: str) -> dict[str, int]:
    engine = create_async_engine(database.owner_url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        tables = await connection.scalars(
            text(
                "SELECT table_name FROM information_schema.columns WHERE column_name = 'team_id' AND table_schema = 'public'"
            )
        )
        found = {}
        for table in list(tables):
            count = await connection.scalar(text(f"SELECT count(*) FROM {table} WHERE {condition}"))
            if count:
                found[table] = int(count)
    await engine.dispose()
    return found
