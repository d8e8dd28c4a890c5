"""Hostile children, through the real child and its real start: what each wall refuses passes where that wall is missing.

A kernel that grants a wall not at all is told so by `bot doctor`, and that is what is asserted there.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

import bot
from bot.doctor.finding import Verdict
from bot.doctor.sandbox import Standing, check_sandbox, findings_of, standing_walls
from bot.parsing import seccomp
from bot.parsing.reasons import Limits
from bot.parsing.sandbox import parse_in_sandbox, run_child
from tests.parsing.builders import docx, odt, paragraph, pdf, xlsx

FLAGS = ("-P", "-s", "-B", "-c")
BOTH = ("landlock", "seccomp")
REMOVE = {
    "landlock": "from bot.parsing import landlock; landlock.abi = lambda: 0",
    "seccomp": "from bot.parsing import seccomp; seccomp.restrict = lambda: False",
}
HOSTILE = """
import ctypes, json, os, resource, signal, socket, subprocess, sys
from pathlib import Path
from bot.parsing import child, parse
from bot.parsing.wire import Parsed

def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")

def of_a_child(act):
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return "refused" if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) else "done"

def attempt(outside, place):
{body}

def hostile(data, filename, limits):
    try:
        said = attempt(**json.loads(data)) or "done"
    except OSError as error:
        said = "refused" if isinstance(error, PermissionError) else repr(error)
    return Parsed(said, "txt")

