"""The Makefile and .ci/run, as a newcomer and CI meet them."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = (
    "demo",
    "smoke",
    "test",
    "browser",
    "static",
    "check",
    "bench",
    "eval",
    "faults",
    "attacks",
    "soak",
    "lock",
    "help",
)


def make(*arguments: str, path: Path | None = None, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make as a person would: none of the flags of a make around these tests, `path` as the whole PATH."""
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "PYTHON"}
    if path is not None:
        environment["PATH"] = str(path)
    program = shutil.which("make")
    assert program is not None, "make is not installed"
    command = [program, "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without .venv: all that making one reads."""
    directory = tmp_path / "checkout"
    directory.mkdir()
    for name in ("Makefile", "requirements-dev.lock"):
        shutil.copy(ROOT / name, directory / name)
    return directory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with what every system has, and no Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "touch"):
        (directory / name).symlink_to(shutil.which(name) or name)
    return directory


def add_program(path: Path, name: str, script: str) -> None:
    program = path / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def install(checkout: Path) -> Path:
    """Mark the checkout's environment as made from its lock; return the mark."""
    ready = checkout / ".venv/.ready"
    ready.parent.mkdir()
    ready.touch()
    return ready


def recipe(target: str, checkout: Path) -> list[str]:
    """Return the commands of a target, none of them run."""
    result = make("--dry-run", target, directory=checkout)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_help_names_every_target() -> None:
    result = make("help")

    listed = re.findall(r"^make (\w+) +\S", result.stdout, re.MULTILINE)
    assert set(TARGETS) <= set(listed)
    assert result.stdout == make().stdout


@pytest.mark.parametrize("target", ["demo", "smoke", "test", "browser", "static", "check", "bench", "eval"])
def test_without_python_each_target_says_so_in_one_line(target: str, checkout: Path, path: Path) -> None:
    result = make(target, path=path, directory=checkout)

    said, verdict = result.stderr.splitlines()
    assert said == (
        "Recollect needs Python 3.11 or newer. "
        f"Install it, or name it: make {target} PYTHON=/path/to/python3.12"
    )  # fmt: skip
    assert verdict.startswith("make: ***")
    assert result.returncode != 0
    assert not (checkout / ".venv").exists()


def test_an_old_python_is_named_with_its_version(checkout: Path, path: Path) -> None:
    add_program(path, "python3", 'case "$1" in -V) echo Python 3.10.13 ;; *) exit 1 ;; esac')

    result = make("demo", path=path, directory=checkout)

    assert result.stderr.splitlines()[0].startswith(
        "Recollect needs Python 3.11 or newer (python3 is Python 3.10.13). Install it"
    )


def test_python_names_the_interpreter_and_no_other_is_tried(checkout: Path, path: Path) -> None:
    add_program(path, "python3", "exit 0")
    add_program(path, "elsewhere", 'case "$1" in -V) echo Python 3.9.1 ;; *) exit 1 ;; esac')

    result = make("demo", "PYTHON=elsewhere", path=path, directory=checkout)

    assert "(elsewhere is Python 3.9.1)" in result.stderr.splitlines()[0]


def test_a_python_without_venv_says_what_to_install(checkout: Path, path: Path) -> None:
    add_program(path, "python3", 'case "$2" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac')

    result = make("demo", path=path, directory=checkout)

    assert result.stderr.splitlines()[0] == (
        "python3 has no venv module: install it (on Debian: apt-get install python3-venv), or uv."
    )
    assert result.returncode != 0


def test_a_newer_python_is_found_when_python3_is_old(checkout: Path, path: Path) -> None:
    add_program(path, "python3", "exit 1")
    add_program(path, "python3.12", 'case "$2" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac')

    result = make("demo", path=path, directory=checkout)

    assert result.stderr.startswith("python3.12 has no venv module")


