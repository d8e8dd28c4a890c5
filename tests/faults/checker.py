"""Judges a history the way Jepsen's total-queue checker does: what was acknowledged must come out, once, in order.

Questions are what goes in: a mention is in the queue once Slack got its acknowledgement. What comes out is a whole
message of the bot in its thread: the answer, or an apology. (github.com/jepsen-io/jepsen, `checker/total-queue`.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

from bot.playground.delivery import Delivery
from bot.playground.local import LocalSlack
from bot.playground.state import Message

ANSWER, RECEIPT = "recollect_answer", "recollect_receipt"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as Slack knows it. Times are monotonic seconds: its event first sent, and taken by the app if it was."""

    channel_id: str
    ts: str
    thread_ts: str
    sent_at: float = 0.0
    acked_at: float | None = 0.0
    deleted: bool = False

    @property
    def acked(self) -> bool:
        """True when the app took an event that tells of it."""
        return self.acked_at is not None

    def precedes(self, other: Asked) -> bool:
        """True when it was taken before the other was sent at all: then its answer comes first.

        What Slack brings late, after an outage, can't be answered before what was brought meanwhile.
        """
        return self.ts < other.ts and self.acked_at is not None and self.acked_at <= other.sent_at

    @property
    def key(self) -> str:
        """How the bot names it in an answer's metadata."""
        return f"{self.channel_id}:{self.ts}"

    @property
    def thread(self) -> tuple[str, str]:
        return self.channel_id, self.thread_ts


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the bot in a thread. `key` names the question it answers, where its metadata says so."""

    channel_id: str
    ts: str
    thread_ts: str
    key: str | None = None
    is_receipt: bool = False
    is_whole: bool = True
    is_apology: bool = False
    """Neither streamed nor with text for Markdown, whatever sources stand under it."""
    at: float = 0.0
    """When it was whole, in monotonic seconds of this process."""

    @property
    def thread(self) -> tuple[str, str]:
        return self.channel_id, self.thread_ts


@dataclass(frozen=True, slots=True)
class History:
    """What people asked and what the bot said, in any order."""

    asked: Sequence[Asked]
    said: Sequence[Said]

    def of_thread(self, thread: tuple[str, str]) -> list[str]:
        """Return everything that happened in one thread, a line each: the least history that shows a fault."""
        lines = [
            (a.ts, f"asked {'deleted ' if a.deleted else ''}{'acked' if a.acked else 'NOT acked'}")
            for a in self.asked
            if a.thread == thread
        ]
        lines += [(s.ts, f"said  {_kind(s)} to {s.key or 'nobody by name'}") for s in self.said if s.thread == thread]
        return [f"{ts} {what}" for ts, what in sorted(lines)]


@dataclass(slots=True)
class Verdict:
    """What became of the questions."""

    asked: int = 0
    acked: int = 0
    answered: int = 0
    apologised: int = 0
    unanswered: list[Asked] = field(default_factory=list)
    """Neither answered nor apologised for, acknowledged or not."""
    lost: list[Asked] = field(default_factory=list)
    """Those of them that were acknowledged."""
    duplicated: list[Asked] = field(default_factory=list)
    """Answered by more than one message."""
    misordered: list[Asked] = field(default_factory=list)
    """Answered after a question of its thread that was sent when it had been acknowledged."""
    overtaken: list[Asked] = field(default_factory=list)
    """Answered after a later question of its thread, by which Slack's delivery of it was overtaken: no fault."""
    unfinished: list[Said] = field(default_factory=list)
    """Streams left spinning."""
    unexpected: list[Said] = field(default_factory=list)
    """Answers to nothing that was asked, or to what was deleted."""
    answered_at: dict[Asked, float] = field(default_factory=dict)
    """When each question had its first whole answer or apology, in monotonic seconds."""
    history: History = field(default_factory=lambda: History((), ()))

    @property
    def is_clean(self) -> bool:
        return not (self.unanswered or self.duplicated or self.misordered or self.unfinished or self.unexpected)

    @classmethod
    def merged(cls, verdicts: Iterable[Self]) -> Self:
        """Return one verdict over what was asked in several worlds; their histories stay apart."""
        merged = cls()
        for verdict in verdicts:
            for part in fields(cls):
                ours, theirs = getattr(merged, part.name), getattr(verdict, part.name)
                if part.name != "history":
                    setattr(merged, part.name, ours | theirs if isinstance(ours, dict) else ours + theirs)
        return merged

    def least(self, threads: int = 3) -> list[str]:
        """Return the histories of the first few threads in which something is wrong."""
        faulty: list[Asked | Said] = [*self.unanswered, *self.duplicated, *self.misordered]
        faulty += [*self.unfinished, *self.unexpected]
        chosen = list(dict.fromkeys(fault.thread for fault in faulty))[:threads]
        return [line for thread in chosen for line in (f"thread {':'.join(thread)}", *self.history.of_thread(thread))]


