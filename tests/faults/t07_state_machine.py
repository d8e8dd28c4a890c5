"""Slack's copies, in any order, of whatever people do to their messages: Hypothesis thinks up what they do.

Mentions, plain messages, phantom resends, edits, deletions; each event is delivered once to four times, whenever and in
whatever order; the bot is killed in between, and weeks pass. At the end of each story every live mention has one answer.
"""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Coroutine
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import hypothesis
import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from bot.playground.delivery import Delivery
from bot.playground.state import Channel, Message, User
from tests.faults.checker import ANSWER, history_of, judge
from tests.faults.load import QUESTIONS, TRUE_WORDS, Crowd
from tests.faults.model_faults import CHAT, thinks
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 7, "copies, reorderings, edits and deletions"
SABOTAGES = {"work_key": "wrong", "tombstones": "wrong", "copies": "wrong"}

THINKS_S, THINKS_SHARE = 0.3, 0.3
"""How long the model thinks over some of the answers: what is deleted meanwhile is deleted half-way."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    stories: int
    steps: int
    restarts: int


SIZES = {Scale.QUICK: Size(12, 25, 1), Scale.FULL: Size(500, 50, 20), Scale.SELFTEST: Size(25, 30, 0)}


@dataclass(slots=True)
class Stage:
    """What all stories share; `loop` is where everything but the stories runs."""

    world: World
    crowd: Crowd
    process: BotProcess
    loop: asyncio.AbstractEventLoop
    restarts: int
    stories: int = 0
    steps: int = 0
    mentions: int = 0
    deleted: int = 0
    copies: int = 0

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run this in the loop, from the story's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=180)


@dataclass(slots=True)
class Post:
    """A person's message in a story. `gesture` is the same for a message and its phantoms."""

    message: Message
    gesture: int
    mentions: bool
    events: list[Delivery]
    thread: str
    deleted: bool = False
    deletion: Delivery | None = None
    deleted_unheard: bool = False
    """The deletion was delivered before any event that makes a question of the gesture."""


@dataclass(slots=True)
class Story:
    """What happened in one channel so far."""

    channel: Channel
    who: User
    posts: list[Post] = field(default_factory=list)
    pending: list[Delivery] = field(default_factory=list)
    sent: list[Delivery] = field(default_factory=list)