parse.parse = hostile
{without}
child.main()
"""

FILES = {
    "make a file": "(Path(outside) / 'new').touch()",
    "make a folder": "(Path(outside) / 'folder').mkdir()",
    "write a file": "Path(outside, 'kept').write_text('other')",
    "lengthen a file": "open(Path(outside, 'kept'), 'a').write('more')",
    "empty a file": "os.close(os.open(Path(outside, 'kept'), os.O_RDONLY | os.O_TRUNC))",
    "delete a file": "Path(outside, 'kept').unlink()",
    "rename a file": "Path(outside, 'kept').rename(Path(outside, 'moved'))",
    "link a file": "os.link(Path(outside, 'kept'), Path(outside, 'other'))",
    "leave a link": "os.symlink('/etc/passwd', Path(outside, 'link'))",
    "go by a link": "os.symlink(outside, 'way'); Path('way/new').touch()",
    "go by the parent": "Path(os.path.relpath(outside), 'new').touch()",
    "make a device": "os.mknod(Path(outside, 'pipe'), 0o600 | 0o010000)",
    "make a socket file": "os.mknod(Path(outside, 'pipe'), 0o600 | 0o140000)",
    "read a secret": "return Path(outside, 'kept').read_text()",
    "list a folder": "return str(os.listdir(outside))",
    "read the bot's environment": "return str(len(Path(f'/proc/{os.getppid()}/environ').read_bytes()))",
    "read who has an account": "return Path('/etc/passwd').read_text()[:9]",
    "read the checkout's settings": f"return Path({str(Path(bot.__file__).parent.parent / 'pyproject.toml')!r}).read_text()[:9]",
}
"""What Landlock refuses."""

NETWORK = {
    "TCP": "socket.create_connection(('127.0.0.1', place['tcp4']), 2).send(b'out')",
    "TCP over IPv6": "socket.create_connection(('::1', place['tcp6']), 2).send(b'out')",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'out', ('127.0.0.1', place['udp4']))",
    "UDP over IPv6": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'out', ('::1', place['udp6']))",
    "a unix socket": "socket.socket(socket.AF_UNIX).connect(place['unix'])",
    "an abstract unix socket": "socket.socket(socket.AF_UNIX).connect('\\0' + place['abstract'])",
    "listening": "socket.create_server(('127.0.0.1', 0))",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a message queue of System V": "check(ctypes.CDLL(None, use_errno=True).msgget(0, 0o600))",
}
"""What seccomp refuses of the network."""

PROCESSES = {
    "signal the bot": "os.kill(os.getppid(), 0)",
    "signal everybody": "os.kill(-1, 0)",
    "signal by a file": "signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)",
    "lower the bot's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_CORE)",
    "slow the bot down": "os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))",
    "bind the bot to a core": "os.sched_setaffinity(os.getppid(), os.sched_getaffinity(os.getppid()))",
    "trace itself": "check(ctypes.CDLL(None, use_errno=True).ptrace(0, 0, 0, 0))",
    "start a program": "subprocess.run([sys.executable, '-V'], stdout=subprocess.DEVNULL)",
    "leave its group": "return of_a_child(os.setsid)",
    "change a file's times": "os.utime(Path(outside, 'kept'), (0, 0))",
    "cut a file by its name": "os.truncate(Path(outside, 'kept'), 0)",
}
"""What seccomp refuses besides."""

ATTACKS = {**FILES, **NETWORK, **PROCESSES}
HELD_TWICE = {
    *("cut a file by its name", "start a program", "TCP", "TCP over IPv6", "listening"),
    *("signal the bot", "signal everybody", "signal by a file", "an abstract unix socket"),
}
"""By Landlock too: to pass, both must be missing."""

SUBJECTS = {"landlock": ["Sandbox files"], "seccomp": ["Sandbox network", "Sandbox processes"]}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "kept").write_text("a secret")
    return tmp_path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[dict[str, object]]:
    """Listeners of every kind, that accept by themselves: where each is. Port 9 stands for IPv6 where there is none."""
    abstract = f"recollect-{os.getpid()}"
    kinds = {
        "tcp4": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "tcp6": (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
        "udp4": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "udp6": (socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 0)),
        "unix": (socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "socket")),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract),
    }
    opened = {name: bound for name, kind in kinds.items() if (bound := _bound(*kind))}
    try:
        ports = {
            name: opened[name].getsockname()[1] if name in opened else 9 for name in ("tcp4", "tcp6", "udp4", "udp6")
        }
        yield {**ports, "unix": str(tmp_path / "socket"), "abstract": abstract}
    finally:
        for each in opened.values():
            each.close()


def _bound(family: int, kind: int, address: Any) -> socket.socket | None:
    bound = socket.socket(family, kind)
    try:
        bound.bind(address)
    except OSError:
        bound.close()
        assert family == socket.AF_INET6
        return None
    if kind == socket.SOCK_STREAM:
        bound.listen()
    return bound


async def outcome(attack: str, outside: Path, place: dict[str, object], *, without: tuple[str, ...] = ()) -> str:
    """Return what a parser says that tries `attack` where the real one would have read the file."""
    code = HOSTILE.format(body=indent(attack, "    "), without="\n".join(REMOVE[wall] for wall in without))
    request = json.dumps({"outside": str(outside), "place": place}).encode()
    return (await run_child((*FLAGS, code), request, "file", limits=Limits(wall_s=15))).text


def offered() -> tuple[int, bool]:
    """Return what the kernel says of itself when it is asked without the bot's code: Landlock's ABI, and seccomp."""
    libc = ctypes.CDLL(None)
    abi, mode = libc.syscall(444, None, ctypes.c_size_t(0), 1), libc.prctl(21, 0, 0, 0, 0)  # PR_GET_SECCOMP
    return max(0, abi), mode >= 0 and platform.machine() in {"x86_64", "aarch64"}


@pytest.fixture(scope="session")
async def granted() -> dict[str, bool]:
    """Which walls this kernel grants. Of one that it doesn't, `bot doctor` must say so: asserted here."""
    standing = await standing_walls()
    assert (standing.landlock_abi, standing.seccomp) == offered()
    walls = {"landlock": bool(standing.landlock_abi), "seccomp": standing.seccomp}
    found = {finding.subject: finding for finding in await check_sandbox()}
    for wall, subjects in SUBJECTS.items():
        for subject in subjects:
            assert found[subject].text.startswith("none: ") is not walls[wall]
            assert found[subject].verdict is (Verdict.OK if walls[wall] else Verdict.WARN)
    return walls


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_wall_refuses_what_passes_without_it(
    attack: str, outside: Path, place: dict[str, object], granted: dict[str, bool]
) -> None:
    wall = "landlock" if attack in FILES else "seccomp"
    missing = BOTH if attack in HELD_TWICE else (wall,)

    assert not granted[wall] or await outcome(ATTACKS[attack], outside, place) == "refused"
    assert _as_it_was(outside) or not granted[wall]
    assert await outcome(ATTACKS[attack], outside, place, without=missing) != "refused"


def _as_it_was(outside: Path) -> bool:
    return [each.name for each in outside.iterdir() if each.name != "socket"] == ["kept"] and (
        (outside / "kept").read_text() == "a secret"
    )


async def test_what_a_child_starts_is_held_too(
    outside: Path, place: dict[str, object], granted: dict[str, bool]
) -> None:
    fork = "return of_a_child(lambda: socket.socket())"
    thread = "import threading; said = []; t = threading.Thread(target=lambda: said.append(os.listdir(outside)))"

    if granted["seccomp"]:
        assert await outcome(fork, outside, place) == "refused"
    if granted["landlock"]:
        assert await outcome(thread + "; t.start(); t.join(); return str(said)", outside, place) == "[]"


async def test_a_mode_is_said_to_be_set_and_is_not(
    outside: Path, place: dict[str, object], granted: dict[str, bool]
) -> None:
    """kreuzberg sets the mode of what it unpacks; on the files of others that must do nothing."""
    (outside / "kept").chmod(0o600)
    change = "os.chmod(Path(outside, 'kept'), 0o777)"

    assert await outcome(change, outside, place) == "done"
    assert not granted["seccomp"] or stat.S_IMODE((outside / "kept").stat().st_mode) == 0o600
    assert await outcome(change, outside, place, without=("seccomp",)) == "done"
    assert stat.S_IMODE((outside / "kept").stat().st_mode) == 0o777


