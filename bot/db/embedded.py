"""PostgreSQL of our own: the bundled programs, started on a directory, reached through a socket nobody else can open.

Why so, and what else was weighed: docs/decisions/0001-embedded-postgresql.md.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

import platformdirs
import psutil
import structlog
from sqlalchemy import URL

from bot.db.binaries import account_for, bundled_tree, major_version, run, runnable_tree, spawn
from bot.db.cluster import (
    drop_foreign_locks,
    is_ready,
    is_served,
    make_cluster,
    make_socket_directory,
    require_version,
)
from bot.errors import DatabaseUnavailable, InvalidSettings, RecollectError

_log = structlog.get_logger()

DATABASE = "recollect"
OWNER = "postgres"
BOT = "recollect_bot"

_STOP_TIMEOUT_S = 20.0
_LOOK_S = 0.02  # between two looks at the pid file
_RESPAWN_S = 0.25  # orphans of a killed server hold its shared memory for a moment
_RESPAWNS = 20
_CRASHES = 3  # once may be somebody's kill; thrice is the processor
_PSQL_LOST_CONNECTION = 2
_LOG_BYTES = 5 * 2**20
_IO_METHOD_SINCE = 18

_BOOTSTRAP = f"""
SELECT 'CREATE DATABASE {DATABASE}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
SELECT 'CREATE ROLE {BOT} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{BOT}') \\gexec
\\connect {DATABASE}
SELECT 'CREATE EXTENSION vector' WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') \\gexec
ALTER EXTENSION vector UPDATE;
SELECT '[1,2]'::vector <=> '[1,3]'::vector;
"""


def default_home() -> Path:
    """Return where data lives when RECOLLECT_HOME doesn't say; for root a place that the server's account can enter."""
    if os.geteuid() == 0:
        return Path("/var/lib/recollect")
    return platformdirs.user_data_path("recollect", appauthor=False)


def start_embedded(
    home: Path, *, tree: Path | None = None, throwaway: bool = False, timeout_s: float = 60
) -> EmbeddedServer:
    """Start the server on `home`, or attach to the one that runs there; it accepts connections on return.

    Call it from the main thread: Linux ends the server with the thread that started it. `throwaway` trades safety for
    speed, for data nobody will miss. Raises InvalidSettings when `home` can't work, DatabaseUnavailable when the
    server doesn't come up.
    """
    server = EmbeddedServer(home, tree=tree or bundled_tree(), throwaway=throwaway, timeout_s=timeout_s)
    server.ensure_running()
    return server


class EmbeddedServer:
    """A server on this machine: ours to stop when we started it, somebody else's when we found it running."""

    def __init__(self, home: Path, *, tree: Path, throwaway: bool, timeout_s: float) -> None:
        _make_home(home)
        self._home = home.resolve()
        self._data = self._home / "data"
        self._account = account_for(self._data)
        if not self._account.can_enter(self._home):
            raise InvalidSettings(
                f"uid {self._account.uid} can't enter {self._home}",
                user_message=f"PostgreSQL doesn't run as root, and its account can't enter {self._home}. "
                "Set RECOLLECT_HOME to a directory whose parents are open to all, such as /var/lib/recollect.",
            )
        self._tree = runnable_tree(tree, self._home, self._account)
        self._version = major_version(self._tree)
        self._throwaway = throwaway
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self.socket_dir = make_socket_directory(self._home, self._account)

    @property
    def owner_url(self) -> str:
        """The URL of the role that owns the tables: migrations alone use it."""
        return self._url(OWNER)

    @property
    def bot_url(self) -> str:
        """The URL of the role that owns nothing: everything else uses it."""
        return self._url(BOT)

    @property
    def owns_server(self) -> bool:
        """True when this process started the server that runs now."""
        return self._process is not None and self._process.poll() is None

    def is_running(self) -> bool:
        """Say whether the server accepts connections, whoever started it. Costs well under a millisecond."""
        return is_ready(self._data)

    def ensure_running(self) -> None:
        """Start the server unless it runs; afterwards, who starts it owns it. From the main thread only."""
        with contextlib.closing(self._starting()) as steps:
            for pause_s in steps:
                time.sleep(pause_s)

    async def watch(self, *, interval_s: float = 1.0) -> None:
        """Keep the server up until cancelled: when it died, or its owner did, start it again. On the main thread."""
        while True:
            await asyncio.sleep(interval_s)
            if self.is_running():
                continue
            try:
                with contextlib.closing(self._starting()) as steps:
                    for pause_s in steps:
                        await asyncio.sleep(pause_s)
            except RecollectError as error:
                _log.error("database.restart_failed", reason=str(error))  # and try again: the disk may have room then
            else:
                _log.warning("database.restarted", owns_server=self.owns_server)

    def stop(self) -> None:
        """Stop the server if it is ours: clients are cut off, what they committed is kept."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # no checkpoint; the next start replays the log
            process.wait(_STOP_TIMEOUT_S)

    def _starting(self) -> Generator[float, None, None]:
        """Bring the server up or leave none behind; yields how many seconds to pause before the next step."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the server would end with this thread; start it from the main thread")
        deadline = time.monotonic() + self._timeout_s
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            for pause_s in self._steps():
                if time.monotonic() > deadline:
                    raise self._failure(f"not ready after {self._timeout_s:.0f} s")
                yield pause_s
            undo.pop_all()

    def _steps(self) -> Iterator[float]:
        with (self._home / "lock").open("a") as lock:
            while not _lock(lock):
                yield _LOOK_S
            if not (self._data / "PG_VERSION").exists():
                make_cluster(self._data, self._tree, self._account, version=self._version, sync=not self._throwaway)
            require_version(self._data, self._version)
            crashes = 0
            while crashes < _CRASHES:
                yield from self._spawning()
                error = self._bootstrap()
                if error is None:
                    return
                crashes += "server closed the connection" in error
                yield _RESPAWN_S
        raise InvalidSettings(
            "the server dies of a vector distance",
            user_message="This machine's processor is too old for the bundled PostgreSQL (it needs AVX2). "
            "Set DATABASE_URL to a PostgreSQL server with pgvector.",
        )

    def _spawning(self) -> Iterator[float]:
        starts = 0
        while not is_ready(self._data):
            if self.owns_server or is_served(self._data):  # starting, or stopping
                yield _LOOK_S
                continue
            if starts == _RESPAWNS:
                raise self._failure("it exits at once")
            if starts:
                yield _RESPAWN_S
            starts += 1
            self._spawn()

    def _spawn(self) -> None:
        drop_foreign_locks(self._data, self.socket_dir)
        command: list[str | Path] = [self._tree / "bin" / "postgres", "-D", self._data, "-k", self.socket_dir]
        for name, value in self._settings().items():
            command += ["-c", f"{name}={value}"]
        with _open_log(self._home) as log:
            self._process = spawn(command, self._account, log=log, signal=signal.SIGINT)
        if sys.platform != "linux":
            atexit.register(self.stop)

    def _settings(self) -> dict[str, str]:
        """Return the server's settings. An eighth of the memory for its cache is a guess, kept within 128–512 MB."""
        cache_mb = min(max(psutil.virtual_memory().total // 2**20 // 8, 128), 512)
        settings = {
            "listen_addresses": "",
            "max_connections": "100",
            "shared_buffers": f"{cache_mb}MB",
            "maintenance_work_mem": "256MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_error_verbosity": "terse",  # a detail line would quote people's data
        }
        if self._version >= _IO_METHOD_SINCE:
            settings["io_method"] = "sync"  # three processes fewer
        if self._throwaway:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        return settings

    def _bootstrap(self) -> str | None:
        """Make database, extension and roles where they are missing, and try the processor on a distance.

        Returns what the client said when the server went away, or was just going when it still looked ready.
        """
        options = ["-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self.socket_dir), "-U", OWNER, "-d", "postgres"]
        done = run([self._tree / "bin" / "psql", *options, "-f", "-"], self._account, text=_BOOTSTRAP)
        if done.returncode == _PSQL_LOST_CONNECTION:
            return done.stderr
        if done.returncode != 0:
            raise self._failure(done.stderr.strip()[-500:])
        return None

    def _failure(self, why: str) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"embedded PostgreSQL: {why}",
            user_message=f"The database didn't start. What it said stands in {self._home / 'postgres.log'}",
        )

    def _url(self, role: str) -> str:
        """Everything is said, so that no PGPORT and no PGSSLMODE of the environment answers instead."""
        query = {"host": str(self.socket_dir), "port": "5432", "ssl": "disable"}
        url = URL.create("postgresql+asyncpg", username=role, database=DATABASE, query=query)
        return url.render_as_string(hide_password=False)


def _make_home(home: Path) -> None:
    message = f"I can't write to the directory {home}. Set RECOLLECT_HOME to a directory of your own."
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"can't make {home}: {error}", user_message=message) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise InvalidSettings(f"can't write to {home}", user_message=message)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_log(home: Path) -> IO[bytes]:
    path = home / "postgres.log"
    too_long = path.exists() and path.stat().st_size > _LOG_BYTES
    path.touch(mode=0o600)
    return path.open("wb" if too_long else "ab")
