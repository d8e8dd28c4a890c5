"""The leakage model: who comes, goes, becomes a guest, and who asks where; a canary in every document.

Members, guests, guests of one channel, people of another company and somebody deactivated ask in channels, direct messages,
by command, by button and by the API, after random histories of membership. Slack's events come late, twice and in any
order; some never come, and then what is known has aged. Something may also change while it is being read. Every prompt is
searched for canaries that not everybody who sees the answer may read.

Hypothesis draws every choice. A history goes on where the one before ended, so that what was asked and remembered then
is there: none is shrunk, and a seed tells them all again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import structlog
from hypothesis import HealthCheck, Phase
from sqlalchemy import text

from bot.db import migrate
from bot.db.embedded import start_embedded
from bot.db.engine import Sessions, build_engine
from bot.errors import Forbidden
from bot.jobs.queue import Queue
from bot.playground.delivery import Delivery
from bot.playground.state import Channel, User
from bot.repositories import turns
from bot.repositories.channels import ChannelRepository
from bot.repositories.users import UserRepository
from bot.services.answers import AnswerService
from bot.services.audience import AudienceService
from bot.services.offers import OfferService
from bot.services.ports import Unclaimed
from bot.services.search import SearchService
from bot.services.turns import TurnService
from bot.services.usage import UsageService
from bot.services.writer import AnswerWriter
from bot.slack.inbox import Inbox
from bot.values import Audience, Changes, Question, UserKind
from tests.attacks.leakage import (
    CANARY,
    ONE_CHANNEL,
    SINGLE,
    TOPICS,
    Drawn,
    House,
    NoThreads,
    TellingModel,
    WordEmbedder,
    open_house,
)
from tests.attacks.leakage_moves import Moves
from tests.faults.report import Figure, Result, Scale
from tests.services.stand_ins import NotedReply

NUMBER, TITLE = 11, "who reads what: membership histories"
SABOTAGES = {"rule": "prompts", "events": "prompts", "memory": "prompts", "fence": "prompts"}
OWN_CONTROLS = frozenset(SABOTAGES)
"""All of them are switched off in here."""

QUESTIONS = 10
SURFACES = ("mention", "direct message", "/ask", "/find", "button", "API")
LANES = 3
"""Workspaces in which histories go on side by side."""

HISTORIES = {Scale.QUICK: 90, Scale.FULL: 5_000, Scale.SELFTEST: 150}
CHOICES = 240
"""Drawn for a history, which takes some hundred and fifty."""

RACED = 0.1
"""Of questions, those asked while something changes."""

FEW = 0.005
"""Of all documents; who may read no more is looked at for themselves."""

_EVIDENCE = 20

_EXPLAINED = 2
"""Of a workspace's leaks, those of which is told how they came about."""


@dataclass
class Tally:
    """What was counted in one workspace."""

    histories: int = 0
    questions: int = 0
    prompts: int = 0
    shown: int = 0
    false_offers: int = 0
    offers: int = 0
    refused: int = 0
    admitted: int = 0
    owed: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    surfaces: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    evidence: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stack:
    """One process of the bot, by its services."""

    audiences: AudienceService
    search: SearchService
    answers: AnswerService
    model: TellingModel


