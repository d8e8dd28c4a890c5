"""Runs tests, each in a process of its own: several at a time where their figures can bear it."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.faults.report import Figure, Result, Scale

SOAK = 20
ALONE = frozenset({16, SOAK})
"""Tests whose figures are times of the bot's on two busy cores: nothing else may use the processor meanwhile."""

ALONE_WHEN_FULL = ALONE | {1}

_ROOT = Path(__file__).parents[2]
_STDERR_LINES = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one test; `sabotage` names what is switched off, if anything."""

    number: int
    scale: Scale
    seed: int
    sabotage: str | None = None
    hours: float = 0.0

    @property
    def arguments(self) -> list[str]:
        """The trial as `trial_from` reads it."""
        return [str(self.number), self.scale.value, str(self.seed), self.sabotage or "-", str(self.hours)]


def trial_from(arguments: Sequence[str]) -> Trial:
    """Return the trial that these arguments stand for."""
    number, scale, seed, sabotage, hours = arguments
    return Trial(int(number), Scale(scale), int(seed), None if sabotage == "-" else sabotage, float(hours))


def modules() -> dict[int, ModuleType]:
    """Return the tests by number."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("t[0-9][0-9]_*.py"))
    found = [importlib.import_module(f"tests.faults.{name}") for name in names]
    return {module.NUMBER: module for module in found}


def run_here(module: ModuleType, trial: Trial) -> Result:
    """Run a test in this process; one that breaks down has failed."""
    began = time.monotonic()
    more = {"hours": trial.hours} if trial.number == SOAK else {}
    try:
        result: Result = asyncio.run(module.run(trial.scale, trial.seed, sabotage=trial.sabotage, **more))
    except Exception as error:  # noqa: BLE001  # the edge: the other tests go on
        result = _broken(trial, module.TITLE, type(error).__name__, traceback.format_exc())
    result.seconds = time.monotonic() - began
    return result


def run_apart(trials: Sequence[Trial], *, at_once: int) -> Iterator[tuple[Trial, Result]]:
    """Run each trial in a process of its own, so many at a time; yield the results as they come.

    The last tests are the longest, so they begin first and nothing waits for one of them at the end. Those that must
    be alone come after all others, one after the other.
    """
    shared = [trial for trial in reversed(trials) if not _is_alone(trial)]
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        running = {pool.submit(_run_child, trial): trial for trial in shared}
        for done in as_completed(running):
            yield running[done], done.result()
    for trial in trials:
        if _is_alone(trial):
            yield trial, _run_child(trial)


def _is_alone(trial: Trial) -> bool:
    return trial.number in (ALONE_WHEN_FULL if trial.scale is Scale.FULL else ALONE)


def _run_child(trial: Trial) -> Result:
    with tempfile.TemporaryDirectory(prefix="recollect-faults-") as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, "-m", "tests.faults", "--trial", *trial.arguments, str(path)]
        ended = subprocess.run(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if path.exists():
            return Result.from_json(path.read_text())
        return _broken(trial, f"test {trial.number}", f"exit code {ended.returncode}", ended.stderr)


def _broken(trial: Trial, title: str, why: str, said: str) -> Result:
    figure = Figure("broken", f"the test broke down: {why}", 1, at_most=0)
    return Result(trial.number, title, trial.scale.value, trial.seed, [figure], said.splitlines()[-_STDERR_LINES:])
