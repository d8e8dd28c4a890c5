"""Secrets in the settings, and a session at DEBUG in which all goes wrong: they stand in no log, reply or table.

Every secret is of this run's making. The bot answers, fails at Slack, the model and the database, is called with keys in
the wrong places, and ends. Then all it wrote is searched: for the secrets as they are, percent-encoded, in Base64 and in
hexadecimal digits. So are those of a bot that workspaces let in by OAuth: of its token the tables hold what is sealed alone.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled
from bot.slack.installing import REDIRECT_PATH
from tests.attacks.injections import QUESTION, SENTENCE
from tests.attacks.knocks import JSON, Knock, event_body, knock_all, signed, to_bytes
from tests.attacks.program import command_said, start
from tests.attacks.sent import Recorder
from tests.attacks.sign_ins import TEAM_ID, House, open_house
from tests.fakes import Reply
from tests.faults.report import Figure, Result, Scale
from tests.faults.world import World, open_world, written_by_openai

NUMBER, TITLE = 15, "secrets in logs, replies and tables"
SABOTAGES = {"redaction": "log_hits", "key_hash": "dump_hits", "talk": "reply_hits", "seal": "dump_hits"}

ROUNDS = {Scale.QUICK: 1, Scale.FULL: 5, Scale.SELFTEST: 1}
_TIMEOUT_S = 120
_TABLES = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
     WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""


@dataclass(frozen=True, slots=True)
class Seeded:
    """The secrets of one run, by name."""

    values: dict[str, str]

    def hits(self, text: str) -> list[str]:
        """Return the names of secrets that stand in a text in any form."""
        low = text.lower()
        return [
            name for name, value in self.values.items() if any(form in text or form in low for form in _forms(value))
        ]


async def run(scale: Scale, seed: int, *, sabotage: str | None = None) -> Result:
    async with open_world("attacks-t15", posts_per_second=1_000) as world:
        slack = world.slack
        seeded, settings = _seeded(world)
        recorder = Recorder(slack)
        process = await start(world, "run", settings=settings, sabotage=sabotage)
        new = ("keys", "create", "--email", "ana@harbour.test", "--name", "Ana")
        shown = await command_said(world, *new, settings=settings, sabotage=sabotage)
        key = shown.split()[-1]
        seeded.values["api key"] = key.split("_", 3)[3]
        said = [shown.replace(key, "")]  # shown this once, on purpose
        lab = Session(world, process.url, key, slack.signing_secret)
        await lab.furnish()
        for _ in range(ROUNDS[scale]):
            await lab.go_through()
        for arguments, wrong in _mistakes(seeded):
            said.append(await command_said(world, *arguments, settings=settings | wrong, sabotage=sabotage))
        ended = await process.terminate()
        logs = [
            process.log.read_text(errors="replace"),
            *said,
            await _let_in_by_oauth(world, lab, seeded, sabotage=sabotage),
        ]
        replies = [str(sent.message) for sent in recorder.sent()] + [str(call.args) for call in slack.calls]
        rows = [row async for row in _dump(world)]
        sealed = await world.postgres.value("SELECT count(*) FROM installations WHERE get_byte(bot_token, 0) = 1")
        figures = [
            Figure("secrets", "secrets in the settings, and a key", len(seeded.values)),
            _none("log_hits", "of them in the logs at DEBUG, and what commands print", logs, seeded),
            _none("reply_hits", "in what was said in Slack and over HTTP", [*replies, *lab.heard], seeded),
            _none("dump_hits", "in a dump of every table", rows, seeded),
            Figure("sealed", "workspaces whose token stands there sealed", int(sealed), at_least=1),
            Figure("lines", "lines of log", sum(text.count("\n") for text in logs), at_least=20),
            Figure("replies", "replies", len(replies) + len(lab.heard), at_least=10),
            Figure("rows", "rows", len(rows), at_least=20),
            Figure("code", "exit code at the end", abs(ended.code), at_most=0),
        ]
        where = [f"{name}: {text[:300]}" for text in (*logs, *replies, *lab.heard, *rows) for name in seeded.hits(text)]
        return Result(NUMBER, TITLE, scale.value, seed, figures, where[:10])


class Session:
    """What people and programs do with the bot, and what goes wrong meanwhile."""

    def __init__(self, world: World, url: str, key: str, signing_secret: str) -> None:
        self.heard: list[str] = []
        self._world, self._slack = world, world.slack
        self._url, self._key, self._signing_secret = url, key, signing_secret

    async def furnish(self) -> None:
        """Share the handbook."""
        self._slack.add_channel("quay", members=[self._slack.add_user("Ana")])
        root = await self._slack.share(
            "Ana", "quay", ("handbook.md", f"# Mooring\n\n{SENTENCE}\n".encode(), "text/markdown")
        )
        await self._slack.wait_for_reply("quay", root.ts, until=is_settled, timeout=_TIMEOUT_S)

    async def go_through(self) -> None:
        """Ask while all is well, then while each thing in turn is not."""
        slack, openai = self._slack, self._world.openai
        openai.text = f"{SENTENCE} [1]"
        await self._ask()
        for command, words in (("/ask", QUESTION), ("/find", "mooring"), ("/docs", "list"), ("/docs", "show x")):
            at = await slack.command("Ana", "quay", command, words)
            await slack.wait_for_ephemeral(
                "Ana", "quay", after=at, until=lambda m: m.text != "Looking …", timeout=_TIMEOUT_S
            )
        openai.script.append(_echoes_key(401, "invalid_api_key"))
        await self._ask()
        openai.script.append(_echoes_key(400, "bad_request"))
        await self._ask()
        slack.faults.refuse("chat.startStream", f"not_allowed: {slack.bot_token}")  # by a proxy that says too much
        await self._ask()
        slack.disable("chat.startStream", "files.info")
        await self._ask()
        slack.enable("chat.startStream", "files.info")
        await self._knock()
        self._world.database.reset()
        await self._ask()

    async def _ask(self) -> None:
        question = await self._slack.mention("Ana", "quay", QUESTION)
        with contextlib.suppress(TimeoutError):  # what nobody answers is for other tests to find
            await self._slack.wait_for_reply("quay", question.ts, until=is_settled, timeout=_TIMEOUT_S)

    async def _knock(self) -> None:
        key, bearer = self._key, {"Authorization": f"Bearer {self._key}", "Content-Type": JSON}
        event = to_bytes(event_body(self._slack, "EvSecret"))
        knocks = [
            Knock("key", "/v1/users/me", "GET", None, bearer),
            Knock("ask", "/v1/ask", body=b'{"question": "What does mooring a boat cost a night?"}', headers=bearer),
            Knock("key in the path", f"/v1/documents/{key}", "GET", None, bearer),
            Knock("key in the query", f"/v1/documents?after={key}", "GET", None, bearer),
            Knock("key of another scheme", "/v1/users/me", "GET", None, {"Authorization": f"Basic {key}"}),
            Knock("key nowhere", f"/{key}/{self._signing_secret}", "GET", None, {}),
            Knock("key as a channel", "/v1/search", body=f'{{"query": "x", "{key}": 1}}'.encode(), headers=bearer),
            Knock("secret as a signature", body=event, headers={"X-Slack-Signature": self._signing_secret}),
            signed("secret as a name", b'{"event": "' + key.encode() + b'"}', secret=self._signing_secret),
            signed("true", event, secret=self._signing_secret),
        ]
        answers = await knock_all(self._url, knocks)
        self.heard += [answer.text for answer in answers if answer.knock.what not in _ECHOES]


async def _let_in_by_oauth(world: World, lab: Session, seeded: Seeded, *, sabotage: str | None) -> str:
    """Let the bot into a workspace by OAuth, go wrong with it, and return its log; its secrets join the seeded ones."""
    settings = {"log_level": "DEBUG"}
    async with open_house(world, settings=settings, sabotage=sabotage) as house:
        client_secret, key = house.slacks.client_secret, house.token_key
        answer = await house.install()
        (token,) = house.slacks.workspaces[TEAM_ID].tokens.grants
        seeded.values.update(
            {
                "client secret": client_secret,
                "token key": key,
                "token key's bytes": base64.b64decode(key).hex(),
                "workspace's token": token,
            }
        )
        house.slacks.faults.refuse("oauth.v2.access", "invalid_code")
        sign_in = await house.begin()
        knocks = [
            await house.allow(sign_in),
            Knock("secrets in a sign-in", f"{REDIRECT_PATH}?state={client_secret}&code={token}", "GET", None, {}),
            Knock("secrets in the path", f"/{token}/{client_secret}/{quote(key, safe='')}", "GET", None, {}),
        ]
        answers = [answer, *await knock_all(house.process.url, knocks)]
        lab.heard += [one.text for one in answers]
        await _ask_by_oauth(house, lab)
        await house.process.terminate()
        return house.process.log.read_text(errors="replace")


async def _ask_by_oauth(house: House, lab: Session) -> None:
    """Ask in a workspace that let the bot in, then once more when its token is worth nothing."""
    await house.slacks.deliver_over_http(f"{house.process.url}/slack/events")
    slack = house.slacks.workspaces[TEAM_ID]
    question = await slack.mention("Ada", "general", QUESTION)
    reply = await slack.wait_for_reply("general", question.ts, until=is_settled, timeout=_TIMEOUT_S)
    lab.heard.append(str(reply))
    slack.tokens.grants.clear()
    await slack.mention("Ada", "general", QUESTION)
    await slack.settle()


_ECHOES = frozenset({"key as a channel"})
"""What names the fields of the caller's own request."""


