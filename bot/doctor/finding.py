"""What one check found."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bot.config import Settings
from bot.console import explanation
from bot.errors import RecollectError


class Verdict(StrEnum):
    """Whether something works: `warn` works, and should still be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, how it is, and how to mend it."""

    subject: str
    verdict: Verdict
    text: str
    mend: str | None = None


def ok(subject: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(subject, Verdict.OK, text)


def warn(subject: str, text: str, *, mend: str) -> Finding:
    """Return a finding that something should be looked at."""
    return Finding(subject, Verdict.WARN, text, mend)


def fail(subject: str, text: str, *, mend: str | None = None) -> Finding:
    """Return a finding that something doesn't work."""
    return Finding(subject, Verdict.FAIL, text, mend)


async def look(
    subject: str, check: Callable[[], Coroutine[Any, Any, list[Finding]]], settings: Settings
) -> list[Finding]:
    """Return what a check finds; an error of ours counts as a finding, in its own words."""
    try:
        return await check()
    except RecollectError as error:
        return [fail(subject, explanation(error, settings))]
