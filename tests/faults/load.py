"""People who ask: mentions over many channels and threads, at a rate, of a document that has the answers."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence

from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled
from bot.playground.state import Channel, Message
from tests.faults.checker import history_of, judge

HANDBOOK = """# Harbour handbook

The harbour office opens at nine and closes at half past five on weekdays.

Mooring a boat costs twelve euros a night, electricity included.

The crane lifts boats of up to eighteen tonnes.

Diesel is sold at the north pier until six in the evening.

Lost keys are handed in at the lighthouse shop.

The harbour master is called Ingrid Solberg.
"""
QUESTIONS = (
    "When does the harbour office open?",
    "What does mooring a boat cost a night?",
    "How heavy a boat can the crane lift?",
    "Where is diesel sold?",
    "Where are lost keys handed in?",
    "What is the harbour master called?",
)
TRUE_WORDS = "Mooring a boat costs twelve euros a night, electricity included. [1]"
"""What a model may say that answers everything alike: the handbook bears it out."""
LIBRARY = "library"
_LOOK_S = 0.25


class Crowd:
    """One person per channel who asks in threads there; everything asked is remembered in `asked`, in order.

    The handbook is shared in a public channel, so that it may be used in all of them. Slack takes a message a second
    per channel: answers per second are bounded by the number of channels.
    """

    def __init__(self, slack: LocalSlack, *, channels: int, threads_each: int = 1, seed: int = 0) -> None:
        self.slack = slack
        self.asked: list[Message] = []
        self.random = random.Random(seed)
        self._channels = [_channel(slack, number) for number in range(channels)]
        places = [(channel, index) for index in range(threads_each) for channel in self._channels]
        self._places = itertools.cycle(places)
        self._roots: dict[tuple[str, int], Message] = {}

    async def share_handbook(self, *, timeout_s: float = 60) -> None:
        """Share the document that answers everything, and wait until it is read."""
        who = self.slack.add_user("librarian")
        self.slack.add_channel(LIBRARY, members=[who])
        root = await self.slack.share(who, LIBRARY, ("harbour.md", HANDBOOK.encode()))
        await self.slack.wait_for_reply(LIBRARY, root.ts, until=is_settled, timeout=timeout_s)

    async def ask(self, count: int, *, per_second: float = 0) -> list[Message]:
        """Ask so many questions, each in the next thread, evenly at a rate (0: all at once); returns them."""
        began = time.monotonic()
        asked = []
        for number, (channel, index) in enumerate(itertools.islice(self._places, count)):
            if per_second:
                await asyncio.sleep(began + number / per_second - time.monotonic())
            asked.append(await self.ask_in(channel, index))
        return asked

    async def ask_in(self, channel: Channel, thread: int, text: str | None = None) -> Message:
        """Ask one question in a thread of a channel: its first opens it."""
        root = self._roots.get((channel.id, thread))
        question = text or self.random.choice(QUESTIONS)
        thread_ts = root.ts if root else None
        message = await self.slack.mention(channel.members[0], channel, question, thread_ts=thread_ts)
        self._roots.setdefault((channel.id, thread), message)
        self.asked.append(message)
        return message

    def channel(self, index: int) -> Channel:
        """Return one of the channels."""
        return self._channels[index]

    async def answered(self, questions: Sequence[Message] | None = None, *, timeout_s: float) -> float:
        """Wait until these questions (all unless given) have a whole answer; return the seconds it took.

        Returns `timeout_s` when that runs out: what is missing then is for the checker to say.
        """
        began = time.monotonic()
        while any(self.unanswered(self.asked if questions is None else questions)):
            if time.monotonic() - began > timeout_s:
                return timeout_s
            await asyncio.sleep(_LOOK_S)
        return time.monotonic() - began

    def unanswered(self, questions: Sequence[Message]) -> Iterator[Message]:
        """Yield those of these questions that have no whole answer, acknowledged or not."""
        answered = answered_at(self.slack, questions)
        return (question for question in questions if question.ts not in answered)

    async def settled(self, *, quiet_s: float = 3.0) -> None:
        """Return when every delivery has arrived or been given up and, for a while, nothing more was posted."""
        await self.slack.settle()
        seen = -1
        while seen != (said := self._said_count()):
            seen = said
            await asyncio.sleep(quiet_s)

    def _said_count(self) -> int:
        """Return how often the bot has posted or changed a message; what it reads meanwhile doesn't matter."""
        return sum(call.method.startswith("chat.") for call in self.slack.calls)


def answered_at(slack: LocalSlack, questions: Sequence[Message]) -> dict[str, float]:
    """Return when each of these questions was answered in whole, in monotonic seconds, by its ts."""
    return {asked.ts: at for asked, at in judge(history_of(slack, questions)).answered_at.items()}


def _channel(slack: LocalSlack, number: int) -> Channel:
    return slack.add_channel(f"channel-{number}", members=[slack.add_user(f"person-{number}")])
