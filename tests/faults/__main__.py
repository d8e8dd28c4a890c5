"""Run the fault suite: `make faults`, or `python -m tests.faults [--quick] [--only 1,5] [--self-test] [--hours 2]`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import random
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console

from bot.log import configure
from tests.faults.report import PAGE, Figure, Result, Scale, code_version, last_line, page, save, saved, table
from tests.faults.world import FOLDER

SOAK = 20


def modules() -> dict[int, ModuleType]:
    """Return the tests by number."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("t[0-9][0-9]_*.py"))
    found = [importlib.import_module(f"tests.faults.{name}") for name in names]
    return {module.NUMBER: module for module in found}


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for, show it, keep it; a full run writes the page. Returns 1 when a limit is missed."""
    options = _options(arguments)
    tests = modules()
    numbers = options.only or [number for number in tests if number != SOAK]
    out, aside = Console(width=None if sys.stdout.isatty() else 160), Console(stderr=True)
    if options.self_test:
        return _self_test({number: tests[number] for number in numbers}, options.seed, out, aside)
    scale = Scale.QUICK if options.quick else Scale.FULL
    version = code_version()
    results = []
    for number in numbers:
        aside.print(f"{number}. {tests[number].TITLE} …", style="dim", highlight=False)
        more = {"hours": options.hours} if number == SOAK else {}
        result = _run(tests[number], scale, options.seed, **more)
        results.append(result)
        _explain(result, aside)
        if scale is Scale.FULL:
            save(result, FOLDER, version=version)
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
    parser.add_argument("--hours", type=float, default=2.0, help=f"how long the soak ({SOAK}) takes")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a run's random choices")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _run(module: ModuleType, scale: Scale, seed: int, *, sabotage: str | None = None, **more: float) -> Result:
    """Run one test; one that breaks down has failed."""
    began = time.monotonic()
    try:
        result: Result = asyncio.run(module.run(scale, seed, sabotage=sabotage, **more))
    except Exception as error:  # noqa: BLE001  # the edge: the other tests go on
        broken = Figure("broken", f"the test broke down: {type(error).__name__}", 1, at_most=0)
        result = Result(module.NUMBER, module.TITLE, scale.value, seed, [broken], traceback.format_exc().splitlines())
    result.seconds = time.monotonic() - began
    return result


def _explain(result: Result, aside: Console) -> None:
    aside.print(f"   {'ok' if result.holds else 'FAILED'} after {result.seconds:.0f} s", highlight=False)
    if not result.holds:
        missed = [f"{figure.title}: {figure.shown}" for figure in result.figures if not figure.holds]
        for line in [f"seed {result.seed}", *missed, *result.evidence]:
            aside.print(f"     {line}", markup=False, highlight=False)


def _self_test(tests: dict[int, ModuleType], seed: int, out: Console, aside: Console) -> int:
    """Switch each mechanism off in turn: the figure that guards it must miss its limit, and does with it on hold."""
    wrong = []
    runs = 0
    for number, module in tests.items():
        for sabotage, name in {None: None, **module.SABOTAGES}.items():
            result = _run(module, Scale.SELFTEST, seed, sabotage=sabotage)
            good = result.holds if sabotage is None else _misses(result, name)
            runs += 1
            what = "everything on" if sabotage is None else f"without {sabotage}: {name}"
            aside.print(
                f"{'ok  ' if good else 'WRONG'} {number}. {module.TITLE}, {what}", markup=False, highlight=False
            )
            if not good:
                wrong.append(f"{number}:{sabotage or 'on'}")
                _explain(result, aside)
    verdict = f"faults-self-test: {'failed' if wrong else 'ok'} runs={runs} wrong={','.join(wrong) or 'none'}"
    out.print(verdict, highlight=False, soft_wrap=True)
    return 1 if wrong else 0


def _misses(result: Result, name: str) -> bool:
    return any(figure.name == name and not figure.holds for figure in result.figures)


if __name__ == "__main__":
    configure("console", "ERROR")
    sys.exit(main(sys.argv[1:]))
