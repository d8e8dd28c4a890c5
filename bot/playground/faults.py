"""Trouble on request: what Slack does on a bad day."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field

from bot.playground.refusal import ApiRefusal

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Slack</title></head><body>Something went wrong.</body></html>"
EVERY_METHOD = "*"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one call.

    `done` says whether Slack does what was asked all the same. Nothing is answered for `hang_s`; then comes `refusal`,
    or `page` as HTML with status 200, or nothing at all because the connection breaks (`cut`), or what was asked for.
    """

    name: str
    done: bool = False
    hang_s: float = 0.0
    cut: bool = False
    page: str | None = None
    refusal: ApiRefusal | None = None


def refused(error: str, *, status: int = 200, retry_after_s: int | None = None) -> Fault:
    """An `ok: false`; with a status of 429 or 5xx as Slack's edge sends it."""
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
    return Fault(error or str(status), refusal=ApiRefusal(error, status=status, headers=headers))


def rate_limited(retry_after_s: int) -> Fault:
    """A 429 and how long to keep away."""
    return refused("ratelimited", status=429, retry_after_s=retry_after_s)


def broken(*, done: bool) -> Fault:
    """A connection that breaks instead of an answer: after the deed, or before it."""
    return Fault("reset after" if done else "reset before", done=done, cut=True)


def html(*, done: bool = False) -> Fault:
    """A page for people, with status 200, where JSON should be."""
    return Fault("html", done=done, page=LOGIN_PAGE)


def slow(seconds: float, *, done: bool = False) -> Fault:
    """An answer that comes late, though well; the deed is `done` before the wait, or else never."""
    if done:
        return Fault("late answer", done=True, hang_s=seconds)
    return Fault("hang", hang_s=seconds, cut=True)


@dataclass(slots=True)
class _Chance:
    """A fault that strikes some calls of a method, by dice of its own."""

    method: str
    fault: Fault
    probability: float
    dice: random.Random


@dataclass(slots=True)
class Faults:
    """Faults that wait for the next calls of a method, and faults that strike by chance.

    `happened` counts them by method and name.
    """

    happened: Counter[tuple[str, str]] = field(default_factory=Counter)
    _waiting: dict[tuple[str, bool], deque[Fault]] = field(default_factory=dict)
    _chances: list[_Chance] = field(default_factory=list)

    def refuse(
        self, method: str, error: str, *, times: int = 1, status: int = 200, retry_after_s: int | None = None
    ) -> None:
        """Answer the next `times` calls of `method` with this error, nothing done."""
        self.put(method, refused(error, status=status, retry_after_s=retry_after_s), times=times)

    def cut_reply(self, method: str, *, times: int = 1) -> None:
        """Do what the next `times` calls of `method` ask, but break the connection instead of answering."""
        self.put(method, broken(done=True), times=times)

    def put(self, method: str, fault: Fault, *, times: int = 1) -> None:
        """Let this happen to the next `times` calls of `method`; of calls that Slack takes, when it is `done`."""
        self._waiting.setdefault((method, fault.done), deque()).extend([fault] * times)

    def sometimes(self, method: str, fault: Fault, *, probability: float, seed: int = 0) -> None:
        """Let this happen to a share of the calls of `method` ("*" for all), until `clear`.

        The same seed and order of calls give the same faults. Of several, the first to strike a call decides.
        """
        dice = random.Random(f"{seed}/{method}/{fault.name}")  # noqa: S311 - dice, not secrets
        self._chances.append(_Chance(method, fault, probability, dice))

    def clear(self) -> None:
        """Let everything go well again."""
        self._waiting.clear()
        self._chances.clear()

    def take(self, method: str, *, done: bool) -> Fault | None:
        """Return what is to go wrong with this call before its deed, or (`done`) after it; None when nothing."""
        waiting = self._waiting.get((method, done))
        fault = waiting.popleft() if waiting else self._by_chance(method, done=done)
        if fault is not None:
            self.happened[method, fault.name] += 1
        return fault

    def _by_chance(self, method: str, *, done: bool) -> Fault | None:
        for chance in self._chances:
            meant = chance.fault.done is done and chance.method in (method, EVERY_METHOD)
            if meant and chance.dice.random() < chance.probability:
                return chance.fault
        return None
