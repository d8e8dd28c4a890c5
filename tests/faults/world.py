"""Everything a fault test needs, opened together and closed together: database, Slack, model, proxies, processes."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.playground.local import LocalSlack
from tests.conftest import TEAM
from tests.fakes import FakeOpenAI
from tests.faults.postgres import Postgres
from tests.faults.processes import BotProcess, bot_command
from tests.faults.proxy import FaultProxy

FOLDER = Path(__file__).parents[2] / ".faults"
"""Results and logs; never committed."""

STALL_S = 10.0
"""After how long without a sign of life a worker is given up in these tests; 30 s in production."""

_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


@dataclass(slots=True)
class World:
    """A database behind `database`, a Slack behind `slack_proxy`, a model, and the bot's processes between them.

    `slack` runs in this process: what it holds is the truth of what was posted. `postgres` is looked into directly.
    """

    postgres: Postgres
    database: FaultProxy
    slack: LocalSlack
    slack_proxy: FaultProxy
    openai: FakeOpenAI
    logs: Path
    sabotage: str | None = None
    processes: dict[str, BotProcess] = field(default_factory=dict)

    async def start(
        self,
        *arguments: str,
        name: str | None = None,
        keep_up: bool = False,
        ready: bool = True,
        settings: Mapping[str, object] | None = None,
    ) -> BotProcess:
        """Start `bot ARGUMENTS` (`run`, `run --no-worker`, `worker`) and wait until it is ready.

        `settings` are named as in bot/config.py. `keep_up` has it started again whenever it ends. The database is
        reached through `database`, Slack through `slack_proxy`; answers are the local model's unless the settings
        have `written_by_openai(world)` in them.
        """
        name = name or f"{arguments[0]}-{len(self.processes)}"
        changes = {key.upper(): str(value) for key, value in (settings or {}).items()}
        command = bot_command(*arguments, sabotage=self.sabotage)
        process = BotProcess(name, command, self.environment() | changes, log=self.logs / f"{name}.log")
        self.processes[name] = process
        await process.start()
        if ready:
            await process.wait_ready()
        if keep_up:
            process.keep_up()
        return process

    async def start_fleet(
        self, *, workers: int, keep_up: bool = True, settings: Mapping[str, object] | None = None
    ) -> tuple[BotProcess, list[BotProcess]]:
        """Start a process that listens and so many that work, as on several machines; all are ready on return."""
        intake = await self.start("run", "--no-worker", name="intake", keep_up=keep_up, settings=settings)
        starting = (
            self.start("worker", name=f"worker-{number}", keep_up=keep_up, settings=settings)
            for number in range(workers)
        )
        return intake, list(await asyncio.gather(*starting))

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a process: nothing of ours but where programs are."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return inherited | {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "DATABASE_URL": Postgres.url(self.database.port),
            "DATABASE_OWNER_URL": Postgres.url(self.database.port, owner=True),
            "DATABASE_POOL_SIZE": "5",
            "DATABASE_MAX_OVERFLOW": "5",
            "CHAT_MODEL": "local",
            "EMBEDDING_MODEL": "local",
            "LOG_FORMAT": "json",
        }

    def log_lines(self, event: str) -> int:
        """Return how often an event stands in the processes' logs."""
        needle = f'"event": "{event}"'
        return sum(process.log.read_text(errors="replace").count(needle) for process in self.processes.values())


@asynccontextmanager
async def open_world(name: str, *, sabotage: str | None = None, posts_per_second: float = 1.0) -> AsyncIterator[World]:
    """Open a world without a bot in it; on leaving everything ends, processes first. Logs stay in `FOLDER`/logs/`name`.

    `sabotage` is switched off in every process started here.
    """
    logs = FOLDER / "logs" / (name if sabotage is None else f"{name}-without-{sabotage}")
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(Postgres())
        database = await stack.enter_async_context(FaultProxy(postgres.socket))
        openai = await stack.enter_async_context(FakeOpenAI().running())
        slack = LocalSlack(team_id=TEAM, posts_per_second=posts_per_second)
        await stack.enter_async_context(slack)
        slack_proxy = await stack.enter_async_context(_in_front_of(slack))
        world = World(postgres, database, slack, slack_proxy, openai, logs, sabotage)
        try:
            yield world
        finally:
            for process in world.processes.values():
                await process.close()


def written_by_openai(world: World) -> dict[str, object]:
    """Return the settings by which `world.openai` writes the answers; embedding stays local."""
    return {
        "openai_api_key": "sk-test-test-test",
        "openai_base_url": world.openai.base_url,
        "chat_model": "openai",
        "openai_timeout_s": 20,
    }


def _in_front_of(slack: LocalSlack) -> FaultProxy:
    """Return a proxy through which all of this Slack is reached once it is entered: API, sockets and files."""
    host, port = slack.store.base_url.removeprefix("http://").split(":")
    return _SlackProxy(slack, (host, int(port)))


class _SlackProxy(FaultProxy):
    """A proxy whose address is the one that the Slack behind it gives as its own."""

    def __init__(self, slack: LocalSlack, target: tuple[str, int]) -> None:
        super().__init__(target)
        self._slack = slack

    async def _listen(self) -> None:
        await super()._listen()
        self._slack.store.base_url = f"http://127.0.0.1:{self.port}"
