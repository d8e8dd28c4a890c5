"""Run the attack suite: `make attacks`, or `python -m tests.attacks [--quick] [--only 13,14] [--self-test]`."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console

from bot.log import configure
from tests.attacks.report import FOLDER, code_version, last_line, table, write_page
from tests.attacks.runner import modules, run_apart
from tests.faults.__main__ import is_right
from tests.faults.report import Result, Scale, save, saved
from tests.faults.runner import Trial, run_here, trial_from

AT_ONCE = 2


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for, show it, keep it; a full run writes the page. Returns 1 when a limit is missed."""
    options = _options(arguments)
    tests = modules()
    if options.trial:
        return _child(tests, options.trial)
    chosen = {number: tests[number] for number in options.only or tests}
    out, aside = Console(width=None if sys.stdout.isatty() else 160), Console(stderr=True)
    if options.self_test:
        return _self_test(chosen, options.seed, options.at_once, out, aside)
    scale, version = Scale.QUICK if options.quick else Scale.FULL, code_version()
    trials = [Trial(number, scale, options.seed) for number in chosen]
    _say(aside, f"{len(trials)} tests, {scale.value}, seed {options.seed} …")
    results = []
    for _, result in run_apart(trials, at_once=options.at_once):
        results.append(result)
        _explain(result, aside)
        if scale is Scale.FULL:
            save(result, FOLDER, version=version)
    results.sort(key=lambda result: result.number)
    out.print(table(results))
    if scale is Scale.FULL:
        expected = [(number, module.TITLE) for number, module in tests.items()]
        write_page(saved(FOLDER, version=version), expected=expected, version=version)
    _say(out, last_line(results))
    return 0 if results and all(result.holds for result in results) else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller: within five minutes; writes no page")
    parser.add_argument("--only", type=_numbers, metavar="N,N", help="these tests alone, such as 13,14")
    parser.add_argument("--self-test", action="store_true", help="switch each control off: its test must fail")
    parser.add_argument("--at-once", type=int, metavar="N", default=AT_ONCE, help=f"tests at a time; none: {AT_ONCE}")
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
    _say(aside, f"{verdict:6} {result.number}. {result.title}, {result.seconds:.0f} s")
    if not result.holds:
        missed = [f"{figure.title}: {figure.shown}" for figure in result.figures if not figure.holds]
        for line in [f"seed {result.seed}", *missed, *result.evidence]:
            _say(aside, f"       {line}")


def _self_test(tests: dict[int, ModuleType], seed: int, at_once: int, out: Console, aside: Console) -> int:
    """Switch each control off in turn: the figure that guards it must miss its limit, and with all on none may."""
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
        _say(aside, f"{'ok   ' if good else 'WRONG'} {trial.number}. {result.title}, {what}")
        if not good:
            wrong.append(f"{trial.number}:{trial.sabotage or 'on'}")
            _explain(result, aside)
    _say(out, f"attacks-self-test: {'failed' if wrong else 'ok'} runs={len(trials)} wrong={','.join(wrong) or 'none'}")
    return 1 if wrong else 0


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    configure("console", "ERROR")
    sys.exit(main(sys.argv[1:]))
