"""Nearest vectors by one measure: exact, or by an HNSW index where a job has built one.

Index, query and operator class must fit each other to the letter, or PostgreSQL silently scans: so one object
writes them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import TextClause, text

from bot.repositories.blend import PASSAGE, PASSAGE_SOURCES, READABLE, VISIBLE
from bot.values import ModelId, Passage

Metric = Literal["cosine", "inner_product", "l2"]

OPERATORS: dict[Metric, str] = {"cosine": "<=>", "inner_product": "<#>", "l2": "<->"}
_OPERATOR_CLASSES: dict[Metric, str] = {
    "cosine": "halfvec_cosine_ops",
    "inner_product": "halfvec_ip_ops",
    "l2": "halfvec_l2_ops",
}

OVERFETCH = 4
"""Candidates taken from the index for each row wanted: at 40 for 10, recall .975 and more (decision 0003)."""

EXACT_SETTINGS = text("SELECT set_config('enable_sort', 'on', true)")
INDEX_SETTINGS = text("""
    SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', '100', true),
           set_config('enable_sort', 'off', true)
""")
"""For one transaction: go on until enough rows pass the filter, and take the index rather than sort all rows."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A passage and how far it is, in the measure asked for; an inner product counts negative. Less is nearer."""

    passage: Passage
    distance: float


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """The HNSW index of one model's vectors under one measure, and the query that uses it."""

    model_id: ModelId
    dimensions: int
    metric: Metric = "cosine"

    @property
    def name(self) -> str:
        """The index's name."""
        return f"ix_chunk_embeddings_hnsw_{self.model_id}_{self.metric}"

    @property
    def distance(self) -> str:
        """The expression that orders rows of chunk_embeddings as `e`; binds :vector."""
        operator = OPERATORS[self.metric]
        return f"CAST(e.embedding AS halfvec({self.dimensions})) {operator} CAST(:vector AS halfvec({self.dimensions}))"

    @property
    def create_sql(self) -> str:
        """The statement that builds the index; run it as the owner, outside a transaction."""
        return (
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {self.name} ON chunk_embeddings "
            f"USING hnsw ((CAST(embedding AS halfvec({self.dimensions}))) {_OPERATOR_CLASSES[self.metric]}) "
            f"WITH (m = 16, ef_construction = 64) WHERE model_id = {self.model_id}"
        )

    def nearest(self, *, approximate: bool) -> TextClause:
        """Return the query for the nearest rows; binds what `VISIBLE` binds, :vector, :candidates and :limit.

        Exact adds 0 to the distance, so that no index can answer. Approximate sorts the index's candidates anew for
        the same reason: the planner takes its order for sorted, which after an iterative scan it isn't.
        """
        source, order = VISIBLE, f"({self.distance}) + 0"
        if approximate:  # the index wants its table bare, its model a constant, and the distance alone
            source = f"""chunk_embeddings e WHERE e.team_id = :team AND e.model_id = {int(self.model_id)}
                         AND e.document_id = ANY(ARRAY({READABLE}))"""
            order = self.distance
        return text(f"""
            WITH candidates AS MATERIALIZED (
                SELECT e.chunk_id, {self.distance} AS distance FROM {source} ORDER BY {order} LIMIT :candidates
            ), found AS MATERIALIZED (
                SELECT chunk_id, distance FROM candidates ORDER BY distance + 0, chunk_id LIMIT :limit
            )
            SELECT found.distance, {PASSAGE} FROM found {PASSAGE_SOURCES}
             ORDER BY found.distance + 0, found.chunk_id
        """)
