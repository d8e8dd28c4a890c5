"""The workspace in which T17 deletes documents, ten at a time, each stopped at another place of its way."""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bot.app import running
from bot.config import Settings
from bot.db.engine import Sessions, build_engine
from bot.db.guard import close_engine
from bot.errors import WorkspaceGone
from bot.jobs.queue import Queue, defer
from bot.playground.delivery import NotAcknowledged
from bot.playground.reading import is_settled
from bot.playground.state import Channel, Message
from bot.repositories.channels import ChannelRepository
from bot.services.errands import backfill_errand
from bot.services.retention import RetentionService
from bot.smoke import playground_settings
from tests.attacks.gates import Gate, Gates
from tests.attacks.residue import left_in_slack, left_in_tables
from tests.conftest import TEAM
from tests.faults.world import World

FILE, MESSAGE, CHANNEL, COMMAND, AGE = "file", "message", "channel", "/docs delete", "retention"
UNINSTALLED = "uninstalled"
BY_SLACK, ALL_WAYS = (FILE, MESSAGE, CHANNEL), (FILE, MESSAGE, CHANNEL, COMMAND, AGE)

PLACES: dict[str, str | None] = {
    "before it is fetched": "fetch",
    "while it is fetched": "download",
    "while it is parsed": "parse",
    "while it is embedded": "embed",
    "before its commit": "store",
    "once it is stored": None,
    "while a question finds it": "search",
    "while an answer streams": "append",
    "once it is answered": None,
    "while it is shared again": "fetch",
}
"""The ten places, and the gate that stops a document there, if any."""

AGAIN = "while it is shared again"
UNSTORED, UNANSWERED = ("before it is fetched", "while it is fetched"), tuple(PLACES)[:6]
_TIMEOUT_S = 60.0
_SETTLED = "SELECT count(*) FROM work WHERE state IN ('queued', 'running', 'stopping')"
_TRIES = 5
_AT_ONCE = 4
"""Deletions at a time: they are timed."""

_SPEAKERS = ("Ada", "Ben")


@dataclass(slots=True)
class Trial:
    """One document: where its way is stopped, and how it is deleted there."""

    number: int
    place: str
    way: str
    canary: str
    topic: str
    patient: bool
    channel: Channel
    root: Message | None = None
    again: Message | None = None
    question: Message | None = None
    gate: Gate | None = None
    deleted_at: float = 0.0
    unsearchable_s: float = 0.0
    purged_s: float = 0.0

    @property
    def is_stored(self) -> bool:
        """True when all of it stands in the tables before it is deleted."""
        return PLACES[self.place] in (None, "search", "append") or self.again is not None

    @property
    def filename(self) -> str:
        return f"{self.topic}.md"

    @property
    def words(self) -> bytes:
        return f"# Berth {self.topic}\n\nThe watchword of berth {self.topic} is {self.canary}.\n".encode()

    @property
    def asks(self) -> str:
        return f"What is the watchword of berth {self.topic}?"


@dataclass(slots=True)
class Seen:
    """What became of the documents, by their words."""

    trials: list[Trial] = field(default_factory=list)
    before: set[str] = field(default_factory=set)
    residue: dict[str, list[str]] = field(default_factory=dict)
    standing: dict[str, list[str]] = field(default_factory=dict)
    resurrected: dict[str, list[str]] = field(default_factory=dict)
    written_after: list[str] = field(default_factory=list)
    farewells: int = 0