def history_of(slack: LocalSlack, asked: Iterable[Message]) -> History:
    """Read from a local Slack what became of these questions; what else was said in their threads is there too."""
    told: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for delivery in slack.deliveries:
        told[delivery.event.get("channel", ""), delivery.event.get("ts", "")].append(delivery)
    questions = [_asked(slack, message, told[message.channel_id, message.ts]) for message in asked]
    threads = dict.fromkeys(question.thread for question in questions)
    said = [_said(m) for thread in threads for m in slack.store.thread(*thread) if m.user_id == slack.store.bot.id]
    return History(questions, said)


def judge(history: History) -> Verdict:
    """Count what was lost, duplicated, misordered, unfinished and unexpected."""
    verdict = Verdict(len(history.asked), sum(asked.acked for asked in history.asked), history=history)
    answers, verdict.unexpected = _attributed(history)
    for asked in history.asked:
        found = answers[asked.key]
        whole = [said for said in found if said.is_whole]
        if asked.deleted:
            verdict.unexpected += found
            continue
        verdict.answered += any(not said.is_apology for said in whole)
        verdict.apologised += bool(whole) and all(said.is_apology for said in whole)
        if whole:
            verdict.answered_at[asked] = min(said.at for said in whole)
        else:
            verdict.unanswered.append(asked)
            verdict.lost += [asked] if asked.acked else []
        if len(found) > 1:
            verdict.duplicated.append(asked)
    verdict.unfinished = [said for said in history.said if not said.is_whole]
    verdict.misordered, verdict.overtaken = _late(history, answers)
    return verdict


def _attributed(history: History) -> tuple[dict[str, list[Said]], list[Said]]:
    """Return the answers by their question's key, and those to no question that was asked.

    One without a name goes to the earliest question of its thread that is older and has none; when all have one, it is
    the last older one's second.
    """
    by_key = {asked.key: asked for asked in history.asked}
    answers: dict[str, list[Said]] = defaultdict(list)
    unexpected = []
    nameless = []
    for said in sorted(history.said, key=lambda said: said.ts):
        if said.is_receipt:
            continue
        if said.key is None:
            nameless.append(said)
        elif said.key in by_key and by_key[said.key].thread == said.thread:
            answers[said.key].append(said)
        else:
            unexpected.append(said)
    for said in nameless:
        older = sorted((a for a in history.asked if a.thread == said.thread and a.ts < said.ts), key=lambda a: a.ts)
        waiting = [asked for asked in older if not answers[asked.key]]
        if older:
            answers[(waiting[:1] or older[-1:])[0].key].append(said)
        else:
            unexpected.append(said)
    return answers, unexpected


def _late(history: History, answers: dict[str, list[Said]]) -> tuple[list[Asked], list[Asked]]:
    """Return the questions answered after a later one of their thread: those that preceded it, and the others."""
    threads: dict[tuple[str, str], list[Asked]] = defaultdict(list)
    for asked in history.asked:
        if answers[asked.key]:
            threads[asked.thread].append(asked)
    late, overtaken = [], []
    for questions in threads.values():
        for asked in questions:
            first = answers[asked.key][0].ts
            before = [o for o in questions if o.ts > asked.ts and answers[o.key][0].ts < first]
            if any(asked.precedes(other) for other in before):
                late.append(asked)
            elif before:
                overtaken.append(asked)
    return late, overtaken


def _asked(slack: LocalSlack, message: Message, deliveries: Sequence[Delivery]) -> Asked:
    acks = [delivery.acked_at for delivery in deliveries if delivery.acked_at is not None]
    return Asked(
        message.channel_id,
        message.ts,
        message.root_ts,
        sent_at=min((delivery.queued_at for delivery in deliveries), default=0.0),
        acked_at=min(acks, default=None),
        deleted=slack.store.message(message.channel_id, message.ts) is None,
    )


def _said(message: Message) -> Said:
    metadata = message.metadata or {}
    kind, key = metadata.get("event_type"), (metadata.get("event_payload") or {}).get("key")
    return Said(
        message.channel_id,
        message.ts,
        message.root_ts,
        key=str(key) if kind == ANSWER and key else None,
        is_receipt=kind == RECEIPT,
        is_whole=message.finished_at is not None and message.streaming != "in_progress",
        is_apology=message.streaming is None and not any(block["type"] == "markdown" for block in message.blocks),
        at=message.finished_at or 0.0,
    )


def _kind(said: Said) -> str:
    if said.is_receipt:
        return "receipt"
    return ("apology" if said.is_apology else "answer") + ("" if said.is_whole else ", unfinished")