class Stories(RuleBasedStateMachine):
    """One story: what people and Slack do in one channel."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.stage.stories += 1
        number = self.stage.stories
        who = self.stage.world.slack.add_user(f"teller-{number}")
        channel = self.stage.world.slack.add_channel(f"story-{number}", members=[who])
        self.story = Story(channel, who)

    @property
    def live(self) -> list[Post]:
        return [post for post in self.story.posts if not post.deleted]

    @rule(text=st.sampled_from(QUESTIONS), data=st.data())
    def ask(self, text: str, data: st.DataObject) -> None:
        """Somebody mentions the bot, in a thread or not."""
        self._post(self._naming_the_bot(text), self._thread(data), mentions=True)

    @rule(text=st.sampled_from(QUESTIONS), data=st.data())
    def chat(self, text: str, data: st.DataObject) -> None:
        """Somebody says something to somebody else."""
        self._post(text, self._thread(data), mentions=False)

    @precondition(lambda self: any(post.mentions for post in self.live))
    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        """A client sends a message once more, as a message of its own."""
        self._resend(data.draw(st.sampled_from([post for post in self.live if post.mentions]), label="phantom of"))

    @rule(text=st.sampled_from(QUESTIONS), data=st.data())
    def delete_one_of_two(self, text: str, data: st.DataObject) -> None:
        """A client sends a question twice; somebody sees both, and deletes the first."""
        first = self._post(self._naming_the_bot(text), self._thread(data), mentions=True)
        second = self._resend(first)
        self._deliver([*first.events, *second.events], at_once=False)
        self._deliver([self._delete(first)], at_once=False)

    @rule(text=st.sampled_from(QUESTIONS), data=st.data())
    def take_back(self, text: str, data: st.DataObject) -> None:
        """Somebody mentions the bot and thinks better of it; Slack tells of the deletion first."""
        post = self._post(self._naming_the_bot(text), self._thread(data), mentions=True)
        self._deliver([self._delete(post)], at_once=False)

    @precondition(lambda self: bool(self.live))
    @rule(data=st.data(), adds_mention=st.booleans())
    def edit(self, data: st.DataObject, adds_mention: bool) -> None:  # noqa: FBT001  # Hypothesis passes it by name
        """Somebody changes a message; a mention that comes in so is one."""
        post = data.draw(st.sampled_from(self.live), label="edited")
        text = f"{post.message.text[-20:]} please?"
        text = self._naming_the_bot(text) if post.mentions or adds_mention else text
        _, events = self._held(self.stage.world.slack.edit(post.message, text))
        post.events += events if adds_mention and not post.mentions else []
        post.mentions = post.mentions or adds_mention

    @precondition(lambda self: any(self._may_go(post) for post in self.live))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Somebody takes a message back."""
        self._delete(data.draw(st.sampled_from([post for post in self.live if self._may_go(post)]), label="deleted"))

    @precondition(lambda self: bool(self.story.pending or self.story.sent))
    @rule(data=st.data(), at_once=st.booleans())
    def deliver(self, data: st.DataObject, at_once: bool) -> None:  # noqa: FBT001  # Hypothesis passes it by name
        """Slack sends some of what happened, in any order, some of it more than once."""
        known = [*self.story.pending, *self.story.sent[-20:]]
        places = data.draw(st.lists(st.integers(0, len(known) - 1), min_size=1, max_size=8), label="delivered")
        self._deliver([known[place] for place in places], at_once=at_once)

    @rule()
    def work_off(self) -> None:
        """Nothing happens for a while."""
        self.stage.call(_idle(self.stage.world))

    @rule()
    def let_a_week_pass(self) -> None:
        """What was delivered is a week older."""
        week = "UPDATE {} SET created_at = created_at - interval '7 days', updated_at = updated_at - interval '7 days'"
        self.stage.call(self.stage.world.postgres.fetch(week.format("work") + " WHERE state IN ('done', 'stopped')"))

    @precondition(lambda self: self.stage.restarts > 0)
    @rule()
    def kill(self) -> None:
        """The bot dies and is started again."""
        self.stage.restarts -= 1
        self.stage.process.kill9()
        self.stage.call(self.stage.process.wait_ready())

    def teardown(self) -> None:
        """Let everything arrive, and count."""
        self._deliver(list(self.story.pending), at_once=False)
        self.stage.call(self.stage.world.slack.settle())
        self.stage.call(_idle(self.stage.world))
        problems = self._problems()
        assert not problems, "\n".join([*problems, *self._told()])

    def _naming_the_bot(self, text: str) -> str:
        return f"<@{self.stage.world.slack.store.bot.id}> {text}"

    def _post(self, text: str, thread_ts: str | None, *, mentions: bool) -> Post:
        slack = self.stage.world.slack
        saying = slack.say(self.story.who, self.story.channel, text, thread_ts=thread_ts, as_typed=False)
        message, events = self._held(saying)
        post = Post(message, len(self.story.posts), mentions, events, message.root_ts)
        self.story.posts.append(post)
        return post

    def _resend(self, original: Post) -> Post:
        message, events = self._held(self.stage.world.slack.phantom(original.message))
        post = Post(message, original.gesture, True, events, message.root_ts)
        self.story.posts.append(post)
        return post

    def _delete(self, post: Post) -> Delivery:
        _, (post.deletion, *_) = self._held(self.stage.world.slack.delete(post.message))
        post.deleted = True
        self.stage.deleted += post.mentions
        return post.deletion

    def _held(self, doing: Coroutine[Any, Any, T]) -> tuple[T, list[Delivery]]:
        """Do something and keep back the events it makes."""

        async def hold() -> tuple[T, list[Delivery]]:
            async with self.stage.world.slack.holding() as held:
                result = await doing
            return result, list(held)

        result, events = self.stage.call(hold())
        self.story.pending += events
        self.stage.steps += 1
        return result, events

    def _thread(self, data: st.DataObject) -> str | None:
        roots = [post.message.ts for post in self.live if not post.message.is_reply]
        return data.draw(st.sampled_from([None, *roots]), label="thread")

    def _may_go(self, post: Post) -> bool:
        """True unless others wrote in the thread it began: what becomes of those isn't asked here."""
        return all(other is post or other.thread != post.message.ts for other in self.story.posts)

    def _deliver(self, deliveries: list[Delivery], *, at_once: bool) -> None:
        for delivery in deliveries:
            self._note(delivery)
            if delivery in self.story.pending:
                self.story.pending.remove(delivery)
                self.story.sent.append(delivery)
        self.stage.copies += len(deliveries)
        slack = self.stage.world.slack
        if at_once:
            self.stage.call(_together([slack.deliver(delivery) for delivery in deliveries]))
        else:
            self.stage.call(slack.deliver(*deliveries))

    def _note(self, delivery: Delivery) -> None:
        """Remember which deletions are told of before what they delete."""
        for post in self.story.posts:
            if post.deletion is delivery and delivery in self.story.pending:
                kin = [other for other in self.story.posts if other.gesture == post.gesture]
                post.deleted_unheard = all(event in self.story.pending for other in kin for event in other.events)

    def _problems(self) -> list[str]:
        history = history_of(self.stage.world.slack, [post.message for post in self.story.posts])
        answers: dict[str, int] = {}
        for said in history.said:
            answers[said.key or "?"] = answers.get(said.key or "?", 0) + 1
        problems = [f"{said.ts} is left unfinished" for said in judge(history).unfinished]
        for gesture in {post.gesture for post in self.story.posts}:
            kin = [post for post in self.story.posts if post.gesture == gesture]
            count = sum(answers.pop(f"{p.message.channel_id}:{p.message.ts}", 0) for p in kin)
            least, most = _expected(kin)
            self.stage.mentions += least
            if not least <= count <= most:
                problems.append(f"{count} answers to {[post.message.ts for post in kin]}, not {least} to {most}")
        return problems + [f"{count} {ANSWER} to {key}" for key, count in answers.items()]

    def _told(self) -> list[str]:
        """Return what was delivered, in order: the least story that shows a fault, once Hypothesis has shrunk it."""
        return [
            f"{d.event['type']} {d.event.get('subtype', '')} {d.event.get('deleted_ts') or d.event['ts']} × {d.attempts}"
            for d in self.story.sent
        ]