class Teller:
    """Tells histories in one workspace, and asks."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stacks = [_stack(house, number) for number in range(len(house.directories))]
        self._threads: dict[tuple[str, str], str] = {}
        self._moves = Moves(house)
        self._ts = 1_700_000_000
        self.tally = Tally()

    async def tell(self, drawn: bytes) -> None:
        """One history: some changes, which the bot hears of in some way or not at all; then questions."""
        self._house.dice = Drawn(drawn)
        self.tally.histories += 1
        self._moves.told.clear()
        is_deaf = self._house.dice.random() < 0.1
        async with self._house.slack.holding() as held:
            for _ in range(self._house.dice.choice((1, 2, 3, 4))):
                self._moves.one()
        if is_deaf:
            await self._age()
        else:
            await self._deliver(held)
        for _ in range(QUESTIONS):
            if self._house.dice.random() < RACED:
                await self._ask_in_between(is_deaf=is_deaf)
            else:
                await self._ask(self._house.dice.choice(SURFACES), self._one_of(self._house.people), is_deaf=is_deaf)
        if is_deaf:
            await self._deliver(held)

    async def _deliver(self, held: Sequence[Delivery]) -> None:
        """Bring events in any order, some twice, some at once."""
        copies = [delivery for delivery in held for _ in range(self._house.dice.choice((1, 1, 2)))]
        copies.sort(key=lambda _: self._house.dice.random())
        if self._house.dice.random() < 0.5:
            await asyncio.gather(*(self._house.slack.deliver(delivery) for delivery in copies))
        else:
            await self._house.slack.deliver(*copies)
        await self._house.slack.settle()
        assert self._house.slack.workspace.deliveries.lost_count == 0

    async def _age(self) -> None:
        """Let all that is known grow older than it may be relied on."""
        async with self._house.sessions.tenant(self._house.team_id) as session:
            await session.execute(text("UPDATE channels SET synced_at = synced_at - interval '301 s'"))
        for directory in self._house.directories:
            directory._people = {
                key: replace(known, asked_at=-1e9) for key, known in directory._people.items()
            }  # time itself
        self._moves.told.append("nothing was heard, and time passed")

    async def _ask_in_between(self, *, is_deaf: bool) -> None:
        """Ask while something changes that is being read for the answer; then ask those whom it was about, and there."""
        self._moves.touched = []
        self._house.client.meanwhile = self._change_meanwhile
        surface, user = self._house.dice.choice(SURFACES), self._one_of(self._house.people)
        await self._ask(surface, user, is_deaf=is_deaf, is_raced=True)
        for touched in self._moves.touched:
            if isinstance(touched, User):
                await self._ask("/ask", touched, is_deaf=is_deaf)
            elif inside := [user for user in self._house.people if user.id in touched.members]:
                await self._ask("mention", self._one_of(inside), touched, is_deaf=is_deaf)

    def _one_of(self, users: Sequence[User]) -> User:
        return self._house.dice.choice(users)

    async def _ask(
        self, surface: str, user: User, channel: Channel | None = None, *, is_deaf: bool, is_raced: bool = False
    ) -> None:
        """Ask on some surface, and judge what the model, and whoever looks on, got to see."""
        topic = self._house.dice.choice(
            TOPICS if user.name != SINGLE else [self._house.documents_of(ONE_CHANNEL)[0].topic]
        )
        channel = self._place(surface, user, channel)
        if channel is None:
            return
        stack, reply = self._house.dice.choice(self._stacks), NotedReply(ts=self._next_ts())
        before, owed = self._allowed(surface, channel, user), self._owed(surface, channel, user, topic)
        stack.model.prompts.clear()
        was_active = not user.deleted
        try:
            seen = await self._answered(stack, surface, channel, user, topic, reply)
        except Forbidden:
            self.tally.refused += 1
            if was_active and not is_raced:
                self._blame(f"{user.name} was refused, but is active", surface, user, channel)
            return
        finally:
            self._house.client.meanwhile = None
        self.tally.questions += 1
        self.tally.surfaces[surface] += 1
        self.tally.kinds["deactivated" if user.deleted else str(user.kind)] += 1
        if not was_active and not is_raced:
            self.tally.admitted += 1
            self._blame("was answered though deactivated", surface, user, channel)
        allowed = before | self._allowed(surface, channel, user)  # a change under way counts from the next question on
        await self._judge(surface, channel, user, stack, reply, seen, allowed)
        if not is_deaf and not is_raced:
            self._count(user, owed, seen)

    def _place(self, surface: str, user: User, channel: Channel | None) -> Channel | None:
        """Return where somebody can ask so, in this channel if it is given; None when there is no such place."""
        if channel is not None:
            return channel if self._house.hears(channel) else None
        if surface in {"mention", "button"}:
            open_to = [c for c in self._house.channels if c.name and user.id in c.members and self._house.hears(c)]
            return self._house.dice.choice(open_to) if open_to else None
        if surface == "direct message" or user.kind is not UserKind.EXTERNAL:
            return self._house.slack.direct(user)
        return None

    def _allowed(self, surface: str, channel: Channel, user: User) -> set[str]:
        return self._house.seen_in(channel) if surface == "mention" else self._house.seen_by(user)

    def _owed(self, surface: str, channel: Channel, user: User, topic: str) -> set[str]:
        alone = surface != "mention"
        return self._house.owed_to(user, topic) if alone else self._house.owed_in(channel, user, topic)

    async def _answered(
        self, stack: Stack, surface: str, channel: Channel, user: User, topic: str, reply: NotedReply
    ) -> set[str]:
        """Ask so, and return the canaries that were found."""
        words, team_id = f"What is the code word of pier {topic}?", self._house.team_id
        match surface:
            case "/find":
                audience = await stack.audiences.of(team_id, channel_id=channel.id, user_id=user.id, private=True)
                result = await stack.search.search(words, audience=audience)
                return {canary for passage in result.passages for canary in CANARY.findall(passage.text)}
            case "API":
                async with self._house.sessions.tenant(team_id) as session:
                    row = await UserRepository(session).get_by(team_id, slack_user_id=user.id)
                if row is None:
                    row_id = await self._recorded(user)
                else:
                    row_id = row.id
                audience = await stack.audiences.of_user(team_id, row_id)
                answer = await stack.answers.ask(audience, words, user_id=row_id)
                reply.finished = answer
            case "mention" | "direct message":
                ts = self._next_ts()
                thread_ts = self._thread(channel, user, ts)
                about = Question(team_id, channel.id, user.id, ts, thread_ts, words)
                await stack.answers.answer(about, reply, claim=Unclaimed())
            case _:
                ts = f"command:{self._next_ts()}"
                about = Question(team_id, f"private:{user.id}", user.id, ts, ts, words)
                await stack.answers.answer(about, reply, private=True, claim=Unclaimed())
        return {canary for prompt in stack.model.prompts for canary in CANARY.findall(repr(prompt.passages))}

    async def _recorded(self, user: User) -> Any:
        """Return the row of somebody who never asked in Slack, as an administrator's key for them would make it."""
        person = await self._house.directories[0].person(self._house.team_id, user.id)
        async with self._house.sessions.tenant(self._house.team_id) as session:
            return await UserRepository(session).record_person(self._house.team_id, person)

    def _thread(self, channel: Channel, user: User, ts: str) -> str:
        """Return the thread to ask in: a new one, or the last there, so that what was said before comes along."""
        key = (channel.id, user.id)
        if self._house.dice.random() < 0.6 or key not in self._threads:
            self._threads[key] = ts
        return self._threads[key]

    async def _judge(
        self,
        surface: str,
        channel: Channel,
        user: User,
        stack: Stack,
        reply: NotedReply,
        seen: set[str],
        allowed: set[str],
    ) -> None:
        prompted = {canary for prompt in stack.model.prompts for canary in CANARY.findall(repr(prompt))} | seen
        shown = set(CANARY.findall(f"{reply.streamed} {reply.finished!r} {reply.apologies}"))
        if foreign := prompted - allowed:
            self.tally.prompts += 1
            where = "passages" if foreign & seen else "history"
            self._blame(f"{', '.join(sorted(foreign))} in the prompt's {where}", surface, user, channel)
            if self.tally.prompts <= _EXPLAINED:
                await self._explain({channel.id, *(d.channel_id for d in self._house.documents if d.canary in foreign)})
        if shown - allowed:
            self.tally.shown += 1
        if reply.finished is not None and reply.finished.offers_more:
            self.tally.offers += 1
            if not self._house.seen_by(user) - self._house.owed_in(channel, user):
                self.tally.false_offers += 1
                self._blame("was offered more than they may read", surface, user, channel)

    def _count(self, user: User, owed: set[str], seen: set[str]) -> None:
        self.tally.owed["all"] += len(owed)
        self.tally.found["all"] += len(owed & seen)
        if len(self._house.seen_by(user)) <= max(1, FEW * len(self._house.documents)):
            self.tally.owed["few"] += len(owed)
            self.tally.found["few"] += len(owed & seen)
        if owed - seen and len(self.tally.evidence) < _EVIDENCE:
            self.tally.evidence.append(f"not found: {len(owed - seen)} of {len(owed)} after {self._moves.told}")

    def _blame(self, what: str, surface: str, user: User, channel: Channel) -> None:
        if len(self.tally.evidence) < _EVIDENCE:
            told = f"{user.name} ({user.kind}), {surface} in {channel.name or channel.id}"
            self.tally.evidence.append(f"{what}: {told}; {'; '.join(self._moves.told)}")

    async def _explain(self, channel_ids: set[str]) -> None:
        """Tell of these channels what is stored, what holds in Slack, and what happened there and to who is inside."""
        store, team_id = self._house.slack.store, self._house.team_id
        for channel in (store.channels[channel_id] for channel_id in sorted(channel_ids)):
            async with self._house.sessions.tenant(team_id) as session:
                row = await ChannelRepository(session).get(team_id, channel.id)
                known = await ChannelRepository(session).list_members(team_id, channel.id)
            stored = row and f"{row.kind}, outsiders {row.has_outsiders}, read {row.synced_at}"
            wrong = [store.users[one].name for one in sorted(set(known) ^ set(channel.members))]
            holds = f"{channel.kind}, connected {bool(channel.connected)}, bot {self._house.hears(channel)}"
            self.tally.evidence.append(f"  {channel.name} stored: {stored}, wrong of {wrong}; in Slack: {holds}")
            for name in (channel.name, *(store.users[one].name for one in channel.members)):
                self.tally.evidence.append(f"    {name}: {'; '.join(self._moves.past(name))}")

    async def _change_meanwhile(self, channel_id: str) -> None:
        async with self._house.slack.holding() as held:
            self._moves.one(self._house.slack.store.channels[channel_id])
        await self._house.slack.deliver(*held)

    def _next_ts(self) -> str:
        self._ts += 1
        return f"{self._ts}.000100"


