"""The whole bot as a process, with a control switched off where that is wanted, in the fault suite's world."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from tests.faults.processes import BotProcess, bot_command
from tests.faults.report import ROOT
from tests.faults.world import World


async def start(
    world: World,
    *arguments: str,
    settings: Mapping[str, object] | None = None,
    sabotage: str | None = None,
    name: str = "bot",
) -> BotProcess:
    """Start `bot ARGUMENTS` and wait until it is ready; the world ends it. `settings` are named as in bot/config.py.

    A setting that is None is left out of the environment.
    """
    environment = world.environment() | {"POST_INTERVAL_S": "0"}
    for key, value in (settings or {}).items():
        environment.pop(key.upper(), None)
        if value is not None:
            environment[key.upper()] = str(value)
    command = bot_command(*arguments)
    if sabotage is not None:
        command = [sys.executable, "-m", "tests.attacks.sabotage", sabotage, *arguments]
    process = BotProcess(name, command, environment, log=world.logs / f"{name}.log")
    world.processes[name] = process
    await process.start()
    await process.wait_ready()
    return process


async def command_output(world: World, *arguments: str, settings: Mapping[str, object] | None = None) -> str:
    """Return what `bot ARGUMENTS` prints. Raises RuntimeError, with what it says, when it fails."""
    environment = {**world.environment(), "PYTHONPATH": str(ROOT)}
    environment |= {key.upper(): str(value) for key, value in (settings or {}).items()}
    process = await asyncio.create_subprocess_exec(
        *bot_command(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=world.logs,
        env=environment,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"bot {' '.join(arguments)}: {err.decode(errors='replace')}")
    return out.decode()


def errors_in(process: BotProcess) -> list[str]:
    """Return the lines of a process's log that tell of something nobody had reckoned with."""
    lines = process.log.read_text(errors="replace").splitlines()
    return [line for line in lines if _is_error(line)]


def _is_error(line: str) -> bool:
    try:
        said: Any = json.loads(line)
    except ValueError:
        return "Traceback" in line or line.startswith(("ERROR", "CRITICAL"))
    return isinstance(said, dict) and said.get("level") in {"error", "critical"}
