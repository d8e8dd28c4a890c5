"""What a newcomer waits for: `make demo` and `make test` on a clean clone, empty home, no cache. Writes README's table.

Run `python -m benchmarks.clean_clone` on an idle machine; it takes as long as the suite.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- clean-clone:[^>]*-->\n).*?(<!-- /clean-clone -->)", re.DOTALL)
START_TIMEOUT_S = 900
PORT = 18080


def main() -> int:
    """Measure, print and write; 1 when something didn't come up."""
    with tempfile.TemporaryDirectory(prefix="recollect-clone-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        clone = home / "recollect"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = _environment(home)
        install_s = _timed(["make", ".venv/.ready"], clone, environment)
        first_s = _demo_seconds(clone, environment)
        second_s = _demo_seconds(clone, environment)
        tests_s = _timed(["make", "test"], clone, environment)
    rows = {
        "installing into `.venv`, without a cache": install_s,
        "`make demo`, first start to its page": first_s,
        "`make demo`, later starts": second_s,
        "`make test`": tests_s,
    }
    table = _table(rows)
    print(table)
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: match[1] + table + match[2], readme.read_text()))
    return 0


def _environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}  # noqa: TID251
    fresh = {"HOME": str(home), "RECOLLECT_HOME": str(home / "data"), "PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
    return {**kept, **fresh}


def _timed(command: list[str], clone: Path, environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _demo_seconds(clone: Path, environment: dict[str, str]) -> float:
    """Return the seconds from `bot demo` to its invitation to open the page; the demo is stopped again."""
    began = time.monotonic()
    command = [".venv/bin/bot", "demo", "--port", str(PORT), "--no-open"]
    demo = subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        while demo.stdout is not None and (line := demo.stdout.readline()):
            if "http://" in line:
                return time.monotonic() - began
            if time.monotonic() - began > START_TIMEOUT_S:
                break
        raise RuntimeError("the demo didn't come up")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(30)


def _table(rows: dict[str, float]) -> str:
    lines = "".join(f"| {what} | {seconds:.1f} s |\n" for what, seconds in rows.items())
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"| on a clean clone | |\n|---|---|\n{lines}\n{machine}, {dt.datetime.now(dt.UTC):%Y-%m-%d}.\n"


if __name__ == "__main__":
    sys.exit(main())
