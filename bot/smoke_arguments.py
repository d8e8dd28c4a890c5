"""The arguments of `bot smoke`: their order says which question belongs to which files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot.errors import InvalidRequest
from bot.smoke import Case, Turn, shipped_cases


def cases_from(arguments: Sequence[str]) -> list[Case]:
    """Return the cases that `[--file F]… [--ask Q [--expect TEXT]]… …` describes; the shipped ones for no arguments.

    Files named in a row are shared together, and every question up to the next file is asked in their thread.
    Raises InvalidRequest, with a sentence, for anything else.
    """
    if not arguments:
        return shipped_cases()
    groups: list[tuple[list[Path], list[Turn]]] = []
    for option, value in _pairs(arguments):
        if option == "--file":
            if not groups or groups[-1][1]:
                groups.append(([], []))
            groups[-1][0].append(_existing(value))
        elif not groups:
            raise _wrong(f"{option} comes after the --file it is about.")
        elif option == "--ask":
            groups[-1][1].append(Turn(value, None))
        else:
            _expect(groups[-1][1], value)
    if not groups[-1][1]:
        raise _wrong("The last --file has no --ask after it.")
    return [Case(tuple(files), tuple(turns)) for files, turns in groups]


def _pairs(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Return (option, value) pairs; `--option=value` counts as one."""
    pairs, rest = [], list(arguments)
    while rest:
        option, joined, value = rest.pop(0).partition("=")
        if option not in {"--file", "--ask", "--expect"}:
            raise _wrong(f"{option} is unknown.")
        if not joined:
            if not rest:
                raise _wrong(f"{option} has nothing after it.")
            value = rest.pop(0)
        pairs.append((option, value))
    return pairs


def _expect(turns: list[Turn], text: str) -> None:
    if not turns or turns[-1].expect is not None:
        raise _wrong("Each --expect follows the --ask it belongs to, once.")
    turns[-1] = Turn(turns[-1].ask, text)


def _existing(value: str) -> Path:
    path = Path(value)
    if not path.is_file():
        raise _wrong(f"There is no file {value}.")
    return path


def _wrong(what: str) -> InvalidRequest:
    usage = "bot smoke [--file FILE]… [--ask QUESTION [--expect TEXT]]… …"
    return InvalidRequest("arguments", user_message=f"{what}\nUsage: {usage}")
