"""What services and jobs need from outside. `slack/` and `jobs/` implement these, `app` wires them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from bot.values import Answer, Channel, Citation, Errand, FileProgress, Person, Question, SharedFile, Turn


class Reply(Protocol):
    """The one message that answers one question, written as it comes."""

    async def show_status(self, status: str) -> None:
        """Show what is going on, in place of text; gone when text comes. Best effort: never raises for Slack's sake."""

    async def append(self, text: str) -> None:
        """Add a piece of the answer's text."""

    async def finish(self, answer: Answer) -> str:
        """Complete the message with its sources and buttons; return its ts."""

    async def apologise(self, message: str, *, sources: Sequence[Citation] = ()) -> str:
        """Replace whatever stands there by a plain sentence, with passages quoted under it; return its ts."""

    async def withdraw(self) -> None:
        """Take back whatever was posted, for good: its question was deleted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, where its answer goes, and whether the asker alone will see it."""

    question: Question
    reply: Reply
    private: bool


class Intake(Protocol):
    """Where stored requests are opened again."""

    async def open(self, body: bytes, claim: Claim) -> Asked:
        """Return the question in a stored mention, direct message or command; `claim` fences its reply.

        Raises ServiceUnavailable.
        """


class Receipts(Protocol):
    """Where people learn what becomes of the files they shared."""

    async def show_receipt(
        self,
        team_id: str,
        *,
        channel_id: str,
        message_ts: str,
        thread_ts: str,
        files: Sequence[FileProgress],
        claim: Claim,
    ) -> None:
        """Say in the thread how far each of a message's files is: one message, posted once, then changed.

        Raises ServiceUnavailable, and Superseded when the claim is lost.
        """


class Postings(Protocol):
    """What is said in Slack, by us and by others."""

    async def take_back(
        self, team_id: str, *, channel_id: str, thread_ts: str, ts: str, reply_to: str, notice: str
    ) -> None:
        """Put `notice` in place of an answer of ours, or see that it is gone. Raises ServiceUnavailable."""

    def tells_of(self, body: bytes, channel_id: str, ts: str) -> bool:
        """Tell whether a stored event is about the message with this ts, and so holds its words."""

    def is_of(self, body: bytes, channel_id: str) -> bool:
        """Tell whether a stored request was made in this channel, or tells of it."""


class FileSource(Protocol):
    """Where shared files come from."""

    async def describe(
        self, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile:
        """Return what Slack says of the file now.

        Raises NotFound when it is gone, UnreadableFile when we aren't allowed to ask, ServiceUnavailable.
        """

    def recall(
        self, body: bytes, team_id: str, file_id: str, *, channel_id: str, message_ts: str, thread_ts: str
    ) -> SharedFile | None:
        """Return what Slack said of the file in a stored event; None when the event doesn't tell of it."""

    async def fetch(self, file: SharedFile, *, max_bytes: int) -> bytes:
        """Return the file's bytes. Raises UnreadableFile (external, too large, login page), ServiceUnavailable."""


class ThreadReader(Protocol):
    """Where a thread that began without us is read."""

    async def read_thread(self, team_id: str, channel_id: str, thread_ts: str) -> tuple[list[Turn], list[SharedFile]]:
        """Return the thread's messages, oldest first, as plain text with names, and the files shared in it."""


class Backfill(Protocol):
    """How what was said while nobody listened is read."""

    async def run(self, since: datetime) -> None:
        """Let in everything said since then, as if it came now. Raises ServiceUnavailable; may be done again."""


class Directory(Protocol):
    """Who and what is in the workspace, by Slack's word."""

    async def channel(self, team_id: str, channel_id: str, *, since: int = 0) -> Channel:
        """Return the channel with its members; of these, what was read before `since` is read again.

        Raises NotFound, ServiceUnavailable.
        """

    async def person(self, team_id: str, user_id: str, *, since: int = 0) -> Person:
        """Return the person, as read when Slack had told of at least `since` changes of people.

        Raises NotFound, ServiceUnavailable.
        """


class Claim(Protocol):
    """Our hold on a piece of work, which somebody else may take over when we seem to have died.

    Both methods come first in the transaction that writes what the work makes: it then ends before any other claim.
    """

    async def hold(self, session: AsyncSession) -> None:
        """Keep the work ours until the transaction ends. Raises Superseded: then nothing may be written."""

    async def finish(self, session: AsyncSession) -> None:
        """Mark the work done, in this transaction. Raises Superseded: then nothing may be written."""


class Unclaimed:
    """The claim on what nobody else can do: a question of the command line's or the HTTP API's."""

    async def hold(self, session: AsyncSession) -> None:
        """Nothing can take it over."""

    async def finish(self, session: AsyncSession) -> None:
        """No row says that it is to be done."""


class Unseen:
    """A reply that nobody watches being written."""

    async def show_status(self, status: str) -> None:
        """Show nothing."""

    async def append(self, text: str) -> None:
        """Show nothing."""

    async def finish(self, answer: Answer) -> str:  # noqa: ARG002
        """Return no ts: nothing was posted."""
        return ""

    async def apologise(self, message: str, *, sources: Sequence[Citation] = ()) -> str:  # noqa: ARG002
        """Return no ts: nothing was posted."""
        return ""

    async def withdraw(self) -> None:
        """Take back nothing."""


class Enqueue(Protocol):
    """How work is left for later, inside the caller's transaction."""

    async def __call__(self, session: AsyncSession, errand: Errand) -> bool:
        """Write the piece of work; False when its key or gesture is known for this task already."""
