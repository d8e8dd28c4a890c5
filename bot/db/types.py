"""Binary `halfvec` and `sparsevec`: what pgvector stores, without a detour through text.

pgvector's own SQLAlchemy types bind text, which makes ingestion five to ten times slower (docs/decisions/0002).
The formats are those of pgvector's `halfvec_send` and `sparsevec_send`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from pgvector.sqlalchemy import HALFVEC, SPARSEVEC
from sqlalchemy.engine import Dialect

from bot.values import TermWeights, Vector

LEXICAL_DIMENSIONS = 2**29
"""Width of the hashed vocabulary; storage is per non-zero term, so the width costs nothing."""

LEXICAL_LIMIT = 200
"""Heaviest terms kept per chunk: with 3,072 halves of embedding the row still fits one page."""

MAX_DIMENSIONS = 3072
"""Longest embedding that fits a page beside `LEXICAL_LIMIT` terms, stored PLAIN."""


def pack_halfvec(vector: Vector) -> bytes:
    """Return `vector` in pgvector's binary form: dimensions, a zero, then 16-bit floats, big-endian."""
    return struct.pack(">HH", len(vector), 0) + np.asarray(vector, dtype=">f2").tobytes()


def unpack_halfvec(data: bytes) -> Vector:
    """Return the vector in `data` as 32-bit floats, shape (dimensions,)."""
    return np.frombuffer(data, dtype=">f2", offset=4).astype(np.float32)


def pack_sparsevec(weights: TermWeights) -> bytes:
    """Return term weights in pgvector's binary form. Terms count from 1, as in SQL; the wire counts from 0."""
    return pack_sparsevecs([weights])[0]


def pack_sparsevecs(weights: Sequence[TermWeights]) -> list[bytes]:
    """Return the binary form of each of several term weights; together it takes a quarter of the time."""
    counts = np.fromiter(map(len, weights), dtype=np.int64, count=len(weights))
    rows = np.repeat(np.arange(len(weights)), counts)
    terms = np.fromiter(chain.from_iterable(weights), dtype=np.int64, count=len(rows))
    values = np.fromiter(chain.from_iterable(each.values() for each in weights), dtype=np.float64, count=len(rows))
    order = np.argsort(rows << 32 | terms)
    order = order[values[order] != 0]
    places = (terms[order] - 1).astype(">i4").tobytes()
    kept = values[order].astype(">f4").tobytes()
    ends = 4 * np.cumsum(np.bincount(rows[order], minlength=len(weights)))
    return [
        struct.pack(">iii", LEXICAL_DIMENSIONS, (end - start) // 4, 0) + places[start:end] + kept[start:end]
        for start, end in pairwise([0, *ends.tolist()])
    ]


def unpack_sparsevec(data: bytes) -> dict[int, float]:
    """Return the term weights in `data`."""
    _, count, _ = struct.unpack_from(">iii", data)
    terms = np.frombuffer(data, dtype=">i4", offset=12, count=count) + 1
    values = np.frombuffer(data, dtype=">f4", offset=12 + 4 * count, count=count)
    return dict(zip(terms.tolist(), values.tolist(), strict=True))


class HalfVec(HALFVEC):
    """`halfvec` bound and read as bytes; Python sees a numpy vector."""

    cache_ok = True
    render_bind_cast = True  # without the cast, batched inserts bind text

    def bind_processor(self, dialect: Dialect) -> Callable[[Vector | None], bytes | None]:  # noqa: ARG002
        return lambda value: None if value is None else pack_halfvec(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[bytes | None], Vector | None]:  # noqa: ARG002
        return lambda data: None if data is None else unpack_halfvec(data)


class SparseVec(SPARSEVEC):
    """`sparsevec` bound and read as bytes; Python sees a dictionary of term weights."""

    cache_ok = True
    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Callable[[TermWeights | None], bytes | None]:  # noqa: ARG002
        return lambda value: None if value is None else pack_sparsevec(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[bytes | None], dict[int, float] | None]:  # noqa: ARG002
        return lambda data: None if data is None else unpack_sparsevec(data)


async def register_codecs(connection: Any, schema: str) -> None:
    """Teach a raw asyncpg connection to pass the vector types of `schema` through as bytes."""
    for name in ("halfvec", "sparsevec"):
        await connection.set_type_codec(
            name, schema=schema, format="binary", encoder=lambda data: data, decoder=lambda data: data
        )