def _seeded(world: World) -> tuple[Seeded, dict[str, object]]:
    """Return the run's secrets and the settings that hold them."""
    password, key = secrets.token_urlsafe(18), f"sk-proj-{secrets.token_urlsafe(24)}"
    address, owner = (
        str(world.environment()[name]).replace("@127.0.0.1", f":{part}@127.0.0.1")
        for name, part in (("DATABASE_URL", password), ("DATABASE_OWNER_URL", password + "-owner"))
    )
    slack: LocalSlack = world.slack
    values = {
        "bot token": slack.bot_token,
        "app token": slack.app_token,
        "signing secret": slack.signing_secret,
        "model's key": key,
        "database password": password,
    }
    settings = written_by_openai(world) | {
        "openai_api_key": key,
        "slack_signing_secret": slack.signing_secret,
        "database_url": address,
        "database_owner_url": owner,
        "log_level": "DEBUG",
    }
    return Seeded(values), settings


def _mistakes(seeded: Seeded) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
    """Yield commands that fail, and the settings that they fail by."""
    nowhere = f"bot:{seeded.values['database password']}@127.0.0.1:1/none"
    yield ("doctor",), {}
    yield ("run",), {"database_url": f"postgresql://{nowhere}", "database_owner_url": f"postgresql://{nowhere}"}
    yield ("run",), {"database_url": f"mysql://{nowhere}"}
    yield ("run",), {"slack_app_token": seeded.values["bot token"], "slack_bot_token": seeded.values["app token"]}
    yield ("keys", "list", "--email", "nobody@harbour.test"), {}


async def _dump(world: World) -> AsyncIterator[str]:
    """Yield every row of every table as text, bytes in hexadecimal digits."""
    for table in await world.postgres.fetch(_TABLES):
        for row in await world.postgres.fetch(f"SELECT t::text AS row FROM {table['name']} t"):
            yield f"{table['name']}: {row['row']}"


def _none(name: str, title: str, texts: Sequence[str], seeded: Seeded) -> Figure:
    hits = sum(len(seeded.hits(text)) for text in texts)
    return Figure(name, title, hits, at_most=0, of=len(texts))


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may stand in a text; in Base64 at each of the three places it can begin in a group."""
    yield secret
    yield quote(secret, safe="")
    yield secret.encode().hex()
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + secret.encode()).decode().rstrip("=")
        yield encoded[4 if shift else 0 : -2]


def _echoes_key(status: int, code: str) -> Reply:
    """Return a refusal that repeats the key, as OpenAI's do."""

    async def reply(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        error = {"message": f"Incorrect API key provided: {key}.", "type": "error", "code": code, "param": None}
        return web.json_response({"error": error}, status=status)

    return reply
