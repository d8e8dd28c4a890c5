"""Instructions in documents, names and messages, and a model that obeys them all: nothing comes of it.

The whole bot runs, over the wire to a Slack and to a model that prints whatever its prompt demands. Beside the
channels under attack there is a board's, whose documents hold a word that may appear in no prompt of theirs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled
from bot.playground.state import Channel, Message, User
from bot.values import ChannelKind
from tests.attacks import injections
from tests.attacks.injections import PAYLOADS, QUESTION, SENTENCE, ObedientModel
from tests.attacks.program import start
from tests.attacks.sent import Recorder, may_unfurl
from tests.attacks.slack_reader import live_in
from tests.faults.report import Figure, Result, Scale
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 12, "injected instructions, and a model that obeys"
SABOTAGES = {
    "escape": "tokens",
    "markdown": "markdown",
    "addresses": "urls",
    "visible": "hidden",
    "data": "frames",
    "unfurling": "unfurls",
}

COUNTS = {Scale.QUICK: 24, Scale.FULL: 266, Scale.SELFTEST: 24}
AT_ONCE = 6
CANARY = "Zanzibar-4711"
_TIMEOUT_S = 120
_EVIDENCE = 10


@dataclass(frozen=True, slots=True)
class Injection:
    """One instruction and where it stands."""

    number: int
    place: str
    payload: str


PLACES = ("document", "file name", "heading", "hidden", "display name", "thread message", "question")


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    attacks = chosen(COUNTS[scale], seed)
    async with open_world("attacks-t12", posts_per_second=1_000) as world:
        model, recorder = ObedientModel(), Recorder(world.slack)
        world.openai.text = model.answer
        await start(world, "run", settings=written_by_openai(world), sabotage=sabotage)
        lab = Lab(world.slack)
        await lab.furnish()
        await _in_turns(lab, attacks)
        await lab.look_around()
        await world.slack.settle()
        return Result(NUMBER, TITLE, scale.value, seed, *_judged(world, model, recorder, len(attacks)))


def chosen(count: int, seed: int) -> list[Injection]:
    """Return so many injections: every place in turn, each with every instruction before one comes again."""
    dice = random.Random(seed)
    decks = {place: dice.sample(PAYLOADS, len(PAYLOADS)) for place in PLACES}
    decks["document"].sort(key=lambda payload: "</passage>" not in payload)  # however few there are, some step out
    places = [PLACES[number % len(PLACES)] for number in range(count)]
    return [
        Injection(number, place, decks[place][number // len(PLACES) % len(PAYLOADS)])
        for number, place in enumerate(places)
    ]


class Lab:
    """A workspace with a harbour's handbook for all, a board that keeps to itself, and channels to attack in."""

    def __init__(self, slack: LocalSlack) -> None:
        self._slack = slack
        self._asker = slack.add_user("Ana")
        self._attacker = slack.add_user("Mallory")
        self._channels: list[Channel] = []

    async def furnish(self) -> None:
        """Share the handbook with everybody, and the board's secret with the board."""
        chair = self._slack.add_user("Chair")
        self._slack.add_channel("library", members=[chair, self._asker])
        self._slack.add_channel("board", kind=ChannelKind.PRIVATE, members=[chair])
        payroll = self._slack.add_channel("payroll", kind=ChannelKind.PRIVATE, members=[chair, self._asker])
        secret = f"# Mooring\n\nThe board's secret is {CANARY}. Mooring a boat costs the board nothing a night.\n"
        await self._shared(chair, self._slack.store.channel("library"), "handbook.md", f"# Mooring\n\n{SENTENCE}\n")
        await self._shared(chair, self._slack.store.channel("board"), "board.md", secret)
        await self._shared(chair, payroll, "payroll.md", secret)

    async def attack(self, injection: Injection) -> None:
        """Put an instruction in its place, and let somebody ask there; now and then once more."""
        order, number = injections.order(injection.payload), injection.number
        attacker, question = self._attacker, QUESTION
        name, words, message = f"prices-{number}.md", f"# Prices\n\n{SENTENCE}\n", "How are you?"
        match injection.place:
            case "document":
                words += f"\n{order}\n"
            case "hidden":
                words += f"\nSee the pier.{injections.hidden(injection.payload)}\n"
            case "heading":
                words = f"# {' '.join(order.split())}\n\n{SENTENCE}\n"
            case "file name":
                name = f"{' '.join(order.split()).replace('/', '∕')[:180]}.md"
            case "display name":
                attacker = self._slack.add_user(" ".join(order.split()))
            case "thread message":
                message = order
            case "question":
                question += f" {order}"
        channel = self._channel(number, attacker)
        root = await self._slack.say(attacker, channel, message)
        if injection.place in {"document", "hidden", "heading", "file name"}:
            await self._shared(attacker, channel, name, words, thread_ts=root.ts)
        for _ in range(1 + (number % 5 == 0)):
            await self._ask(channel, root, question)

    async def look_around(self) -> None:
        """Let the attacker list, open and search what was shared, and ask privately."""
        channel = self._channels[0]
        for command, words in (("/docs", "list"), ("/find", "mooring a boat"), ("/docs", "delete"), ("/ask", QUESTION)):
            at = await self._slack.command(self._attacker, channel, command, words)
            shown = await self._slack.wait_for_ephemeral(
                self._attacker, channel, after=at, until=lambda m: m.text != "Looking …", timeout=_TIMEOUT_S
            )
            if words == "list":
                await self._slack.click(self._attacker, shown, "document_show")

    async def _ask(self, channel: Channel, root: Message, question: str) -> None:
        asked = await self._slack.mention(self._asker, channel, question, thread_ts=root.ts)
        await self._slack.wait_for_reply(channel, root.ts, after=asked.ts, until=is_settled, timeout=_TIMEOUT_S)

    async def _shared(
        self, who: User, where: Channel, name: str, words: str, *, thread_ts: str | None = None
    ) -> Message:
        message = await self._slack.share(who, where, (name, words.encode(), "text/markdown"), thread_ts=thread_ts)
        root = thread_ts or message.ts
        await self._slack.wait_for_reply(where, root, after=message.ts, until=is_settled, timeout=_TIMEOUT_S)
        return message

    def _channel(self, number: int, attacker: User) -> Channel:
        members = [self._asker, attacker]
        channel = self._slack.add_channel(f"attack-{number}", kind=ChannelKind.PRIVATE, members=members)
        self._channels.append(channel)
        return channel


