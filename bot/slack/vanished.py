"""What Slack shows no more of what is stored: found by reading, where no event told of its deletion."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from bot.repositories.remembered import RememberedMessage
from bot.slack.payloads import Body

_TOMBSTONE = "tombstone"


@dataclass
class Shown:
    """What Slack showed of one channel: of it, since `oldest`, and of some threads, each since `threads_since`.

    Nothing is known of what wasn't read to its end: `is_whole` is False then, or the thread isn't in `threads`.
    """

    oldest: str
    threads_since: str
    is_whole: bool = False
    messages: set[str] = field(default_factory=set)
    threads: dict[str, set[str]] = field(default_factory=dict)

    def add(self, messages: Iterable[Body]) -> None:
        """Note what stands in the channel."""
        self.messages |= _standing(messages)

    def add_thread(self, thread_ts: str, messages: Iterable[Body]) -> None:
        """Note what stands in a thread that was read to its end; [] when Slack says that there is no such thread."""
        self.threads[thread_ts] = _standing(messages)

    def vanished(self, stored: Collection[RememberedMessage]) -> Iterator[str]:
        """Yield the ts of each stored message that must have been shown, and wasn't.

        `stored` was listed before Slack was asked: what came in meanwhile isn't missed.
        """
        for message in stored:
            if message.thread_ts in self.threads:
                was_read, shown = message.ts > self.threads_since, self.threads[message.thread_ts]
            else:
                was_read = self.is_whole and message.ts == message.thread_ts and message.ts > self.oldest
                shown = self.messages
            if was_read and message.ts not in shown:
                yield message.ts


def _standing(messages: Iterable[Body]) -> set[str]:
    return {message["ts"] for message in messages if message.get("subtype") != _TOMBSTONE}
