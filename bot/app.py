"""The bot as a whole: what a process runs, whether it is well, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiohttp import web

from bot.config import Settings
from bot.jobs.worker import Worker
from bot.memory import give_back
from bot.several import running_several, working_several
from bot.slack.connection import SlackConnection
from bot.slack.http import mount_slack
from bot.stopping import MARGIN_S, Stop, until_stopped, wind_down
from bot.vital import connection_check, in_background, model_problem, mount_checks, queue_check, slack_check
from bot.web.api import Desk, mount_api
from bot.web.server import WebServer, make_web_app
from bot.workspace import (
    Workspace,
    make_bolt,
    make_connection,
    make_hearing,
    make_worker,
    open_workspace,
    signing_secrets,
)

log = structlog.get_logger()


@asynccontextmanager
async def running(settings: Settings, *, worker: bool = True) -> AsyncIterator[WebServer]:
    """Run the bot in a workspace, or in all that let it in by OAuth.

    That is database, services, HTTP and Slack, and the queue's worker unless told otherwise.

    Yields when Slack is connected. On leaving, intake ends first, then what is under way gets its grace. Raises
    InvalidSettings, DatabaseUnavailable or ServiceUnavailable when something doesn't come up.
    """
    settings.require_slack()
    async with AsyncExitStack() as stack:
        if settings.is_shared:
            yield await stack.enter_async_context(running_several(settings, worker=worker))
            return
        workspace = await stack.enter_async_context(open_workspace(settings))
        bolt, hearing = make_bolt(settings, workspace), make_hearing(settings, workspace)
        stack.push_async_callback(hearing.close)
        connection = make_connection(settings, bolt, hearing)
        if connection is not None:
            stack.push_async_callback(connection.close)
        working = _start_worker(settings, stack, workspace) if worker else None
        web_app = make_web_app()
        services = workspace.services
        desk = Desk(services.documents, services.search, services.answers, services.audiences)
        mount_api(web_app, services.users, services.limits, lambda _: desk, max_file_bytes=settings.max_file_bytes)
        if settings.slack_signing_secret is not None:
            mount_slack(web_app, bolt, signing_secrets=signing_secrets(settings), on_heard=hearing.hear)
        in_background(stack, give_back(), name="memory")
        server = WebServer(web_app, host=settings.http_host, port=settings.http_port)
        _mount_checks(stack, web_app, server, workspace, worker=working, connection=connection)
        await stack.enter_async_context(server)
        stop_work = None if working is None else working.stop
        stack.push_async_callback(wind_down, server, connection, stop_work, grace_s=settings.stop_grace_s)
        await (hearing.heard() if connection is None else connection.open())
        log.info("bot.started", team_id=services.team_id, http=server.url, model=services.chat.name, worker=worker)
        yield server


@asynccontextmanager
async def working(settings: Settings, *, health_port: int | None = None) -> AsyncIterator[WebServer]:
    """Do the work that other processes store, and hear nothing of Slack's; HTTP tells whether this one is well.

    `health_port` is HTTP_PORT unless given. Raises as `running`.
    """
    settings.require_slack()
    port = settings.http_port if health_port is None else health_port
    async with AsyncExitStack() as stack:
        if settings.is_shared:
            yield await stack.enter_async_context(working_several(settings, health_port=port))
            return
        workspace = await stack.enter_async_context(open_workspace(settings))
        worker = _start_worker(settings, stack, workspace)
        in_background(stack, give_back(), name="memory")
        web_app = make_web_app()
        server = WebServer(web_app, host=settings.http_host, port=port)
        _mount_checks(stack, web_app, server, workspace, worker=worker, connection=None)
        await stack.enter_async_context(server)
        stack.push_async_callback(wind_down, server, None, worker.stop, grace_s=settings.stop_grace_s)
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
    in_background(stack, worker.run(), name="queue")
    return worker


def _mount_checks(
    stack: AsyncExitStack,
    web_app: web.Application,
    server: WebServer,
    workspace: Workspace,
    *,
    worker: Worker | None,
    connection: SlackConnection | None,
) -> None:
    slack = slack_check(stack, workspace.clients) if connection is None else connection_check(connection)
    mount_checks(
        stack,
        web_app,
        server,
        workspace.storage.bot_url,
        queue=None if worker is None else queue_check(worker),
        slack=slack,
        model=lambda: model_problem(workspace.services),
    )
