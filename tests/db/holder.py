"""Holds an embedded server in a process of its own: `python -m tests.db.holder HOME TREE [ACCOUNT]`.

Says in one line who owns the server and where it is, then waits for a line: `stop` stops it, an end just ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import sys
from pathlib import Path

import asyncpg
import sqlalchemy.dialects.postgresql.asyncpg  # noqa: F401  # a plain user may not be able to import it later

from bot.db.embedded import start_embedded


def main(home: str, tree: str, account: str | None = None) -> None:
    if account is not None:
        entry = pwd.getpwnam(account)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    server = start_embedded(Path(home), tree=Path(tree), throwaway=True)
    try:
        socket_dir = str(server.socket_dir)
        role = asyncio.run(_role(socket_dir))
        said = {"owns_server": server.owns_server, "uid": os.getuid(), "role": role, "owner_url": server.owner_url}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
    finally:
        if sys.stdin.readline().strip() == "stop":
            server.stop()


async def _role(socket_dir: str) -> str:
    connection = await asyncpg.connect(host=socket_dir, port=5432, user="recollect_bot", database="recollect")
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