async def test_a_parser_has_what_it_needs(outside: Path, place: dict[str, object]) -> None:
    needs = (
        "Path('mine').write_text('x'); os.rename('mine', 'yours'); os.mkdir('d'); os.unlink('yours'); os.rmdir('d')\n"
        "socket.socketpair(); os.urandom(1); Path('/dev/urandom').open('rb').read(1)\n"
        "import sqlite3, ssl, kreuzberg; os.kill(os.getpid(), 0); resource.getrlimit(resource.RLIMIT_CORE)"
    )

    assert await outcome(needs, outside, place) == "done"


@pytest.mark.parametrize("version", range(1, 8))
async def test_older_kernels_hold_the_files_as_far_as_they_can(
    version: int, outside: Path, place: dict[str, object], granted: dict[str, bool]
) -> None:
    """Their Landlock knows fewer rights. (Asking the kernel here for no more than those is what one of them would get.)"""
    older = f"from bot.parsing import landlock; abi = landlock.abi; landlock.abi = lambda: min({version}, abi())\n"

    for attack in ("make a file", "write a file", "read a secret"):
        code = older + HOSTILE.format(body=indent(FILES[attack], "    "), without="")
        request = json.dumps({"outside": str(outside), "place": place}).encode()
        said = (await run_child((*FLAGS, code), request, "file", limits=Limits())).text
        assert said == "refused" or not granted["landlock"]
    code = older + "from bot.parsing.child import main; main()"
    read = await run_child((*FLAGS, code), pdf([["Hello."]]), "a.pdf", limits=Limits())
    assert read.text == "Hello."


@pytest.mark.parametrize("without", [(), ("landlock",), ("seccomp",), BOTH])
async def test_files_are_read_alike_whichever_walls_stand(without: tuple[str, ...]) -> None:
    files = {
        "a.pdf": pdf([["Hello."], ["World."]]),
        "a.docx": docx(paragraph("Hello.")),
        "a.xlsx": xlsx({"One": [["a", "b"]]}),
        "a.odt": odt("Hello."),
        "a.csv": b"a,b\n1,2\n",
        "a.html": b"<html><h1>Hello</h1>",
        "a.eml": b"Subject: Hello\nMIME-Version: 1.0\n\nWorld.",
        "a.txt": b"Hello.",
    }
    code = "\n".join(REMOVE[wall] for wall in without) + "\nfrom bot.parsing.child import main; main()"

    for name, data in files.items():
        document = await run_child((*FLAGS, code), data, name, limits=Limits())
        assert document == await parse_in_sandbox(data, name)


async def test_the_doctor_says_which_walls_stand() -> None:
    standing = await standing_walls()
    found = {finding.subject: finding for finding in await check_sandbox()}

    assert set(found) == {"Sandbox files", "Sandbox network", "Sandbox processes"}
    assert found["Sandbox files"].text.startswith(
        f"Landlock ABI {standing.landlock_abi}: " if standing.landlock_abi else "none: "
    )
    for subject in ("Sandbox network", "Sandbox processes"):
        assert found[subject].text.startswith("seccomp: " if standing.seccomp else "none: ")
    held = {"files": bool(standing.landlock_abi), "network": standing.seccomp, "processes": standing.seccomp}
    assert not any(passed for wall, passed in standing.passed.items() if held[wall])


async def test_the_doctors_probe_sees_a_wall_that_does_not_hold() -> None:
    """The walls are said to stand, and don't."""
    code = (
        "from bot.parsing import probe\nfrom bot.parsing.walls import Walls\n"
        "probe.raise_walls = lambda home: Walls(landlock_abi=7, seccomp=True)\nprobe.main()"
    )

    told = json.loads((await run_child((*FLAGS, code), b"?", "probe", limits=Limits())).text)

    assert {finding.verdict for finding in findings_of(Standing(**told))} == {Verdict.FAIL}
    assert told["passed"]["network"] == ["open a UDP socket", "open a TCP socket", "open a unix socket"]
    assert told["passed"]["processes"] == ["signal the bot", "read the bot's limits", "start a program"]


def test_a_wall_that_is_missing_is_a_warning_with_what_would_grant_it() -> None:
    found = findings_of(Standing(landlock_abi=0, seccomp=False, passed={}))

    assert {finding.verdict for finding in found} == {Verdict.WARN}
    assert all(finding.text.startswith("none: ") and finding.mend for finding in found)


@pytest.mark.parametrize("column", [0, 1])
def test_no_system_call_is_named_twice(column: int) -> None:
    numbers = [
        numbers[column]
        for table in (seccomp.REFUSED, seccomp.PRETENDED, seccomp.OWN)
        for numbers in table.values()
        if numbers[column] is not None
    ]

    assert len(numbers) == len(set(numbers)) > 60
