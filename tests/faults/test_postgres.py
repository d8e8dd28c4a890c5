"""The suite's own server, through a proxy and through an immediate restart."""

from __future__ import annotations

import asyncpg
import pytest

from tests.faults.postgres import Postgres
from tests.faults.proxy import FaultProxy


async def test_what_was_committed_outlives_an_immediate_restart_and_connections_do_not() -> None:
    async with Postgres() as postgres, FaultProxy(postgres.socket) as proxy:
        await postgres.fetch("CREATE TABLE kept (id int)")
        client = await asyncpg.connect(postgres.url(proxy.port, owner=True).replace("+asyncpg", ""))
        await client.execute("INSERT INTO kept VALUES (1)")

        await postgres.restart_immediate()

        assert await postgres.value("SELECT count(*) FROM kept") == 1
        with pytest.raises((OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
            await client.fetch("SELECT 1")
        client.terminate()
        again = await asyncpg.connect(postgres.url(proxy.port, owner=True))
        assert await again.fetchval("SELECT id FROM kept") == 1
        await again.close()
