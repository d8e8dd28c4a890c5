"""Run the fault suite: `make faults`, or `python -m tests.faults [--quick] [--only 1,5] [--self-test] [--hours 2]`."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console

from bot.log import configure
from tests.faults.report import PAGE, Result, Scale, code_version, last_line, page, save, saved, table
from tests.faults.runner import SOAK, Trial, modules, run_apart, run_here, trial_from
from tests.faults.world import FOLDER


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for, show it, keep it; a full run writes the page. Returns 1 when a limit is missed."""
    options = _options(arguments)
    tests = modules()
    if options.trial:
        return _child(tests, options.trial)
    numbers = options.only or [number for number in tests if number != SOAK]
    out, aside = Console(width=None if sys.stdout.isatty() else 160), Console(stderr=True)
    if options.self_test:
        return _self_test({number: tests[number] for number in numbers}, options.seed, options.at_once or 3, out, aside)
    scale = Scale.QUICK if options.quick else Scale.FULL
    version = code_version()
    results = []
    trials = [Trial(number, scale, options.seed, hours=options.hours) for number in numbers]
    aside.print(f"{len(trials)} tests, {scale.value}, seed {options.seed} …", style="dim", highlight=False)
    for _, result in run_apart(trials, at_once=options.at_once or (3 if options.quick else 2)):
        results.append(result)
        _explain(result, aside)
        if scale is Scale.FULL:
            save(result, FOLDER, version=version)
    results.sort(key=lambda result: result.number)
    out.print(table(results))
    if scale is Scale.FULL:
        expected = [(number, module.TITLE) for number, module in tests.items()]
        PAGE.write_text(page(saved(FOLDER, version=version), expected=expected, version=version))
    out.print(last_line(results), highlight=False, soft_wrap=True)
    return 0 if results and all(result.holds for result in results) else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: within five minutes; writes no page")
    parser.add_argument("--only", type=_numbers, metavar="N,N", help="these tests alone, such as 1,5")
    parser.add_argument("--self-test", action="store_true", help="switch each mechanism off: its test must fail")
    parser.add_argument("--at-once", type=int, metavar="N", help="tests at a time; none: three short ones, or two")
    parser.add_argument("--hours", type=float, default=2.0, help=f"how long the soak ({SOAK}) takes")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a run's random choices")
    parser.add_argument("--trial", nargs=6, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _child(tests: dict[int, ModuleType], arguments: Sequence[str]) -> int:
    """Run one trial, and leave its result in a file."""
    *described, path = arguments
    trial = trial_from(described)
    Path(path).write_text(run_here(tests[trial.number], trial).to_json())
    return 0


def _explain(result: Result, aside: Console) -> None:
    verdict = "ok" if result.holds else "FAILED"
    aside.print(
        f"{verdict:6} {result.number}. {result.title}, {result.seconds:.0f} s",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if not result.holds:
        missed = [f"{figure.title}: {figure.shown}" for figure in result.figures if not figure.holds]
        for line in [f"seed {result.seed}", *missed, *result.evidence]:
            aside.print(f"       {line}", markup=False, highlight=False, soft_wrap=True)


def _self_test(tests: dict[int, ModuleType], seed: int, at_once: int, out: Console, aside: Console) -> int:
    """Switch each mechanism off in turn: the figure that guards it must miss its limit, and with all on none may."""
    trials = [
        Trial(number, Scale.SELFTEST, seed, sabotage)
        for number, module in tests.items()
        for sabotage in (None, *module.SABOTAGES)
    ]
    wrong = []
    for trial, result in run_apart(trials, at_once=at_once):
        name = tests[trial.number].SABOTAGES.get(trial.sabotage)
        good = is_right(result, name)
        what = f"without {trial.sabotage}: {name}" if trial.sabotage else "with everything on"
        verdict = "ok   " if good else "WRONG"
        aside.print(f"{verdict} {trial.number}. {result.title}, {what}", markup=False, highlight=False, soft_wrap=True)
        if not good:
            wrong.append(f"{trial.number}:{trial.sabotage or 'on'}")
            _explain(result, aside)
    verdict = f"faults-self-test: {'failed' if wrong else 'ok'} runs={len(trials)} wrong={','.join(wrong) or 'none'}"
    out.print(verdict, highlight=False, soft_wrap=True)
    return 1 if wrong else 0


def is_right(result: Result, name: str | None) -> bool:
    """Tell whether the checker saw what was done: the named figure misses its limit, or everything holds for None."""
    if name is None:
        return result.holds
    return any(figure.name == name and not figure.holds for figure in result.figures)


if __name__ == "__main__":
    configure("console", "ERROR")
    sys.exit(main(sys.argv[1:]))
