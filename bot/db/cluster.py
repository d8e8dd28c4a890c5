"""A cluster's directory: how it is made, and who serves it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from subprocess import CalledProcessError

import psutil

from bot.db.binaries import Account, run
from bot.errors import DatabaseUnavailable, InvalidSettings

_PLAIN_PATH = re.compile(r"[\w./+@-]{1,76}", re.ASCII)
"""What fits a socket's address with PostgreSQL's file name, and no list or URL can misread."""

_BUILTIN_LOCALE_SINCE = 17
_STATUS_LINE, _PID_LINE = 7, 0  # of postmaster.pid, counted from 0


def make_cluster(data: Path, tree: Path, account: Account, *, version: int, sync: bool) -> None:
    """Make an empty cluster in `data`, or nothing: a killed initdb leaves no directory of that name."""
    for leftover in data.parent.glob("init.*"):
        shutil.rmtree(leftover)
    staging = account.take(Path(tempfile.mkdtemp(prefix="init.", dir=data.parent)))
    command: list[str | Path] = [
        tree / "bin" / "initdb",
        "-D",
        staging,
        "-U",
        "postgres",
        "-A",
        "trust",
        "--encoding=UTF8",
    ]
    if version >= _BUILTIN_LOCALE_SINCE:
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        command += ["--locale=C.UTF-8"]
    command += ["--no-instructions"] if sync else ["--no-instructions", "--no-sync"]
    try:
        run(command, account, check=True)
    except CalledProcessError as error:
        raise DatabaseUnavailable(f"initdb: {error.stderr.strip()[-500:]}") from error
    staging.rename(data)


def require_version(data: Path, version: int) -> None:
    """Raise InvalidSettings when another major version of PostgreSQL made this cluster."""
    found = int((data / "PG_VERSION").read_text())
    if found != version:
        raise InvalidSettings(
            f"cluster of version {found}, programs of version {version}",
            user_message=f"The data in {data} was written by PostgreSQL {found}, and this release brings {version}. "
            "Move it with pg_dump, or set RECOLLECT_HOME to a new place.",
        )


def make_socket_directory(home: Path, account: Account) -> Path:
    """Return the directory of the socket, the account's own and closed to others; the same for the same home."""
    directory = home / "run"
    if not _PLAIN_PATH.fullmatch(str(directory)):
        name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        directory = Path("/tmp") / f"recollect-{name}"  # noqa: S108  # checked below
    directory.mkdir(mode=0o700, exist_ok=True)
    found, owner = directory.lstat(), os.geteuid() if account.uid is None else account.uid
    if directory.is_symlink() or found.st_uid not in {owner, os.geteuid()}:
        raise InvalidSettings(
            f"{directory} belongs to uid {found.st_uid}",
            user_message=f"{directory} belongs to somebody else. Set RECOLLECT_HOME to a directory of your own.",
        )
    return account.take(directory)


def is_ready(data: Path) -> bool:
    """Say whether a live server has announced that it accepts connections to this cluster."""
    lines = _lines(data / "postmaster.pid")
    return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready" and is_served(data)


def is_served(data: Path) -> bool:
    """Say whether the process named in the pid file lives and is this cluster's: PostgreSQL works in its directory."""
    pid = _pid(data / "postmaster.pid")
    return pid is not None and _works_in(pid, data)


def drop_foreign_locks(data: Path, socket_directory: Path) -> None:
    """Remove pid files that name a live stranger, as after a container's restart; dead ones PostgreSQL removes."""
    for file in (data / "postmaster.pid", *socket_directory.glob(".s.PGSQL.*.lock")):
        pid = _pid(file)
        if pid is not None and psutil.pid_exists(pid) and not _works_in(pid, data):
            file.unlink()


def _works_in(pid: int, data: Path) -> bool:
    """Say whether a process is a server on this data: by where it works or, where root may not look, by its command."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        try:
            return Path(process.cwd()) == data
        except psutil.AccessDenied:  # another account's, in a container without CAP_SYS_PTRACE
            return str(data) in process.cmdline()
    except psutil.Error:  # gone
        return False


def _pid(file: Path) -> int | None:
    lines = _lines(file)
    return int(lines[_PID_LINE]) if lines and lines[_PID_LINE].strip().isdigit() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []
