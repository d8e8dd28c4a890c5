"""A row in every table there is, made from the models themselves: a table that is added later is furnished too."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from sqlalchemy import Boolean, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import Base
from bot.db.types import HalfVec, SparseVec
from bot.values import new_id
from tests.conftest import TEAM

_numbers = itertools.count(1)

Rows = dict[str, dict[str, Any]]
"""A row, by column, of each table."""


async def furnish(
    session: AsyncSession, *, team_id: str = TEAM, channel_id: str = "C1", only: Collection[str] | None = None
) -> Rows:
    """Store a row in every table, or in those named alone, all of one document in one channel; return what was stored.

    The workspace and its count of a term are there once, however often this is called.
    """
    rows: Rows = {}
    for table in Base.metadata.sorted_tables:
        if only is not None and table.name not in only:
            continue
        rows[table.name] = _row(table, rows, {"team_id": team_id, "channel_id": channel_id})
        await session.execute(insert(table).values(rows[table.name]).on_conflict_do_nothing())
    return rows


def _row(table: Table, rows: Rows, given: Mapping[str, Any]) -> dict[str, Any]:
    row = {}
    for column in table.columns:
        parent = next((key.column for key in column.foreign_keys), None)
        if parent is not None:
            row[column.name] = rows[parent.table.name][parent.name]
        elif column.name in given:
            row[column.name] = given[column.name]
        elif column.primary_key or not (column.nullable or column.server_default):
            row[column.name] = _value(column)
    return row


def _value(column: Column[Any]) -> Any:
    number = next(_numbers)
    by_type: dict[type[Any], Any] = {
        Uuid: new_id(),
        Text: f"{column.name} {number}",
        Integer: 1 if column.name in {"term", "lexical_version"} else number,
        Boolean: False,
        LargeBinary: str(number).encode(),
        JSONB: {},
        DateTime: func.now(),
        HalfVec: np.array([1, 0], dtype=np.float32),
        SparseVec: {1: 1.0},
    }
    return next(value for kind, value in by_type.items() if isinstance(column.type, kind))