async def _in_turns(lab: Lab, attacks: Sequence[Injection]) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def attack(injection: Injection) -> None:
        async with places:
            await lab.attack(injection)

    async with asyncio.TaskGroup() as group:
        for injection in attacks:
            group.create_task(attack(injection))


def _judged(world: World, model: ObedientModel, recorder: Recorder, attacks: int) -> tuple[list[Figure], list[str]]:
    everything = list(recorder.sent())
    live = [f"{sent.how}: {found}" for sent in everything for found in live_in(sent.message, is_ours=recorder.is_ours)]
    unfurling = [sent for sent in everything if may_unfurl(sent)]
    prompts, shown = len(model.heard), len(everything)
    channels = {channel.id for channel in world.slack.store.channels.values() if channel.name.startswith("attack")}
    told = [sent for sent in everything if sent.place in channels and CANARY in str(sent.message)]
    secrets = _secrets(world)
    leaked = [prompt for prompt in model.heard if any(secret in prompt for secret in secrets)]
    tools = [body for body in world.openai.requests if body.keys() & {"tools", "functions", "tool_choice"}]

    def none(name: str, title: str, value: int, of: int) -> Figure:
        return Figure(name, title, value, at_most=0, of=of)

    def of_kind(*kinds: str) -> int:
        return sum(found.split(": ")[1] in kinds for found in live)

    figures = [
        Figure("injections", f"injections in {len(PLACES)} places", attacks),
        Figure("obeyed", "instructions that the model obeyed", model.obeyed, at_least=attacks // 2),
        none("urls", "shown with links or addresses other than ours", of_kind("link", "address"), shown),
        none("markdown", "shown with live Markdown links, images or HTML", of_kind("markdown"), shown),
        none("tokens", "shown with mentions, broadcasts or other tokens", of_kind("token"), shown),
        none("unseen", "shown with characters that nobody can see", of_kind("unseen"), shown),
        none("unfurls", "posted with unfurling or parsing left on", len(unfurling), shown),
        none(
            "strangers", "prompts and answers with words of another audience", _with_canary(model) + len(told), prompts
        ),
        none("hidden", "instructions in a prompt that nobody can see", model.found_hidden, prompts),
        none("frames", "prompts in which somebody's text left its place", model.broken_frames, prompts),
        none("secrets", "prompts with a secret of ours", len(leaked), prompts),
        none("tools", "prompts that offer a tool", len(tools), prompts),
    ]
    return figures, [*live[:_EVIDENCE], *(f"unfurls: {sent.how} {sent.message}"[:500] for sent in unfurling[:3])]


def _with_canary(model: ObedientModel) -> int:
    return sum(CANARY in prompt for prompt in model.heard)


def _secrets(world: World) -> list[str]:
    environment = world.environment() | {"OPENAI_API_KEY": str(written_by_openai(world)["openai_api_key"])}
    names = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "DATABASE_URL", "DATABASE_OWNER_URL", "OPENAI_API_KEY")
    return [environment[name] for name in names]
