"""Finds the attack tests, and runs each in a process of its own, several at a time."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import ModuleType

from tests.faults.report import ROOT, Figure, Result
from tests.faults.runner import Trial

_STDERR_LINES = 20


def modules() -> dict[int, ModuleType]:
    """Return the tests by number."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("t[0-9][0-9]_*.py"))
    found = [importlib.import_module(f"tests.attacks.{name}") for name in names]
    return {module.NUMBER: module for module in found}


def run_apart(trials: Sequence[Trial], *, at_once: int) -> Iterator[tuple[Trial, Result]]:
    """Run each trial in a process of its own, so many at a time; yield the results as they come."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        running = {pool.submit(_run_child, trial): trial for trial in trials}
        for done in as_completed(running):
            yield running[done], done.result()


def _run_child(trial: Trial) -> Result:
    with tempfile.TemporaryDirectory(prefix="recollect-attacks-") as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, "-m", "tests.attacks", "--trial", *trial.arguments, str(path)]
        ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if path.exists():
            return Result.from_json(path.read_text())
        figure = Figure("broken", f"the test broke down: exit code {ended.returncode}", 1, at_most=0)
        evidence = ended.stderr.splitlines()[-_STDERR_LINES:]
        return Result(trial.number, f"test {trial.number}", trial.scale.value, trial.seed, [figure], evidence)
