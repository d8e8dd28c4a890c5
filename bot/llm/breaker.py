"""Leaving a model alone that keeps failing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from bot.errors import ModelUnavailable, RecollectError

log = structlog.get_logger()

_PROBE_PATIENCE_S = 2.0
"""How soon to ask again while somebody else's call finds out whether the model is back."""


class Breaker:
    """Opens after `failures` calls in a row that found the model unavailable; one call is let through after `rest_s`.

    What the others get meanwhile is ModelUnavailable at once, with the time that is left. The state is one process's
    own: each finds out for itself.
    """

    def __init__(
        self, name: str, *, failures: int = 5, rest_s: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._limit = failures
        self._rest_s = rest_s
        self._clock = clock
        self._failures = 0
        self._rests_until: float | None = None
        self._probing = False

    @property
    def rests_for_s(self) -> float:
        """Seconds for which no call will be let through; 0 when the next one will be."""
        return 0.0 if self._rests_until is None else max(0.0, self._rests_until - self._clock())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Let a call of the model through, and learn from how it ends. Raises ModelUnavailable when it may not begin."""
        is_probe = self._let_through()
        try:
            yield
        except ModelUnavailable:
            self._failed(is_probe=is_probe)
            raise
        except RecollectError:  # a refusal: of the key, or of this one question; the model is there
            self._answered()
            raise
        else:
            self._answered()
        finally:
            self._probing = self._probing and not is_probe

    def _let_through(self) -> bool:
        """Return True for the call that finds out whether the model is back."""
        if self._rests_until is None:
            return False
        if wait_s := self.rests_for_s or (_PROBE_PATIENCE_S if self._probing else 0.0):
            raise ModelUnavailable(f"{self._name}: left alone after {self._failures} failures", retry_after_s=wait_s)
        self._probing = True
        return True

    def _failed(self, *, is_probe: bool) -> None:
        self._failures += 1
        if is_probe or (self._rests_until is None and self._failures >= self._limit):
            self._rests_until = self._clock() + self._rest_s
            log.warning("model.left_alone", model=self._name, failures=self._failures, rest_s=self._rest_s)

    def _answered(self) -> None:
        if self._rests_until is not None:
            log.info("model.returned", model=self._name, failures=self._failures)
        self._failures, self._rests_until = 0, None
