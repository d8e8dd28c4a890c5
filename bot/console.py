"""The edge of the command line: settings go in, an exit code comes out, and every error is a sentence."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from bot import log
from bot.config import Settings
from bot.errors import DatabaseUnavailable, RecollectError, ServiceUnavailable
from bot.values import new_id

logger = structlog.get_logger()

Work = Callable[[Settings], Coroutine[Any, Any, int | None]]
"""A command: gets the settings, returns the exit code (None for 0)."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def run(work: Work, *, quiet: bool = False) -> None:
    """Run a command and exit with its code; 1, and a sentence on standard error, when it fails.

    `quiet` logs warnings and worse only: for commands whose output is the answer itself.
    """
    settings: Settings | None = None
    try:
        settings = Settings.load()
        level = "WARNING" if quiet and settings.log_level == "INFO" else settings.log_level
        log.configure(settings.log_format, level, secrets=settings.secrets)
        code = asyncio.run(work(settings)) or 0
    except RecollectError as error:
        complain(explanation(error, settings))
        code = 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception:  # the edge: a person gets a number, the log the rest
        error_id = new_id().hex[-12:]
        logger.exception("command.failed", error_id=error_id)
        complain(f"Something went wrong on my side. The log above has it under the number {error_id}.")
        code = 1
    raise typer.Exit(code)


def explanation(error: RecollectError, settings: Settings | None) -> str:
    """Return an error in words for whoever runs the bot: they can look after what others can only wait for."""
    if isinstance(error, DatabaseUnavailable) and error.user_message == DatabaseUnavailable.user_message:
        return f"I can't reach PostgreSQL{_place(settings)}. Is it running, and is DATABASE_URL right?"
    if isinstance(error, ServiceUnavailable):
        return f"{error.user_message} ({error})"
    return error.user_message


def _place(settings: Settings | None) -> str:
    if settings is None or settings.database_url is None:
        return ""
    address = urlsplit(settings.database_owner_url or settings.database_url)
    return f" at {address.hostname or 'its socket'}" + (f", port {address.port}" if address.port else "")


def say(text: str, *, style: str = "") -> None:
    """Print a line to standard output, never wrapped, its control characters shown as what they are."""
    Console(soft_wrap=True).print(printable(text), style=style, markup=False, highlight=False, emoji=False)


def complain(text: str) -> None:
    """Print a line to standard error, in red."""
    Console(stderr=True, soft_wrap=True).print(
        printable(text), style="bold red", markup=False, highlight=False, emoji=False
    )


def progress_bars() -> Progress:
    """Return bars for standard error, which vanish when what they show is done; none where nobody sees them move."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def printable(text: str) -> str:
    """Return `text` without what steers a terminal: a document's words must not move the cursor or turn the line."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
