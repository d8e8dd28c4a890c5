"""Holds the app to Slack's rate limits: who called before a Retry-After was over, and who posted too fast."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass

POSTS = frozenset({"chat.postMessage", "chat.startStream"})
"""What Slack lets an app do about once a second in each channel."""

POST_GAP_S = 1.0
ALLOWANCE_S = 0.05
"""How far two clocks and the way between them may shift a call: nothing nearer to the limit than this is blamed."""

EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class Breach:
    """One call too soon: `short_s` before it was allowed, `after_s` after Slack's last word on the matter."""

    method: str
    place: str
    short_s: float
    after_s: float


class Manners:
    """Counts breaches by method, and keeps the last hundred. What it remembers grows with the channels alone.

    A Retry-After counts for its method; of posts, for the channel that was meant.
    """

    def __init__(self) -> None:
        self.early: Counter[str] = Counter()
        self.crowded: Counter[str] = Counter()
        self.breaches: deque[Breach] = deque(maxlen=EXAMPLES)
        self.calls: Counter[str] = Counter()
        self.limited: Counter[str] = Counter()
        self._closed: dict[tuple[str, str], tuple[float, float]] = {}
        self._posted: dict[str, float] = {}

    def arrived(self, method: str, channel: str, *, at: float | None = None) -> float:
        """Note a call and return when it came, in monotonic seconds. One that comes too early counts in `early`."""
        now = time.monotonic() if at is None else at
        self.calls[method] += 1
        place = _place(method, channel)
        said_at, until = self._closed.get((method, place), (now, now))
        if until - now > ALLOWANCE_S and now - said_at > ALLOWANCE_S:
            self.early[method] += 1
            self.breaches.append(Breach(method, place, until - now, now - said_at))
        return now

    def told_to_wait(self, method: str, channel: str, *, retry_after_s: float, at: float | None = None) -> None:
        """Note that the app was told, just now, when it may come again."""
        now = time.monotonic() if at is None else at
        self.limited[method] += 1
        self._closed[method, _place(method, channel)] = (now, now + retry_after_s)

    def posted(self, method: str, channel: str, *, at: float) -> None:
        """Note a message that was taken; one within a second of the last in its channel counts in `crowded`."""
        if method not in POSTS:
            return
        last = self._posted.get(channel)
        if last is not None and at - last < POST_GAP_S - ALLOWANCE_S:
            self.crowded[channel] += 1
            self.breaches.append(Breach(method, channel, POST_GAP_S - (at - last), at - last))
        self._posted[channel] = at


def _place(method: str, channel: str) -> str:
    return channel if method in POSTS else ""
