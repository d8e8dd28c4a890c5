"""The whole bot as a process, with a control switched off where that is wanted, in the fault suite's world."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.processes import BotProcess, bot_command
from tests.faults.report import ROOT
from tests.faults.world import World

_COMMAND_TIMEOUT_S = 300
_READY_TIMEOUT_S = 300
"""Self-tests run beside each other."""


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
    process = BotProcess(
        name, _line(arguments, sabotage), _environment(world, settings or {}), log=world.logs / f"{name}.log"
    )
    world.processes[name] = process
    await process.start()
    await process.wait_ready(timeout_s=_READY_TIMEOUT_S)
    return process


async def command_output(world: World, *arguments: str) -> str:
    """Return what `bot ARGUMENTS` prints to standard output. Raises RuntimeError, with what it says, when it fails."""
    code, out, err = await _command(world, arguments, {}, None)
    if code:
        raise RuntimeError(f"bot {' '.join(arguments)}: {err}")
    return out


async def command_said(
    world: World, *arguments: str, settings: Mapping[str, object] | None = None, sabotage: str | None = None
) -> str:
    """Return all that `bot ARGUMENTS` prints, standard error first, however it ends."""
    _, out, err = await _command(world, arguments, settings or {}, sabotage)
    return err + out


async def _command(
    world: World, arguments: Sequence[str], settings: Mapping[str, object], sabotage: str | None
) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *_line(arguments, sabotage),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=world.logs,  # a developer's .env lies elsewhere
        env={**_environment(world, settings), "PYTHONPATH": str(ROOT), "HTTP_PORT": "0"},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _COMMAND_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def _line(arguments: Sequence[str], sabotage: str | None) -> list[str]:
    if sabotage is None:
        return bot_command(*arguments)
    return [sys.executable, "-m", "tests.attacks.sabotage", sabotage, *arguments]


def _environment(world: World, settings: Mapping[str, object]) -> dict[str, str]:
    changed = {key.upper(): value for key, value in settings.items()}
    kept = {key: value for key, value in world.environment().items() if key not in changed}
    return kept | {"POST_INTERVAL_S": "0"} | {key: str(value) for key, value in changed.items() if value is not None}


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
