"""Hostile text and JSON in everything that reads text, and against the running bot: nothing fails, nothing hangs.

First each text goes through every function that reads text of others in the bot's process, and long texts that repeat
one thing are timed there. Then the whole bot gets them over HTTP: as Slack's events, signed and not, and at the API.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from bot.playground.reading import is_settled
from bot.slack.http import EVENTS_PATH
from tests.attacks import sabotage as controls
from tests.attacks.hostile_text import bombs, json_value, string
from tests.attacks.knocks import FORM, JSON, Answer, Knock, event_body, knock_all, signed, statuses, to_bytes
from tests.attacks.program import command_output, errors_in, start
from tests.attacks.readers import READERS
from tests.faults.processes import BotProcess
from tests.faults.report import Figure, Result, Scale
from tests.faults.world import World, open_world

NUMBER, TITLE = 9, "hostile text and JSON"
SABOTAGES = {"linear": "slowest_s", "clean": "server_errors", "signature": "unsigned"}

SLOWEST_S = 1.5
SLOWEST_REQUEST_S = 30
_EVIDENCE = 10
_BUTTONS = (
    "nearest_passages",
    "find_more",
    "documents_more",
    "document_show",
    "document_delete",
    "document_retry",
    "x",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How many texts go through the functions, how long the long ones are, and how much goes over HTTP."""

    texts: int
    bomb_chars: int
    events: int
    calls: int
    questions: int


SIZES = {
    Scale.QUICK: Size(1_000, 6_000, 200, 150, 8),
    Scale.FULL: Size(10_000, 60_000, 2_000, 1_500, 60),
    Scale.SELFTEST: Size(100, 8_000, 60, 120, 2),
}


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    size, dice = SIZES[scale], random.Random(seed)
    if sabotage in {None, "linear"}:
        controls.switch_off(sabotage)
    figures, evidence = _read(size, dice)
    if sabotage != "linear":
        found, said = await _knock(size, dice, sabotage)
        figures, evidence = figures + found, evidence + said
    return Result(NUMBER, TITLE, scale.value, seed, figures, evidence)