def _expected(kin: list[Post]) -> tuple[int, int]:
    """Return how many answers a gesture may have: its message, and the phantoms of it."""
    if not any(post.mentions for post in kin):
        return 0, 0
    if any(post.mentions and not post.deleted for post in kin):
        return 1, 1
    if all(post.deleted_unheard for post in kin):
        return 0, 0
    return 0, 1  # answered before it was deleted, or not


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size = SIZES[scale]
    async with open_world("t07", sabotage=sabotage, posts_per_second=1000) as world:
        world.slack.workspace.deliveries.retry_delays_s = [0.5, 2.0, 5.0, 10.0]
        world.openai.text = TRUE_WORDS
        dice, slowly = random.Random(seed), thinks(world.openai, THINKS_S)
        world.openai.trouble = lambda path: slowly if path == CHAT and dice.random() < THINKS_SHARE else None
        settings = {"post_interval_s": 0.01, "worker_stall_s": 2} | written_by_openai(world)
        process = await world.start("run", keep_up=True, settings=settings)
        crowd = Crowd(world.slack, channels=1, seed=seed)
        await crowd.share_handbook()
        stage = Stage(world, crowd, process, asyncio.get_running_loop(), size.restarts)
        found = await asyncio.to_thread(_tell, stage, size, seed, shrink=scale is Scale.FULL)
        figures = [
            Figure("stories", "stories told", stage.stories, at_least=size.stories),
            Figure("mentions", "live mentions in them", stage.mentions, at_least=1),
            Figure("deletions", "mentions deleted", stage.deleted),
            Figure("copies", "events delivered", stage.copies),
            Figure(
                "wrong", "stories with other than one answer a live mention", bool(found), at_most=0, of=stage.stories
            ),
        ]
        return Result(NUMBER, TITLE, scale.value, seed, figures, found)


def _tell(stage: Stage, size: Size, seed: int, *, shrink: bool) -> list[str]:
    """Tell stories until one goes wrong; return what Hypothesis says of that one, [] when none did."""
    machine = hypothesis.seed(seed)(type("Told", (Stories,), {"stage": stage}))
    settings = hypothesis.settings(
        max_examples=size.stories,
        stateful_step_count=size.steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck),
    )
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            run_state_machine_as_test(machine, settings=settings)
    except AssertionError as error:
        notes = getattr(error, "__notes__", [])
        return [line for text in (str(error), said.getvalue(), *notes) for line in text.splitlines()]
    return []


async def _idle(world: World) -> None:
    """Return when the bot has nothing left to do."""
    async with asyncio.timeout(90):
        while await world.postgres.value(_UNFINISHED):
            await asyncio.sleep(0.03)


async def _together(doings: list[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*doings)


_UNFINISHED = "SELECT count(*) FROM work WHERE state IN ('queued', 'running', 'stopping')"