def _stack(house: House, number: int) -> Stack:
    embedder, model, sessions = WordEmbedder(), TellingModel(), house.sessions
    audiences = AudienceService(sessions, house.directories[number], max_age_s=60)
    search = SearchService(sessions, embedder, passage_limit=10, floor=0.1, weight=0.5)
    threads = TurnService(sessions, audiences, NoThreads(), Queue().enqueue, file_wait_s=0)
    writer = AnswerWriter(search, model, OfferService(search, audiences), permalink=lambda _: None)
    answers = AnswerService(sessions, threads, writer, search, audiences, UsageService(sessions), Queue().enqueue)
    return Stack(audiences, search, answers, model)


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if sabotage is not None:
        SWITCHES[sabotage]()
    with tempfile.TemporaryDirectory(prefix="recollect-t11-") as folder:
        Path(folder).chmod(0o755)
        server = start_embedded(Path(folder), throwaway=True)
        try:
            await migrate.upgrade(server.owner_url, server.bot_url)
            engine = build_engine(server.bot_url, pool_size=4 * LANES, max_overflow=0)
            try:
                tallies = await _tell_all(Sessions(engine), HISTORIES[scale], seed)
            finally:
                await engine.dispose()
        finally:
            server.stop()
    return Result(NUMBER, TITLE, scale.value, seed, _figures(tallies, HISTORIES[scale]), _evidence(tallies))


