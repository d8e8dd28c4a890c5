"""Logging by structlog: console for people, JSON for machines, secrets blotted out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

import structlog

_SECRET = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|sk-[\w-]{8,}|rk_[\w-]+_[\w-]+|(?<=Bearer )\S+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?<=password=)\S+"
)
_LEAST_CHARS = 6
"""A shorter secret is no secret, and would blot out ordinary words."""


class Redactor:
    """Blots out what looks like a secret, and these secrets wherever they stand, percent-encoded too."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets if len(secret) >= _LEAST_CHARS for form in (secret, quote(secret, safe=""))}
        exact = "|".join(re.escape(secret) for secret in sorted(known, key=len, reverse=True))
        self._known = re.compile(exact) if exact else None

    def text(self, value: str) -> str:
        """Return `value` with tokens, keys and passwords in addresses blotted out."""
        return _SECRET.sub("…", self._known.sub("…", value) if self._known else value)

    def value(self, value: Any) -> Any:
        """Return anything that is logged the same way: numbers stay, what isn't text is redacted as it is shown."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(value if isinstance(value, str) else str(value))

    def event(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Redact an event: structlog's processor."""
        return {key: self.value(value) for key, value in event.items()}


class _RedactingFilter(logging.Filter):
    """Redacts what libraries say, their tracebacks included."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redactor.text(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)
        return True


def _console() -> structlog.dev.ConsoleRenderer:
    """Return the renderer for people. Tracebacks stay plain: the pretty ones show local variables, and so messages."""
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def configure(log_format: str = "console", level: str = "INFO", *, secrets: Iterable[str] = ()) -> None:
    """Set up structlog and the standard library's logging, both to standard error; none of `secrets` is ever written.

    Slack's SDK logs whole payloads and headers at DEBUG, so its loggers never go below INFO.
    """
    console = log_format == "console"
    redactor = Redactor(secrets)
    renderer = _console() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            structlog.processors.format_exc_info,  # before redaction: an exception's text may hold an address or a key
            redactor.event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RedactingFilter(redactor))
    logging.basicConfig(
        level=logging.WARNING, handlers=[handler], format="%(levelname)s %(name)s %(message)s", force=True
    )
    for name in ("slack_sdk", "slack_bolt", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("procrastinate", "psycopg.pool"):  # the worker says itself, and once, that the database is away
        logging.getLogger(name).setLevel(logging.CRITICAL)
