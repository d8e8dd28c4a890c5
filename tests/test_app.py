"""The whole put together: which models are used, and what is said when something doesn't fit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot.app import running, working
from bot.config import Settings
from bot.errors import InvalidSettings
from bot.playground.demo import furnish
from bot.playground.local import LocalSlack
from bot.smoke import playground_settings, quoted_words
from tests.conftest import TEAM, Database, execute
from tests.fakes import FakeOpenAI
from tests.faults.processes import BotProcess
from tests.faults.world import World, open_world, written_by_openai
from tests.slack.acts import HANDBOOK, asked, shared

RED_S, GREEN_S = 10, 30
SAID_BY_ALL = {"database", "queue", "slack", "model", "process"}

Act = Callable[[World], Awaitable[None]]


def settings_for(slack: LocalSlack, database: Database, **changes: object) -> Settings:
    update = {"database_url": database.bot_url, "database_owner_url": database.owner_url}
    settings = playground_settings(Settings(_env_file=None), slack, home=None)
    return settings.model_copy(update={**update, "database_pool_size": 5, **changes})


async def test_a_changed_embedding_model_changes_nothing_and_is_said_in_the_log(database: Database) -> None:
    async with FakeOpenAI().running() as openai, LocalSlack(team_id=TEAM, posts_per_second=None) as slack:
        furnish(slack)
        update = {"database_url": database.bot_url, "database_owner_url": database.owner_url}
        settings = playground_settings(Settings(_env_file=None), slack, home=None).model_copy(update=update)
        async with running(settings):
            root = await shared(slack, HANDBOOK)
        key = {"openai_api_key": SecretStr("sk-test-test-test"), "openai_base_url": openai.base_url}
        with capture_logs() as logs:
            async with running(settings.model_copy(update={**key, "embedding_model": "openai", "chat_model": "local"})):
                reply = await asked(slack, "When does the office open?", root)

    ignored = [entry for entry in logs if entry["event"] == "embedding.setting_ignored"]
    assert ignored[0]["setting"] == "text-embedding-3-small"
    assert quoted_words(reply)
    assert openai.requests == []


async def test_without_tokens_it_says_what_is_missing() -> None:
    with pytest.raises(InvalidSettings) as error:
        async with running(Settings(_env_file=None)):
            pass

    assert "SLACK_BOT_TOKEN" in error.value.user_message
    assert "bot demo" in error.value.user_message


async def test_a_port_that_is_taken_is_named_and_everything_opened_is_closed(database: Database) -> None:
    async with LocalSlack(team_id=TEAM) as slack:
        update = {"database_url": database.bot_url, "database_owner_url": database.owner_url}
        port = int(slack.url.rstrip("/").rpartition(":")[2])
        settings = playground_settings(Settings(_env_file=None), slack, home=None)
        with pytest.raises(InvalidSettings, match="listen"):
            async with running(settings.model_copy(update={**update, "http_port": port})):
                pass


async def test_the_tables_of_a_newer_release_are_worked_on(database: Database) -> None:
    await execute(
        database.owner_url,
        "UPDATE alembic_version SET version_num = '9999'",
        "CREATE TABLE novelties (team_id text PRIMARY KEY)",
        *(
            f"ALTER TABLE {table} ADD COLUMN novelty text, ADD COLUMN shade text NOT NULL DEFAULT 'plain'"
            for table in ("work", "inbox", "messages", "documents", "document_chunks", "deliveries", "workspaces")
        ),
    )
    async with LocalSlack(team_id=TEAM, posts_per_second=None) as slack:
        furnish(slack)
        with capture_logs() as logs:
            async with running(settings_for(slack, database)):
                reply = await asked(slack, "When does the office open?", await shared(slack, HANDBOOK))

    assert "The office opens at eight" in quoted_words(reply)[0]
    assert "schema.newer" in [entry["event"] for entry in logs]


async def test_what_one_process_hears_others_do_and_health_tells_of_each(database: Database) -> None:
    async with LocalSlack(team_id=TEAM, posts_per_second=None) as slack, aiohttp.ClientSession() as http:
        furnish(slack)
        settings = settings_for(slack, database)
        async with (
            running(settings, worker=False) as intake,
            working(settings, health_port=0) as first,
            working(settings) as second,
        ):
            reply = await asked(slack, "When does the office open?", await shared(slack, HANDBOOK))
            said = [await (await http.get(f"{server.url}/readyz")).json() for server in (intake, first, second)]
            api = [(await http.get(f"{server.url}/v1/users/me")).status for server in (intake, first)]

    assert quoted_words(reply)
    assert [set(one["checks"]) for one in said] == [SAID_BY_ALL - {"queue"}, SAID_BY_ALL, SAID_BY_ALL]
    assert {one["status"] for one in said} == {"ok"}
    assert api == [401, 404]


async def test_a_slack_that_asks_for_patience_is_there_and_one_that_fails_is_not(database: Database) -> None:
    async with (
        LocalSlack(team_id=TEAM, posts_per_second=None) as slack,
        aiohttp.ClientSession() as http,
        working(settings_for(slack, database)) as worker,
    ):

        async def health() -> str:
            async with http.get(f"{worker.url}/readyz") as response:
                return str((await response.json())["checks"]["slack"])

        slack.faults.refuse("auth.test", "ratelimited", times=100, status=429, retry_after_s=1)
        await asyncio.sleep(RED_S)
        limited = await health()
        slack.faults.clear()
        slack.faults.refuse("auth.test", "fatal_error", times=100, status=500)
        await asyncio.sleep(RED_S)
        failing = await health()

    assert (limited, failing) == ("ok", "failing")


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    """The bot and a worker beside it, both ready, behind a network that may fail."""
    async with open_world("app") as world:
        settings = written_by_openai(world)
        await world.start("run", name="bot", settings=settings)
        await world.start("worker", name="worker", settings=settings)
        yield world


async def database_falls_silent(world: World) -> None:
    world.database.black_hole()


async def database_refuses(world: World) -> None:
    await world.database.down()


async def database_returns(world: World) -> None:
    await world.database.heal()


async def queue_breaks(world: World) -> None:
    await world.postgres.fetch("REVOKE USAGE ON SCHEMA procrastinate FROM recollect_bot")


async def queue_is_mended(world: World) -> None:
    await world.postgres.fetch("GRANT USAGE ON SCHEMA procrastinate TO recollect_bot")


async def slack_falls_silent(world: World) -> None:
    world.slack_proxy.black_hole()


async def slack_returns(world: World) -> None:
    await world.slack_proxy.heal()


async def model_fails(world: World) -> None:
    async def refuse(_: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=500)

    world.openai.trouble = lambda _: refuse


async def model_returns(world: World) -> None:
    world.openai.trouble = lambda _: None


async def seconds_until(process: BotProcess, path: str, status: int) -> float:
    started = time.monotonic()
    async with asyncio.timeout(GREEN_S):
        while await process.status(path) != status:
            await asyncio.sleep(0.2)
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("fail", "mend", "path"),
    [
        (database_falls_silent, database_returns, "/healthz"),
        (database_refuses, database_returns, "/healthz"),
        (queue_breaks, queue_is_mended, "/healthz"),
        (slack_falls_silent, slack_returns, "/readyz"),
        (model_fails, model_returns, "/readyz"),
    ],
)
async def test_health_is_red_within_ten_seconds_of_a_fault_and_green_again_by_itself(
    world: World, fail: Act, mend: Act, path: str
) -> None:
    processes = world.processes.values()
    await asyncio.gather(*(seconds_until(process, "/readyz", 200) for process in processes))

    await fail(world)
    red = await asyncio.gather(*(seconds_until(process, path, 503) for process in processes))
    alive = await asyncio.gather(*(process.status("/healthz") for process in processes))
    await mend(world)
    await asyncio.gather(*(seconds_until(process, "/readyz", 200) for process in processes))

    assert max(red) < RED_S
    assert set(alive) == {503 if path == "/healthz" else 200}