async def _tell_all(sessions: Sessions, histories: int, seed: int) -> list[Tally]:
    houses = [await open_house(sessions, f"T0LEAK{lane}", seed) for lane in range(LANES)]

    loop = asyncio.get_running_loop()

    async def lane(house: House, lane_seed: int) -> Tally:
        teller = Teller(house)
        await asyncio.to_thread(_draw, teller, -(-histories // LANES), lane_seed, loop)
        return teller.tally

    return list(await asyncio.gather(*(lane(house, seed + number) for number, house in enumerate(houses))))


def _draw(teller: Teller, histories: int, seed: int, loop: asyncio.AbstractEventLoop) -> None:
    """Draw histories, and have each told in the loop, from a thread of our own."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=histories,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(st.binary(min_size=CHOICES, max_size=CHOICES))
    def told(drawn: bytes) -> None:
        asyncio.run_coroutine_threadsafe(teller.tell(drawn), loop).result()

    told()


def _figures(tallies: Sequence[Tally], histories: int) -> list[Figure]:
    def total(of: Callable[[Tally], int]) -> int:
        return sum(of(tally) for tally in tallies)

    def recall(of: str) -> float:
        return total(lambda tally: tally.found[of]) / (total(lambda tally: tally.owed[of]) or 1)

    questions, refused = total(lambda tally: tally.questions), total(lambda tally: tally.refused)
    surfaces = sum((tally.surfaces for tally in tallies), Counter[str]())
    kinds = sum((tally.kinds for tally in tallies), Counter[str]())
    return [
        Figure("histories", "histories of membership", total(lambda t: t.histories), at_least=histories),
        Figure("questions", "questions answered", questions, at_least=histories * 6),
        Figure("surfaces", "surfaces asked on", len(surfaces), at_least=len(SURFACES), note=_said(surfaces)),
        Figure("kinds", "kinds of people who asked", len(kinds), at_least=3, note=_said(kinds)),
        Figure("prompts", "foreign canaries in a prompt", total(lambda t: t.prompts), at_most=0, of=questions),
        Figure("shown", "foreign canaries shown", total(lambda t: t.shown), at_most=0, of=questions),
        Figure("admitted", "answers to somebody deactivated", total(lambda t: t.admitted), at_most=0, of=refused),
        Figure(
            "false_offers", "offers of what nobody may give", total(lambda t: t.false_offers), at_most=0, of=questions
        ),
        Figure("offers", "answers that offer more in private", total(lambda t: t.offers), at_least=1),
        Figure("recall", "authorised recall@10", recall("all"), at_least=0.99),
        Figure("recall_few", "the same, for who may read 0.5 %", recall("few"), at_least=0.99),
    ]


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _evidence(tallies: Sequence[Tally]) -> list[str]:
    return [line for tally in tallies for line in tally.evidence]


def _without_rule() -> None:
    """Let every search read every channel."""
    search = SearchService.search

    async def anywhere(self: SearchService, words: str, *, audience: Audience, **options: Any) -> Any:
        async with self._sessions.tenant(audience.team_id) as session:  # in its place
            every = await session.scalars(text("SELECT DISTINCT channel_id FROM document_shares"))
        return await search(self, words, audience=Audience(audience.team_id, frozenset(every)), **options)

    SearchService.search = anywhere  # type: ignore[assignment, method-assign]


def _without_events() -> None:
    """Let what Slack tells of changes pass by."""

    async def nothing(*_: object, **__: object) -> None:
        return None

    Inbox.note = nothing  # type: ignore[method-assign]


def _without_memory() -> None:
    """Let answers come along in a thread, whatever they rest on."""
    kept = turns.BEGIN.text.replace(f"AND NOT EXISTS ({turns.UNREADABLE_SOURCE})", "")
    assert kept != turns.BEGIN.text
    turns.BEGIN = text(kept)


def _without_fence() -> None:
    """Let what was read before a change be stored after it."""
    record = ChannelRepository.record_channel

    async def anyhow(self: ChannelRepository, team_id: str, channel: Any, *, seen: Changes | None = None) -> bool:
        return await record(self, team_id, channel)

    ChannelRepository.record_channel = anyhow  # type: ignore[method-assign]


SWITCHES: dict[str, Callable[[], None]] = {
    "rule": _without_rule,
    "events": _without_events,
    "memory": _without_memory,
    "fence": _without_fence,
}
