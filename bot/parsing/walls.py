"""The kernel's walls around the process that opens a foreign file, where the kernel grants them."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import bot
from bot.parsing import landlock, seccomp

_SYSTEM = ("/usr", "/lib", "/lib64", "/nix/store", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")
"""Shared libraries, fonts, locales, randomness: what native code opens. Nothing of /proc, /home, /etc or /var."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What the kernel holds: files by Landlock (its ABI, 0 for not at all), system calls by seccomp."""

    landlock_abi: int = 0
    seccomp: bool = False


def raise_walls(home: Path) -> Walls:
    """Give up, for good, all but reading code and fonts, and writing below `home`; return what the kernel granted.

    What it doesn't grant is done without: the other limits hold anyway. Before the first thread, or that one is free.
    """
    if sys.platform != "linux":
        return Walls()
    _forgo_new_privileges()
    return Walls(landlock_abi=_hold_files(home), seccomp=seccomp.restrict())


def _forgo_new_privileges() -> None:
    """Promise the kernel that nothing we start gains rights, without which it grants neither wall to a plain user."""
    ctypes.CDLL(None).prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _hold_files(home: Path) -> int:
    version = landlock.abi()
    if not version:
        return 0
    try:
        landlock.restrict(version, readable=_readable(), kept=home)
    except OSError:  # as where a container's profile lets the version be asked for and no more
        return 0
    return version


def _readable() -> list[Path]:
    """Return where code may be loaded from: this package alone of a checkout, whose root may hold an .env."""
    package = Path(bot.__file__).parent
    libraries = [Path(prefix, name) for prefix in {sys.prefix, sys.base_prefix} for name in ("lib", "lib64")]
    return [package, Path(os.__file__).parent, *libraries, *_site_of("kreuzberg"), *map(Path, _SYSTEM)]


def _site_of(name: str) -> list[Path]:
    """Return the folder a package was installed in, [] when it isn't."""
    found = find_spec(name)
    return [Path(found.origin).parent.parent] if found and found.origin else []
