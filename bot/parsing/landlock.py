"""Landlock: this process gives up every file, port and neighbour that it isn't granted, for good (Linux 5.13 and newer).

Numbers and structures are those of <linux/landlock.h> and of the kernel's userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REGULAR = 1 << 7, 1 << 8
_REFER, _TRUNCATE, _DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
_TCP = 0b11  # bind, connect
_SCOPED = 0b11  # abstract unix sockets, signals

_READ = _READ_FILE | _READ_DIR
_KEEP = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REGULAR | _REFER | _TRUNCATE
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_CONTROL

TCP_SINCE: Final = 4
SCOPED_SINCE: Final = 6
_RIGHTS_SINCE = ((1, (1 << 13) - 1), (2, _REFER), (3, _TRUNCATE), (5, _DEVICE_CONTROL))


def abi() -> int:
    """Return which of Landlock's interfaces the kernel grants this process, 0 for none."""
    try:
        return _call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict(version: int, *, readable: Iterable[Path], kept: Path) -> None:
    """Leave this thread, and what it starts, reading below `readable`, reading and writing below `kept`: no more.

    Nothing may be executed, and of sockets and signals goes what `version` can take. Raises OSError when the kernel
    refuses. Asks for PR_SET_NO_NEW_PRIVS beforehand.
    """
    rights = sum(bits for since, bits in _RIGHTS_SINCE if version >= since)
    tcp = _TCP if version >= TCP_SINCE else 0
    scoped = _SCOPED if version >= SCOPED_SINCE else 0
    attributes = struct.pack("=QQQ", rights, tcp, scoped)  # older kernels take the longer form where the rest is 0
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path, rights & _READ)
        _allow(ruleset, kept, rights & _KEEP)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Grant rights on a path and what lies below it; a path that isn't there needs none."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        granted = rights if path.is_dir() else rights & _OF_A_FILE
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", granted, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call that the C library has no name for. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(*(_word(each) for each in (number, *arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _word(argument: int | bytes | None) -> ctypes.c_long | bytes | None:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
