"""The bot as a whole: what a process runs, whether it is well, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from aiohttp import web

from bot.config import Settings
from bot.db.engine import Sessions, build_engine
from bot.db.guard import close_engine
from bot.ending import end_tasks
from bot.jobs.worker import Worker
from bot.memory import give_back
from bot.slack.client import Clients, RateLimited, ask
from bot.slack.connection import SlackConnection
from bot.slack.http import mount_slack
from bot.stopping import MARGIN_S, Stop, until_stopped
from bot.values import LOCAL_TEAM_ID
from bot.web.api import mount_api
from bot.web.health import Check, Pulse, mount_health
from bot.web.server import WebServer, make_web_app
from bot.wiring import Services
from bot.workspace import Workspace, make_bolt, make_connection, make_hearing, make_worker, open_workspace, secret

log = structlog.get_logger()

QUEUE_SILENCE_S = 8.0
"""How long the queue may go without a proof that it works; red must show within ten seconds."""

_DATABASE_PULSE = {"interval_s": 1.0, "patience_s": 5.0}
_SLACK_PULSE = {"interval_s": 2.0, "patience_s": 5.0}


@asynccontextmanager
async def running(settings: Settings, *, worker: bool = True) -> AsyncIterator[WebServer]:
    """Run the bot in a workspace: database, services, HTTP and Slack, and the queue's worker unless told otherwise.

    Yields when Slack is connected. On leaving, intake ends first, then what is under way gets its grace. Raises
    InvalidSettings, DatabaseUnavailable or ServiceUnavailable when something doesn't come up.
    """
    settings.require_slack()
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(open_workspace(settings))
        bolt, hearing = make_bolt(settings, workspace), make_hearing(settings, workspace)
        stack.push_async_callback(hearing.close)
        connection = make_connection(settings, bolt, hearing)
        if connection is not None:
            stack.push_async_callback(connection.close)
        working = _start_worker(settings, stack, workspace) if worker else None
        web_app = make_web_app()
        services = workspace.services
        mount_api(
            web_app,
            services.users,
            services.documents,
            services.search,
            services.answers,
            services.audiences,
            services.limits,
            max_file_bytes=settings.max_file_bytes,
        )
        if settings.slack_signing_secret is not None:
            signing_secret = secret(settings.slack_signing_secret)
            mount_slack(web_app, bolt, signing_secret=signing_secret, on_heard=hearing.hear)
        _in_background(stack, give_back(), name="memory")
        server = WebServer(web_app, host=settings.http_host, port=settings.http_port)
        _mount_health(stack, web_app, server, workspace, worker=working, connection=connection)
        await stack.enter_async_context(server)
        stack.push_async_callback(_wind_down, server, connection, working, grace_s=settings.stop_grace_s)
        await (hearing.heard() if connection is None else connection.open())
        log.info("bot.started", team_id=services.team_id, http=server.url, model=services.chat.name, worker=worker)
        yield server


@asynccontextmanager
async def working(settings: Settings, *, health_port: int | None = None) -> AsyncIterator[WebServer]:
    """Do the work that other processes store, and hear nothing of Slack's; HTTP tells whether this one is well.

    `health_port` is HTTP_PORT unless given. Raises as `running`.
    """
    settings.require_slack()
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(open_workspace(settings))
        worker = _start_worker(settings, stack, workspace)
        _in_background(stack, give_back(), name="memory")
        web_app = make_web_app()
        port = settings.http_port if health_port is None else health_port
        server = WebServer(web_app, host=settings.http_host, port=port)
        _mount_health(stack, web_app, server, workspace, worker=worker, connection=None)
        await stack.enter_async_context(server)
        stack.push_async_callback(_wind_down, server, None, worker, grace_s=settings.stop_grace_s)
        log.info("worker.started", team_id=workspace.services.team_id, http=server.url)
        yield server


async def serve(settings: Settings, *, worker: bool = True) -> None:
    """Run the bot until SIGINT or SIGTERM."""

    async def run(stop: Stop) -> None:
        async with running(settings, worker=worker):
            await stop.wait()

    await until_stopped(run, limit_s=settings.stop_grace_s + MARGIN_S)


async def serve_work(settings: Settings, *, health_port: int | None = None) -> None:
    """Run a worker until SIGINT or SIGTERM."""

    async def run(stop: Stop) -> None:
        async with working(settings, health_port=health_port):
            await stop.wait()

    await until_stopped(run, limit_s=settings.stop_grace_s + MARGIN_S)


def _start_worker(settings: Settings, stack: AsyncExitStack, workspace: Workspace) -> Worker:
    worker = make_worker(settings, workspace)
    _in_background(stack, worker.run(), name="queue")
    return worker


async def _wind_down(
    server: WebServer, connection: SlackConnection | None, worker: Worker | None, *, grace_s: float
) -> None:
    """Take nothing on any more, and let what is under way end in its time; the rest is handed back."""
    log.info("bot.stopping")
    server.refuse()
    ending = [connection.close()] if connection is not None else []
    if worker is not None:
        ending.append(worker.stop(grace_s))
    await asyncio.gather(*ending)


def _mount_health(
    stack: AsyncExitStack,
    web_app: web.Application,
    server: WebServer,
    workspace: Workspace,
    *,
    worker: Worker | None,
    connection: SlackConnection | None,
) -> None:
    """Say how database, queue, Slack and models are, as far as this process depends on them."""
    alive: dict[str, Check] = {"database": _database_check(stack, workspace)}
    if worker is not None:
        alive["queue"] = lambda: _queue_problem(worker)
    slack = _slack_check(stack, workspace.clients) if connection is None else lambda: _connection_problem(connection)
    ready: dict[str, Check] = {
        "slack": slack,
        "model": lambda: _model_problem(workspace.services),
        "process": server.problem,
    }
    mount_health(web_app, alive=alive, ready=ready)


def _database_check(stack: AsyncExitStack, workspace: Workspace) -> Check:
    """Ask the database over a connection of its own: a pool that is busy isn't ill."""
    engine = build_engine(workspace.storage.bot_url, pool_size=1, max_overflow=0)
    stack.push_async_callback(close_engine, engine)
    sessions = Sessions(engine)

    async def ping() -> None:
        async with sessions.tenant(LOCAL_TEAM_ID):
            pass

    pulse = Pulse(ping, **_DATABASE_PULSE)
    _in_background(stack, pulse.run(), name="health.database")
    return pulse.problem


def _slack_check(stack: AsyncExitStack, clients: Clients) -> Check:
    """Ask Slack's Web API: nothing else of Slack is heard unasked in this process."""

    async def ping() -> None:
        try:
            await ask(clients.posting.auth_test())
        except RateLimited:
            log.debug("slack.busy")  # an answer all the same

    pulse = Pulse(ping, **_SLACK_PULSE)
    _in_background(stack, pulse.run(), name="health.slack")
    return pulse.problem


async def _queue_problem(worker: Worker) -> str | None:
    age_s = worker.beat_age_s()
    return f"no proof that it works for {age_s:.0f} s" if age_s > QUEUE_SILENCE_S else None


async def _model_problem(services: Services) -> str | None:
    """Return what is wrong with the model that writes or the one that embeds; both are asked at once."""
    problems = await asyncio.gather(services.chat.problem(), services.embedder.problem())
    return next((problem for problem in problems if problem is not None), None)


async def _connection_problem(connection: SlackConnection) -> str | None:
    return connection.problem()


def _in_background(stack: AsyncExitStack, work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Run something until the stack is closed."""
    task = asyncio.create_task(work, name=name)

    async def end() -> None:
        await end_tasks([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task.failed", task=name, exc_info=error)

    stack.push_async_callback(end)