class Lab:
    """A workspace in which documents are shared, asked for and deleted, ten at a time."""

    def __init__(self, world: World, gates: Gates, dice: random.Random, *, patience_s: float) -> None:
        self.seen = Seen()
        self._world, self._slack, self._gates = world, world.slack, gates
        self._dice, self._patience_s = dice, patience_s
        self._ways: dict[str, int] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._sessions: Sessions
        self._retention: RetentionService

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Run the bot inside, and keep a way of our own into its database."""
        environment: dict[str, Any] = {name.lower(): value for name, value in self._world.environment().items()}
        settings = playground_settings(Settings(_env_file=None, **environment), self._slack, home=None)
        engine = build_engine(str(settings.database_url), pool_size=5)
        self._sessions = Sessions(engine)
        self._retention = RetentionService(self._sessions, Queue().enqueue)
        try:
            async with running(settings.model_copy(update={"post_interval_s": 0.0})):
                yield
        finally:
            await close_engine(engine)

    async def furnish(self) -> None:
        """Let people in, and give them a place to ask."""
        people = [self._slack.add_user(name) for name in _SPEAKERS]
        self._slack.add_channel("quay", members=people)

    def way_for(self, place: str) -> str:
        """Return the next way of deleting something at this place.

        What isn't stored yet nobody can delete here; and who shares it again after that has shared something new.
        """
        ways = BY_SLACK if place in {*UNSTORED, AGAIN} else ALL_WAYS
        turn = self._ways.setdefault(place, self._dice.randrange(len(ways)))
        self._ways[place] += 1
        return ways[turn % len(ways)]

    def trial(self, place: str, way: str) -> Trial:
        """Return a document to come, with a channel of its own."""
        number = len(self.seen.trials)
        topic = "".join(self._dice.choices("bcdfghklmnprstvz", k=9))
        canary = "canary" + "".join(self._dice.choices("0123456789", k=12))
        channel = self._slack.add_channel(f"berth-{number}", members=list(_SPEAKERS))
        trial = Trial(number, place, way, canary, topic, self._dice.random() < 0.5, channel)
        self.seen.trials.append(trial)
        return trial

    async def go_through(self, trials: Sequence[Trial]) -> None:
        """Bring each document to its place, delete it there, let it go on, and see what is left and comes back."""
        await _all(self._bring(trial) for trial in trials)
        await self._look_before(trials)
        await _all(self._delete(trial) for trial in trials)
        await self._idle()
        await self._look_after(trials, standing=True)
        await self._try_to_bring_back(trials)
        canaries = [trial.canary for trial in trials]
        self.seen.resurrected |= await left_in_tables(self._world.postgres, canaries)
        self.seen.resurrected |= left_in_slack(self._slack, canaries)
        await self._forget(trials)

    async def say_farewell(self, trials: Sequence[Trial]) -> None:
        """Bring each document to its place, then uninstall the bot; what it posted stays in a Slack it may not touch."""
        await _all(self._bring(trial) for trial in trials)
        await self._look_before(trials)
        for trial in trials:
            trial.deleted_at = time.monotonic()
        self._slack.uninstall()
        await self._slack.settle()
        await _all(self._unsearchable(trial) for trial in trials)
        for trial in trials:
            if trial.gate is not None:
                trial.gate.go.set()
        await self._look_after(trials, standing=False)
        await _until(self._is_empty, timeout_s=self._patience_s)
        self._send_again(trials)
        await self._slack.settle()
        self.seen.resurrected |= await left_in_tables(self._world.postgres, [trial.canary for trial in trials])
        self.seen.written_after += await self._rows_left()
        self.seen.farewells += 1

    async def _bring(self, trial: Trial) -> None:
        """Share a document, ask for it where that comes before its place, and stop it there."""
        place = PLACES[trial.place]
        first = None if trial.place == "while it is shared again" else place
        words = trial.topic if first == "search" else trial.filename if first == "parse" else trial.canary
        if first in {"fetch", "download"}:
            async with self._slack.workspace.deliveries.holding() as held:
                trial.root = await self._share(trial)
            trial.gate = self._gates.put(first, trial.root.file_ids[0])
            for event in held:
                self._slack.workspace.deliveries.resend(event)
        else:
            if first is not None:
                trial.gate = self._gates.put(first, words)
            trial.root = await self._share(trial)
        if trial.place not in UNANSWERED:
            await self._receipt(trial.root)
            trial.question = await self._slack.mention("Ben", "quay", trial.asks)
        if trial.gate is not None:
            await asyncio.wait_for(trial.gate.reached.wait(), _TIMEOUT_S)
        elif trial.question is not None:
            await self._slack.wait_for_reply("quay", trial.question.ts, until=is_settled, timeout=_TIMEOUT_S)
        else:
            await self._receipt(trial.root)
        if trial.place == "while it is shared again":
            async with self._slack.workspace.deliveries.holding() as held:
                trial.again = await self._share(trial)
            trial.gate = self._gates.put("fetch", trial.again.file_ids[0])
            for event in held:
                self._slack.workspace.deliveries.resend(event)
            await asyncio.wait_for(trial.gate.reached.wait(), _TIMEOUT_S)

    async def _share(self, trial: Trial) -> Message:
        """Share the document; where its message goes with it, the message tells the word too."""
        told = f"It is {trial.canary}." if trial.way in {MESSAGE, CHANNEL, UNINSTALLED} else ""
        file = (trial.filename, trial.words, "text/markdown")
        return await self._slack.share("Ada", trial.channel, file, text=told)

    async def _receipt(self, root: Message) -> None:
        await self._slack.wait_for_reply(root.channel_id, root.ts, until=is_settled, timeout=_TIMEOUT_S)

    async def _look_before(self, trials: Sequence[Trial]) -> None:
        """Note what can be found now: a checker that finds nothing would find nothing afterwards either."""
        stored = [trial.canary for trial in trials if trial.is_stored]
        found = await left_in_tables(self._world.postgres, stored)
        self.seen.before |= {canary for canary, tables in found.items() if "public.document_chunks" in tables}

    async def _delete(self, trial: Trial) -> None:
        """Delete a document, and let it go on: at once, or when the deletion is over or waits for it."""
        async with self._turns:
            await self._delete_now(trial)

    async def _delete_now(self, trial: Trial) -> None:
        trial.deleted_at = time.monotonic()
        deleting = asyncio.create_task(self._act(trial))
        watching = asyncio.create_task(self._unsearchable(trial))
        if trial.gate is not None:
            if trial.patient:
                await _until(lambda: self._is_over(deleting), timeout_s=_TIMEOUT_S)
            trial.gate.go.set()
        await asyncio.gather(deleting, watching)

    async def _act(self, trial: Trial) -> None:
        assert trial.root is not None  # it was brought here
        roots = [root for root in (trial.root, trial.again) if root is not None]
        match trial.way:
            case "file":
                for root in roots:
                    await self._slack.delete_file(root.file_ids[0])
            case "message":
                for root in roots:
                    await self._slack.delete(root)
            case "channel":
                self._slack.remove_channel(trial.channel)
            case "/docs delete":
                await self._delete_by_command(trial)
            case "retention":
                await self._let_expire(trial)
        await self._slack.settle()

    async def _delete_by_command(self, trial: Trial) -> None:
        document_id = await self._world.postgres.value("SELECT id FROM documents WHERE filename = $1", trial.filename)
        at = await _patiently(lambda: self._slack.command("Ada", trial.channel, "/docs", f"delete {document_id}"))
        asked = await self._slack.wait_for_ephemeral("Ada", trial.channel, after=at, timeout=_TIMEOUT_S)
        await _patiently(lambda: self._slack.click("Ada", asked, "document_delete_confirmed"))

    async def _let_expire(self, trial: Trial) -> None:
        aged = """UPDATE document_shares s SET created_at = now() - interval '40 days' FROM documents d
                   WHERE d.team_id = s.team_id AND d.id = s.document_id AND d.filename = $1"""
        await self._world.postgres.fetch(aged, trial.filename)
        await self._retention.keep(TEAM, 30)
        await self._retention.expire(TEAM)

    async def _is_over(self, deleting: asyncio.Task[None]) -> bool:
        """Tell whether a deletion is told, and nothing of it is under way, or whether it waits for a lock."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        if await self._world.postgres.value(waiting):
            return True
        tasks = "SELECT count(*) FROM work WHERE task = ANY($1) AND state = 'queued' AND run_at <= now()"
        return deleting.done() and not await self._world.postgres.value(tasks, ["forget", "unsay", "vacate"])

    async def _unsearchable(self, trial: Trial) -> None:
        """Wait until the database would show nothing of a document to whoever could read it."""
        asker = self._slack.store.user("Ben").id

        async def is_hidden() -> bool:
            try:
                async with self._sessions.tenant(TEAM) as session:
                    audience = await ChannelRepository(session).get_audience(
                        TEAM, channel_id=trial.channel.id, slack_user_id=asker, private=True
                    )
                async with self._sessions.reading(audience) as session:
                    shown = await session.connection()
                    found = await shown.exec_driver_sql(
                        "SELECT count(*) FROM document_chunks WHERE position($1 in content) > 0", (trial.canary,)
                    )
                    return not found.scalar_one()
            except WorkspaceGone:
                return True

        await _until(is_hidden, timeout_s=self._patience_s)
        trial.unsearchable_s = time.monotonic() - trial.deleted_at

    async def _idle(self) -> None:
        async def is_idle() -> bool:
            return not await self._world.postgres.value(_SETTLED)

        await _until(is_idle, timeout_s=_TIMEOUT_S)

    async def _look_after(self, trials: Sequence[Trial], *, standing: bool) -> None:
        """Look until nothing is left, or patience ends; note what is."""
        late = {trial.canary: trial for trial in trials}
        deadline = time.monotonic() + self._patience_s
        while True:
            residue = await left_in_tables(self._world.postgres, late)
            shown = left_in_slack(self._slack, late) if standing else {}
            for canary in [canary for canary in late if canary not in residue and canary not in shown]:
                trial = late.pop(canary)
                trial.purged_s = time.monotonic() - trial.deleted_at
            if not late or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.25)
        for trial in late.values():
            trial.purged_s = time.monotonic() - trial.deleted_at
        self.seen.residue |= residue
        self.seen.standing |= shown

    async def _try_to_bring_back(self, trials: Sequence[Trial]) -> None:
        """Deliver everything again, under its name and under others; let every job come twice; read Slack's history."""
        self._send_again(trials)
        await self._slack.settle()
        of_slack = [file_id for trial in trials if trial.way in BY_SLACK for file_id in _files(trial)]
        forgotten = """UPDATE work SET state = 'queued', run_at = now()
                        WHERE task = 'ingest' AND ids ->> 'file_id' = ANY($1)"""
        await self._world.postgres.fetch(forgotten, of_slack)
        again = "SELECT id FROM work WHERE task IN ('ingest', 'answer') AND state <> 'copy' ORDER BY id"
        work_ids = [UUID(str(row["id"])) for row in await self._world.postgres.fetch(again)]
        now = datetime.now(UTC)
        async with self._sessions.tenant(TEAM) as session:
            await defer(session, TEAM, work_ids)
            await Queue().enqueue(session, backfill_errand(TEAM, since=now - timedelta(hours=1), until=now))
        await self._idle()

    def _send_again(self, trials: Sequence[Trial]) -> None:
        """Send every event that told of these documents: as it was, and as another that Slack makes of the same."""
        deliveries = self._slack.workspace.deliveries
        told = {file_id for trial in trials for file_id in _files(trial)}
        asked = {trial.question.ts for trial in trials if trial.question is not None}
        for sent in list(deliveries.sent):
            event = sent.event
            files = {file.get("id") for file in event.get("files", [])}
            if event.get("subtype") not in (None, "file_share") or not (files & told or event.get("ts") in asked):
                continue
            deliveries.resend(sent, attempt=1, reason="timeout")
            other = copy.deepcopy(sent)
            other.envelope["event_id"] = f"{sent.envelope['event_id']}X"
            deliveries.resend(other)

    async def _is_empty(self) -> bool:
        return not await self._rows_left()

    async def _rows_left(self) -> list[str]:
        """Return the tables in which anything of the workspace is left that nobody may keep."""
        found = []
        tables = await self._world.postgres.fetch(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'team_id' AND table_schema = 'public'"
        )
        for table in sorted({row["table_name"] for row in tables} - {"audit_log"}):
            more = " AND kind <> 'workspace'" if table == "tombstones" else ""
            if await self._world.postgres.value(f"SELECT count(*) FROM {table} WHERE team_id = $1{more}", TEAM):
                found.append(table)
        return found

    async def _forget(self, trials: Sequence[Trial]) -> None:
        """Take what Slack itself still has of these documents away, so that the next round is alone."""
        for trial in trials:
            if trial.channel.id in self._slack.store.channels:
                self._slack.remove_channel(trial.channel)
        await self._slack.settle()
        await self._idle()


def _files(trial: Trial) -> list[str]:
    """Return the files that brought a document, also when Slack has deleted them."""
    roots = [root for root in (trial.root, trial.again) if root is not None]
    return [file_id for root in roots for file_id in root.file_ids]


async def _all(acts: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for act in acts:
            group.create_task(act)


async def _patiently(act: Callable[[], Awaitable[str]]) -> str:
    """Do it as a person does: who is told that the app didn't respond tries again."""
    for _ in range(_TRIES):
        with suppress(NotAcknowledged):
            return await act()
    return await act()


async def _until(what: Callable[[], Awaitable[bool]], *, timeout_s: float) -> None:
    """Return when it is so, or when it took too long: the figures tell."""
    deadline = time.monotonic() + timeout_s
    while not await what() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
