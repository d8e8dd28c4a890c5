"""Building vector indexes: the owner's work, outside any transaction, while everything goes on."""

from __future__ import annotations

from sqlalchemy import pool, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from bot.errors import DatabaseUnavailable
from bot.repositories.neighbours import VectorIndex
from bot.values import ModelId


class IndexRepository:
    """Says how much an index would have to hold."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def count_stored(self, team_id: str, model_id: ModelId, *, cap: int) -> int:
        """Return how many vectors of a model the workspace holds; counting stops at `cap`."""
        statement = text("""
            SELECT count(*) FROM (SELECT 1 FROM chunk_embeddings WHERE team_id = :team AND model_id = :model LIMIT :cap) s
        """)
        parameters = {"team": team_id, "model": model_id, "cap": cap}
        return (await self._session.execute(statement, parameters)).scalar_one()  # type: ignore[no-any-return]


async def build_index(owner_url: str, index: VectorIndex) -> bool:
    """Build an index without blocking anybody; False when it stands already. One that a crash left half is made anew.

    Raises DatabaseUnavailable; what stands half then is ignored by every query, and made anew by the next call.
    """
    engine = create_async_engine(owner_url, poolclass=pool.NullPool, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            is_valid = await connection.scalar(_IS_VALID, {"name": index.name})
            if is_valid:
                return False
            if is_valid is False:
                await connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"))
            await connection.execute(text("SET maintenance_work_mem = '256MB'"))
            await connection.execute(text(index.create_sql))
            return True
    except (OperationalError, InterfaceError, OSError) as error:
        raise DatabaseUnavailable(f"index: {type(error).__name__}") from error
    finally:
        await engine.dispose()


_IS_VALID = text("""
    SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = :name
""")