def _read(size: Size, dice: random.Random) -> tuple[list[Figure], list[str]]:
    """Return what became of texts in the functions, and the longest time of one call, by this process's clock."""
    failures: list[str] = []
    for _ in range(size.texts):
        text = string(dice)
        for name in READERS:
            failures += _failure_of(name, text)
    times = []
    for what, bomb in bombs(size.bomb_chars).items():
        for name in READERS:
            began = time.process_time()
            failures += _failure_of(name, bomb)
            times.append((time.process_time() - began, f"{name} on {what}"))
    slowest = sorted(times, reverse=True)[:3]
    read = len(READERS) * (size.texts + len(times) // len(READERS))
    return [
        Figure("texts", f"hostile texts, each read by {len(READERS)} functions", size.texts),
        Figure("exceptions", "that a function failed on", len(failures), at_most=0, of=read),
        Figure(
            "slowest_s", f"longest call on {size.bomb_chars:,} characters of anything", slowest[0][0], "s", SLOWEST_S
        ),
    ], [*failures[:_EVIDENCE], *(f"{seconds:.2f} s: {what}" for seconds, what in slowest)]


def _failure_of(name: str, text: str) -> list[str]:
    try:
        READERS[name](text)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        return [f"{name}: {type(error).__name__} on {text[:80]!r}"]
    return []


async def _knock(size: Size, dice: random.Random, sabotage: str | None) -> tuple[list[Figure], list[str]]:
    """Return what the running bot answered."""
    async with open_world("attacks-t09", posts_per_second=1_000) as world:
        slack = world.slack
        slack.add_channel("quay", members=[slack.add_user("Ana")])
        settings = {"slack_app_token": None, "slack_signing_secret": slack.signing_secret}
        process = await start(world, "run", settings=settings, sabotage=sabotage)
        key = (
            await command_output(world, "keys", "create", "--email", "a@harbour.test", "--name", "A", "--admin")
        ).strip()
        bodies = list(_events(world, size.events, dice))
        acknowledged = await knock_all(
            process.url, [signed("event", body, secret=slack.signing_secret) for body in bodies]
        )
        unsigned = await knock_all(process.url, [signed("unsigned", body, secret="another") for body in bodies])
        odd = await knock_all(process.url, list(_odd_requests(world, size.events, dice)))
        called = await knock_all(process.url, list(_calls(key, size.calls, dice)))
        unanswered = await _ask(world, process, size.questions, dice)
        everything = [*acknowledged, *unsigned, *odd, *called]
        failed = [answer for answer in everything if answer.status == 0 or answer.status >= 500]
        errors = errors_in(process)

    def none(name: str, title: str, value: int, of: int) -> Figure:
        return Figure(name, title, value, at_most=0, of=of)

    slowest = max(answer.seconds for answer in everything)
    figures = [
        none("server_errors", "requests answered with 5xx or not at all", len(failed), len(everything)),
        none("unacknowledged", "signed events not acknowledged", _other_than(acknowledged, 200), len(acknowledged)),
        none("unsigned", "unsigned ones not turned away with 401", _other_than(unsigned, 401), len(unsigned)),
        none("unanswered", "hostile questions and searches without an answer", unanswered, 2 * size.questions),
        none("errors", "errors in the log", len(errors), len(everything)),
        Figure("slowest_request_s", "longest request", slowest, "s", SLOWEST_REQUEST_S),
    ]
    told = [f"{answer.knock.what}: {answer.status} {answer.knock.body!r}"[:400] for answer in failed[:_EVIDENCE]]
    return figures, [f"odd: {statuses(odd)}, API: {statuses(called)}", *told, *(line[:1_500] for line in errors[:3])]


def _events(world: World, count: int, dice: random.Random) -> Iterator[bytes]:
    """Yield events as Slack shapes them, with hostile text in them."""
    for number in range(count):
        text = string(dice) * (200 if number % 50 == 0 else 1)
        more = {"type": dice.choice(("message", "app_mention")), "text": text}
        if dice.random() < 0.3:
            more["client_msg_id"] = string(dice)
        if dice.random() < 0.3:
            more["blocks"] = json_value(dice)
        yield to_bytes(event_body(world.slack, f"Ev{number}", channel="C0NOWHERE", **more))


def _odd_requests(world: World, count: int, dice: random.Random) -> Iterator[Knock]:
    """Yield signed requests that hold anything anywhere: events, commands and clicks."""
    secret = world.slack.signing_secret
    for number in range(count):
        body = event_body(world.slack, f"EvOdd{number}", channel="C0NOWHERE")
        for _ in range(dice.randint(1, 3)):
            place = dice.choice((body, body["event"])) if isinstance(body.get("event"), dict) else body
            place[dice.choice((*place, "files", "subtype", "message", "previous_message", "x"))] = json_value(dice)
        match number % 4:
            case 0 | 1:
                yield signed("odd event", to_bytes(body), secret=secret)
            case 2:
                form = {"command": "/docs", "team_id": "T1", "user_id": "U1", "channel_id": "C1", "trigger_id": "1"}
                form["response_url"] = world.slack.url
                form |= {"text": string(dice), dice.choice((*form, "x")): string(dice)}
                data = urlencode(form, errors="surrogatepass").encode()
                yield signed("odd command", data, secret=secret, content_type=FORM)
            case _:
                click = {
                    "type": "block_actions",
                    "actions": json_value(dice),
                    "user": json_value(dice),
                    "team": json_value(dice),
                }
                data = urlencode({"payload": json.dumps(click)}, errors="surrogatepass").encode()
                yield signed("odd click", data, secret=secret, content_type=FORM)


def _click(world: World, dice: random.Random) -> dict[str, Any]:
    """Return a click on a button of ours, with something odd about it."""
    action = {"action_id": dice.choice(_BUTTONS), "block_id": "b", "type": "button", "value": json_value(dice)}
    if dice.random() < 0.5:
        action["value"] = dice.choice(
            (string(dice), json.dumps(json_value(dice)), json.dumps({"words": 1, "offset": "x"}))
        )
    click = {
        "type": "block_actions",
        "actions": [action],
        "user": {"id": world.slack.store.user("Ana").id},
        "team": {"id": world.slack.store.team_id},
        "channel": {"id": world.slack.store.channel("quay").id},
        "container": {"type": "message"},
        "response_url": world.slack.url,
    }
    if dice.random() < 0.5:
        click[dice.choice(("actions", "user", "team", "channel", "container"))] = json_value(dice)
    return click


def _calls(key: str, count: int, dice: random.Random) -> Iterator[Knock]:
    """Yield calls of the API with hostile words, JSON, addresses and files."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": JSON}

    def post(path: str, payload: object) -> Knock:
        return Knock(path, path, "POST", json.dumps(payload).encode(), headers)

    yield _upload(key, "word.txt", "a" * 200_000)
    yield _upload(key, "lines.md", "# a\n" * 5_000)
    yield post("/v1/search", {"query": "a" * 7_999})
    yield post("/v1/ask", {"question": "When \x00 do we open?"})
    for number in range(count):
        text = string(dice)
        match number % 8:
            case 0 | 1 | 2:
                yield post("/v1/search", {"query": text[:8_000], "limit": dice.choice((1, 8, 100))})
            case 3:
                yield post("/v1/ask", {"question": text})
            case 4:
                yield post(dice.choice(("/v1/search", "/v1/ask", "/v1/users")), json_value(dice))
            case 5:
                yield post("/v1/users", {"name": text, "email": f"{number}@harbour.test", "create_key": True})
            case 6:
                query = f"after={quote(text, errors='replace')}&status={quote(text[:9], errors='replace')}"
                where = dice.choice(
                    (f"/v1/documents?{query}", f"/v1/documents/{quote(text, safe='', errors='replace')}")
                )
                yield Knock("/v1/documents", where, "GET", None, headers)
            case _:
                yield _upload(key, text, text)


def _upload(key: str, filename: str, content: str) -> Knock:
    """Return an upload of a text file; the form is written by hand, so that any name can stand in it."""
    name = filename.encode("utf-8", "replace").translate(None, b'\r\n"\\\x00') or b"x"
    lines = (
        b"--edge",
        b'Content-Disposition: form-data; name="file"; filename="' + name[:200] + b'.txt"',
        b"Content-Type: text/plain",
        b"",
        content.encode("utf-8", "surrogatepass"),
        b"--edge--",
        b"",
    )
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "multipart/form-data; boundary=edge"}
    return Knock("upload", "/v1/documents", "POST", b"\r\n".join(lines), headers)


async def _ask(world: World, process: BotProcess, count: int, dice: random.Random) -> int:
    """Ask hostile questions and search for hostile words in Slack; return how many got no answer."""
    slack = world.slack
    await slack.deliver_over_http(process.url + EVENTS_PATH)
    unanswered = 0
    for _ in range(count):
        words = string(dice)[:2_000] + " when?"
        try:
            question = await slack.mention("Ana", "quay", words)
            await slack.wait_for_reply("quay", question.ts, until=is_settled, timeout=60)
        except TimeoutError:
            unanswered += 1
        try:
            at = await slack.command("Ana", "quay", "/find", words)
            await slack.wait_for_ephemeral("Ana", "quay", after=at, timeout=60)
        except TimeoutError:
            unanswered += 1
    return unanswered


def _other_than(answers: Sequence[Answer], status: int) -> int:
    return sum(answer.status != status for answer in answers)
