"""The real command line, in a process of its own, with no settings but those of the test."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Database

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


async def start_bot(*arguments: str, cwd: Path, **environment: str) -> Process:
    """Start `bot` in an empty directory; warnings are errors there too."""
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "bot", *arguments),
        env={**plain, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **environment},
        cwd=cwd,
        stdout=PIPE,
        stderr=PIPE,
    )


async def run_bot(*arguments: str, cwd: Path, **environment: str) -> Outcome:
    """Run `bot` to its end."""
    process = await start_bot(*arguments, cwd=cwd, **environment)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


def urls(database: Database) -> dict[str, str]:
    """Return the variables that point the bot to a test's own database."""
    return {"DATABASE_URL": database.bot_url, "DATABASE_OWNER_URL": database.owner_url}
