"""Tries what the walls must refuse, from behind them: `python -m bot.parsing.probe`, run as any child is.

Its reply is the text of a file: JSON with the walls that the kernel granted, and what got past them.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bot.parsing.walls import Walls, raise_walls
from bot.parsing.wire import Parsed, encode_reply

_Tries = dict[str, Callable[[], object]]


def main() -> None:
    """Put up the walls, try each of them, and tell."""
    sys.stdin.buffer.read()
    home, parent = Path.cwd(), os.getppid()
    walls = raise_walls(home)
    tries = _tries(home, parent) if walls != Walls() else {}
    passed = {wall: [what for what, attempt in each.items() if _passes(attempt)] for wall, each in tries.items()}
    told = json.dumps({**asdict(walls), "passed": passed})
    sys.stdout.buffer.writelines(encode_reply(Parsed(told, "json")))


def _passes(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PermissionError:
        return False
    return True


def _tries(home: Path, parent: int) -> dict[str, _Tries]:
    def write_beside() -> None:
        beside = home.with_name(home.name + "-probe")
        beside.touch()
        beside.unlink()

    def start_program() -> None:
        os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-V"], {}, file_actions=_MUTE), 0)

    files: _Tries = {"write beside its folder": write_beside, "list the root": lambda: list(Path("/").iterdir())}
    network: _Tries = {
        "open a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "open a TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
        "open a unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
    }
    processes: _Tries = {
        "signal the bot": lambda: os.kill(parent, 0),
        "read the bot's limits": lambda: resource.prlimit(parent, resource.RLIMIT_CORE),
        "start a program": start_program,
    }
    return {"files": files, "network": network, "processes": processes}


_MUTE = [(os.POSIX_SPAWN_CLOSE, 1), (os.POSIX_SPAWN_CLOSE, 2)]

if __name__ == "__main__":
    main()
