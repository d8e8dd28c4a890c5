"""Spans and moments as people type them: `30m`, `12h`, `7d`, `2w`, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGE = re.compile(r"([1-9][0-9]{0,3})([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span_from(text: str) -> timedelta | None:
    """Return the span of time; None for what is none."""
    span = _AGE.fullmatch(text.strip())
    return timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else None


def moment_from(text: str) -> datetime | None:
    """Return the moment of an ISO date, with or without a time; one without an offset is in UTC. None for none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
