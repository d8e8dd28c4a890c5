"""Runs the bot with one mechanism switched off, for the self-test alone: `python -m tests.faults.sabotage NAME run`.

A checker that can't fail is worthless: each mechanism here has a test whose figure must miss its limit without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

MECHANISMS: dict[str, Callable[[], None]] = {}
"""What is switched off, by name: each replaces functions of the bot in this process."""


def main(name: str, *arguments: str) -> None:
    """Switch a mechanism off, then be `bot ARGUMENTS`."""
    from bot.__main__ import main as bot  # noqa: PLC0415  # it loads what is about to be replaced

    MECHANISMS[name]()
    sys.argv = ["bot", *arguments]
    bot()


if __name__ == "__main__":
    main(*sys.argv[1:])
