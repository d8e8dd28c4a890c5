"""The bundled server under everything that happens to a server on somebody's laptop."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import structlog.testing

from bot.db.binaries import account_for, bundled_tree
from bot.db.embedded import EmbeddedServer, default_home, start_embedded
from bot.errors import DatabaseUnavailable, InvalidSettings
from tests.db.conftest import Holder, ask

Start = Callable[..., EmbeddedServer]
Hold = Callable[..., Holder]

IS_ROOT = os.geteuid() == 0


def postmaster(home: Path) -> int:
    return int((home / "data" / "postmaster.pid").read_text().splitlines()[0])


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen"
        time.sleep(0.02)


def test_it_starts_from_nothing_within_six_seconds_and_again_within_one(
    start: Start, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cold, warm = [], []
    for attempt in range(2):
        began = time.monotonic()
        server = start(home / str(attempt), throwaway=False)
        cold.append(time.monotonic() - began)
        server.stop()
        began = time.monotonic()
        server = start(home / str(attempt), throwaway=False)
        warm.append(time.monotonic() - began)
        server.stop()

    with capsys.disabled():
        print(f"\nembedded server: cold start {min(cold):.2f} s, warm start {min(warm):.2f} s")  # noqa: T201
    assert min(cold) <= 6
    assert min(warm) <= 1


async def test_only_its_own_account_reaches_the_socket_and_nobody_the_network(start: Start) -> None:
    server = start()

    assert server.socket_dir.stat().st_mode & 0o777 == 0o700
    assert await ask(server.owner_url, "SHOW listen_addresses") == ""
    assert psutil.Process(postmaster(server.socket_dir.parent)).net_connections(kind="inet") == []


async def test_the_bots_role_is_no_superuser_and_owns_nothing(start: Start) -> None:
    server = start()

    assert await ask(server.bot_url, "SELECT current_user") == "recollect_bot"
    flags = "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert await ask(server.bot_url, flags) is False
    owned = "SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid WHERE r.rolname = 'recollect_bot'"
    assert await ask(server.owner_url, owned) == 0


async def test_what_people_keep_is_synced_and_what_tests_make_is_not(start: Start, home: Path) -> None:
    kept, thrown_away = start(home / "a", throwaway=False), start(home / "b", throwaway=True)

    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert await ask(kept.owner_url, f"SHOW {setting}") == "on"
        assert await ask(thrown_away.owner_url, f"SHOW {setting}") == "off"


async def test_data_outlives_a_killed_server(start: Start, home: Path) -> None:
    server = start(throwaway=False)
    await ask(server.owner_url, "CREATE TABLE notes AS SELECT 'remember' AS note")

    os.kill(postmaster(home), signal.SIGKILL)
    server.ensure_running()

    assert server.owns_server
    assert await ask(server.owner_url, "SELECT note FROM notes") == "remember"


async def test_a_watched_server_comes_back_by_itself(start: Start, home: Path) -> None:
    server = start()
    watch = asyncio.create_task(server.watch(interval_s=0.05))

    with structlog.testing.capture_logs() as logged:
        os.kill(postmaster(home), signal.SIGKILL)
        while not logged:
            await asyncio.sleep(0.05)

    watch.cancel()
    assert logged[0]["event"] == "database.restarted"
    assert await ask(server.bot_url, "SELECT 1") == 1


async def test_a_watch_that_cannot_bring_the_server_back_keeps_trying(start: Start, home: Path) -> None:
    server = start(timeout_s=8)
    settings = home / "data" / "postgresql.conf"
    working = settings.read_text()
    watch = asyncio.create_task(server.watch(interval_s=0.05))

    with structlog.testing.capture_logs() as logged:
        settings.write_text("no_such_setting = on\n")
        os.kill(postmaster(home), signal.SIGKILL)
        while not logged:
            await asyncio.sleep(0.05)
        settings.write_text(working)
        while logged[-1]["event"] != "database.restarted":
            await asyncio.sleep(0.05)

    watch.cancel()
    assert logged[0]["event"] == "database.restart_failed"


async def test_a_second_process_attaches_and_leaves_the_server_alone(start: Start, hold: Hold) -> None:
    server = start()
    second = hold()

    assert second.said()["owns_server"] is False
    second.stop()

    assert await ask(server.bot_url, "SELECT 1") == 1


async def test_the_attached_process_starts_the_server_when_its_owner_is_gone(start: Start, hold: Hold) -> None:
    owner = hold()
    assert owner.said()["owns_server"] is True
    server = start()

    owner.kill()
    wait_until(lambda: not server.is_running())
    server.ensure_running()

    assert server.owns_server
    assert await ask(server.bot_url, "SELECT 1") == 1


def test_processes_that_start_together_share_one_server(hold: Hold) -> None:
    both = [hold(), hold()]

    owners = [holder.said()["owns_server"] for holder in both]

    assert sorted(owners) == [False, True]


async def test_a_server_whose_owner_was_killed_goes_too(hold: Hold, start: Start, home: Path) -> None:
    owner = hold()
    owner.said()
    orphan = postmaster(home)

    owner.kill()
    wait_until(lambda: not psutil.pid_exists(orphan))

    assert await ask(start().bot_url, "SELECT 1") == 1


def test_the_server_gets_none_of_our_secrets(hold: Hold, home: Path) -> None:
    hold().said()

    environment = psutil.Process(postmaster(home)).environ()

    assert "SLACK_BOT_TOKEN" not in environment
    assert "HOME" not in environment


async def test_a_pid_file_that_names_a_live_stranger_is_no_obstacle(start: Start, home: Path) -> None:
    server = start()
    lines = (home / "data" / "postmaster.pid").read_text().splitlines()
    lock = server.socket_dir / ".s.PGSQL.5432.lock"
    lock_lines = lock.read_text().splitlines()
    server.stop()
    account = account_for(home / "data")
    stranger = subprocess.Popen(["/bin/sleep", "60"], cwd="/", user=account.uid)

    try:
        for file, content in ((home / "data" / "postmaster.pid", lines), (lock, lock_lines)):
            file.write_text("\n".join([str(stranger.pid), *content[1:]]) + "\n")
        assert not server.is_running()
        server.ensure_running()

        assert await ask(server.bot_url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_an_initdb_killed_half_way_leaves_nothing_behind(hold: Hold, start: Start, home: Path) -> None:
    victim = hold()
    wait_until(lambda: any(home.glob("init.*/PG_VERSION")))

    victim.kill()

    assert not (home / "data").exists()
    assert await ask(start().bot_url, "SELECT 1") == 1
    assert not list(home.glob("init.*"))


@pytest.mark.parametrize("name", ["long" * 30, "with space, comma and 'quote' 100%", "дом"])
async def test_any_directory_will_do(start: Start, home: Path, name: str) -> None:
    server = start(home / name)

    assert await ask(server.bot_url, "SELECT 1") == 1
    assert len(os.fsencode(server.socket_dir / ".s.PGSQL.5432")) < 90
    server.stop()
    server.socket_dir.rmdir()


@pytest.mark.parametrize("account", [None, "nobody"] if IS_ROOT else [None])
def test_it_runs_for_root_and_for_a_plain_user(hold: Hold, home: Path, account: str | None) -> None:
    if account is not None:
        shutil.chown(home, account)

    said = hold(account).said()

    assert (said["uid"] == 0) == (IS_ROOT and account is None)
    assert said["role"] == "recollect_bot"
    assert psutil.Process(postmaster(home)).uids().real != 0


def test_root_never_opens_a_closed_directory_to_others(start: Start, home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)

    if IS_ROOT:
        with pytest.raises(InvalidSettings, match="can't enter") as refusal:
            start(closed / "data")
        assert "RECOLLECT_HOME" in refusal.value.user_message
    else:
        start(closed / "data")

    assert closed.stat().st_mode & 0o777 == 0o700


async def test_programs_in_a_closed_environment_are_copied_once(start: Start, home: Path) -> None:
    bundled = bundled_tree()
    closed = home / "venv"
    for directory in (bundled, bundled.parent.parent / f"{bundled.parent.name}.libs"):
        shutil.copytree(directory, closed / directory.relative_to(bundled.parent.parent), symlinks=True)
    closed.chmod(0o700)

    server = start(home / "home", tree=closed / bundled.parent.name / bundled.name)

    assert await ask(server.bot_url, "SELECT 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    assert (home / "home" / "postgresql").exists() == IS_ROOT


async def test_the_oldest_supported_postgresql_starts_as_well(start: Start) -> None:
    server = start(tree=bundled_tree().with_name("pginstall"))

    assert str(await ask(server.bot_url, "SHOW server_version")).startswith("16.")


def test_a_cluster_of_another_version_is_left_alone(start: Start, home: Path) -> None:
    start(tree=bundled_tree().with_name("pginstall")).stop()

    with pytest.raises(InvalidSettings) as refusal:
        start()

    assert "written by PostgreSQL 16" in refusal.value.user_message
    assert (home / "data" / "PG_VERSION").read_text().strip() == "16"


def test_a_server_that_will_not_start_says_where_to_look(start: Start, home: Path) -> None:
    start().stop()
    (home / "data" / "postgresql.conf").write_text("no_such_setting = on\n")

    with pytest.raises(DatabaseUnavailable) as failure:
        start()

    assert str(home / "postgres.log") in failure.value.user_message
    assert "no_such_setting" in (home / "postgres.log").read_text()


def test_a_directory_one_may_not_write_to_is_refused_in_words(start: Start, home: Path) -> None:
    (home / "file").write_text("in the way")

    with pytest.raises(InvalidSettings, match="can't make") as refusal:
        start(home / "file" / "data")

    assert "RECOLLECT_HOME" in refusal.value.user_message


def test_a_thread_that_may_end_is_refused(home: Path, tree: Path) -> None:
    errors: list[str] = []

    def begin() -> None:
        try:
            start_embedded(home, tree=tree)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()

    assert re.search("main thread", errors[0])


async def test_stopping_does_not_wait_for_clients(start: Start) -> None:
    server = start()
    sleeper = asyncio.create_task(ask(server.bot_url, "SELECT pg_sleep(60)"))
    await asyncio.sleep(0.5)

    began = time.monotonic()
    server.stop()

    assert time.monotonic() - began < 5
    with pytest.raises(Exception, match=r"terminat|closed"):
        await sleeper


def test_data_lives_where_the_server_can_reach_it() -> None:
    home = default_home()

    assert home == Path("/var/lib/recollect") if IS_ROOT else home.is_relative_to(Path.home())


def test_a_processor_the_binaries_do_not_fit_is_named_as_the_reason(start: Start, home: Path, tree: Path) -> None:
    package = home / "old" / tree.parent.name
    shutil.copytree(tree, package / tree.name, symlinks=True)
    libraries = tree.parent.parent / f"{tree.parent.name}.libs"
    shutil.copytree(libraries, home / "old" / libraries.name, symlinks=True)
    forbid_instruction(package / tree.name / "lib" / "postgresql" / "vector.so", "cosine_distance")

    with pytest.raises(InvalidSettings) as refusal:
        start(home / "home", tree=package / tree.name)

    assert "processor is too old" in refusal.value.user_message


def forbid_instruction(library: Path, symbol: str) -> None:
    """Overwrite the start of a function by an instruction no processor has (ELF64, little-endian: System V gABI)."""
    code = bytearray(library.read_bytes())
    table, size, count = struct.unpack_from("<Q", code, 40)[0], *struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + size * i) for i in range(count)]
    symbols = next(section for section in sections if section[1] == 11)  # SHT_DYNSYM
    names = sections[symbols[6]][4]
    for entry in range(symbols[4], symbols[4] + symbols[5], 24):
        name, _, _, _, value = struct.unpack_from("<IBBHQ", code, entry)
        if code[names + name :].startswith(symbol.encode() + b"\0"):
            home = next(s for s in sections if s[3] <= value < s[3] + s[5])
            offset = value - home[3] + home[4]
            code[offset : offset + 4] = b"\x0f\x0b\x0f\x0b" if platform.machine() == "x86_64" else bytes(4)
            library.write_bytes(code)
            return
    raise AssertionError(f"no {symbol}")
