"""Signs of life: what a process runs beside its work, and the checks behind `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiohttp import web

from bot.db.engine import Sessions, build_engine
from bot.db.guard import close_engine
from bot.ending import end_tasks
from bot.jobs.worker import Worker
from bot.slack.client import Clients, RateLimited, ask
from bot.slack.connection import SlackConnection
from bot.values import INSTALLATIONS
from bot.web.health import Check, Pulse, mount_health
from bot.web.server import WebServer
from bot.wiring import Services

log = structlog.get_logger()

QUEUE_SILENCE_S = 8.0
"""How long the queue may go without a proof that it works; red must show within ten seconds."""

_DATABASE_PULSE = {"interval_s": 1.0, "patience_s": 5.0}
_SLACK_PULSE = {"interval_s": 2.0, "patience_s": 5.0}


def database_check(stack: AsyncExitStack, bot_url: str) -> Check:
    """Ask the database over a connection of its own: a pool that is busy isn't ill."""
    engine = build_engine(bot_url, pool_size=1, max_overflow=0)
    stack.push_async_callback(close_engine, engine)
    sessions = Sessions(engine)

    async def ping() -> None:
        async with sessions.tenant(INSTALLATIONS):
            pass

    pulse = Pulse(ping, **_DATABASE_PULSE)
    in_background(stack, pulse.run(), name="health.database")
    return pulse.problem


def slack_check(stack: AsyncExitStack, clients: Clients) -> Check:
    """Ask Slack's Web API: nothing else of Slack is heard unasked in this process."""
    pulse = Pulse(lambda: ping_slack(clients), **_SLACK_PULSE)
    in_background(stack, pulse.run(), name="health.slack")
    return pulse.problem


async def ping_slack(clients: Clients) -> None:
    """Return when Slack has answered. Raises InvalidSettings when it refuses the token, ServiceUnavailable."""
    try:
        await ask(clients.posting.auth_test())
    except RateLimited:
        log.debug("slack.busy")  # an answer all the same


def mount_checks(
    stack: AsyncExitStack,
    web_app: web.Application,
    server: WebServer,
    bot_url: str,
    *,
    queue: Check | None,
    slack: Check,
    model: Check,
) -> None:
    """Say how database, queue, Slack and models are, as far as this process depends on them."""
    alive: dict[str, Check] = {"database": database_check(stack, bot_url)}
    if queue is not None:
        alive["queue"] = queue
    mount_health(web_app, alive=alive, ready={"slack": slack, "model": model, "process": server.problem})


def queue_problem(age_s: float) -> str | None:
    """Return what is wrong with a queue that proved itself so long ago."""
    return f"no proof that it works for {age_s:.0f} s" if age_s > QUEUE_SILENCE_S else None


def queue_check(worker: Worker) -> Check:
    """Ask the worker when its queue was last proved to work."""

    async def check() -> str | None:
        return queue_problem(worker.beat_age_s())

    return check


def connection_check(connection: SlackConnection) -> Check:
    """Ask whether Slack is surely heard."""

    async def check() -> str | None:
        return connection.problem()

    return check


async def model_problem(services: Services) -> str | None:
    """Return what is wrong with the model that writes or the one that embeds; both are asked at once."""
    problems = await asyncio.gather(services.chat.problem(), services.embedder.problem())
    return next((problem for problem in problems if problem is not None), None)


def in_background(stack: AsyncExitStack, work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Run something until the stack is closed."""
    task = asyncio.create_task(work, name=name)

    async def end() -> None:
        await end_tasks([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task.failed", task=name, exc_info=error)

    stack.push_async_callback(end)