def test_uv_is_used_when_it_is_there_and_checks_every_hash(checkout: Path, path: Path) -> None:
    add_program(path, "python3", "exit 0")
    add_program(path, "mkdir", f'exec {shutil.which("mkdir")} "$@"')
    add_program(path, "uv", 'echo "uv $*"; [ "$1" != venv ] || mkdir .venv')

    result = make(".venv/.ready", path=path, directory=checkout)

    assert result.returncode == 0, result.stderr
    _, made, installed, itself = result.stdout.splitlines()
    assert made.startswith("uv venv")
    assert "--require-hashes -r requirements-dev.lock" in installed
    assert "--offline" in itself
    assert (checkout / ".venv/.ready").exists()


def test_a_failed_install_leaves_nothing_marked_ready(checkout: Path, path: Path) -> None:
    add_program(path, "python3", "exit 0")
    add_program(path, "mkdir", f'exec {shutil.which("mkdir")} "$@"')
    add_program(path, "uv", '[ "$1" != venv ] || exec mkdir .venv; exit 1')

    result = make(".venv/.ready", path=path, directory=checkout)

    assert result.returncode != 0
    assert not (checkout / ".venv/.ready").exists()


def test_only_a_newer_lock_makes_the_environment_again(checkout: Path) -> None:
    ready = install(checkout)
    locked = (checkout / "requirements-dev.lock").stat().st_mtime

    os.utime(ready, (locked + 1, locked + 1))
    assert make("--question", ".venv/.ready", directory=checkout).returncode == 0

    os.utime(ready, (locked - 1, locked - 1))
    assert make("--question", ".venv/.ready", directory=checkout).returncode == 1


def test_check_is_the_static_part_and_the_tests(checkout: Path) -> None:
    install(checkout)

    assert recipe("check", checkout) == recipe("static", checkout) + recipe("test", checkout)


def test_the_static_part_covers_format_lint_types_and_imports(checkout: Path) -> None:
    install(checkout)

    assert recipe("static", checkout) == [
        ".venv/bin/ruff format --check .",
        ".venv/bin/ruff check .",
        ".venv/bin/mypy",
        ".venv/bin/lint-imports",
    ]


def test_ci_runs_what_check_runs_the_main_job_the_faults_and_the_attacks() -> None:
    script = (ROOT / ".ci/run").read_text()

    loop = re.search(r"for target in (.+); do\n(?:.*\n)+? +make \$target\n", script)
    assert loop is not None
    assert shlex.split(loop[1]) == ["static", "test", "browser", "smoke", "faults QUICK=1", "attacks QUICK=1"]
    assert "set -euo pipefail" in script
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_lock_without_uv_says_what_is_missing(path: Path) -> None:
    result = make("lock", path=path)

    assert result.stderr.splitlines()[0] == "make lock needs uv (pip install uv)."
    assert result.returncode != 0


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_pins_with_hashes_and_names_no_host(name: str) -> None:
    lock = (ROOT / name).read_text()

    requirements = re.findall(r"^[a-z0-9].*$", lock, re.MULTILINE)
    assert requirements
    assert all(re.match(r"[a-z0-9._-]+==\S+.* \\$", requirement) for requirement in requirements)
    assert not re.search(r"://|index-url|find-links|trusted-host", lock)


def test_lock_asks_for_hashes_and_against_hosts(checkout: Path) -> None:
    runtime, development = (line for line in recipe("lock", checkout) if line.startswith("uv pip compile"))

    for command in (runtime, development):
        assert {"--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"} <= set(command.split())
    assert "-c requirements.lock" in development


def test_both_locks_agree() -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]

    runtime, development = pins
    assert runtime.items() <= development.items()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    named = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    lock = (ROOT / "requirements-dev.lock").read_text()
    missing = [name for name in map(distribution, named) if not re.search(rf"^{name}==", lock, re.MULTILINE)]
    assert missing == []


def distribution(requirement: str) -> str:
    """Return the normalised name of what a requirement asks for."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()
