"""Health over HTTP: what it says, how soon, and what it never says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from structlog.testing import capture_logs

from bot.errors import DatabaseUnavailable
from bot.web.health import Check, Pulse, mount_health
from bot.web.server import WebServer, make_web_app
from tests.slack.acts import until

SECRET = "postgresql://bot:hunter2@db/recollect"


def says(problem: str | None) -> Check:
    async def check() -> str | None:
        return problem

    return check


async def fails() -> str | None:
    raise ValueError(SECRET)


async def hangs() -> str | None:
    await asyncio.Event().wait()
    return None


@asynccontextmanager
async def served(alive: Mapping[str, Check], ready: Mapping[str, Check]) -> AsyncIterator[Asked]:
    app = make_web_app()
    mount_health(app, alive=alive, ready=ready)
    async with WebServer(app, host="127.0.0.1", port=0) as server, aiohttp.ClientSession() as http:
        yield Asked(server.url, http)


async def is_well(pulse: Pulse) -> bool:
    return await pulse.problem() is None


async def is_ill(pulse: Pulse) -> bool:
    return await pulse.problem() is not None


class Asked:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.http.get(self.url + path) as response:
            return response.status, await response.json()


async def test_where_all_is_well_both_say_so_and_name_what_they_looked_at() -> None:
    async with served({"database": says(None), "queue": says(None)}, {"slack": says(None)}) as asked:
        alive, ready = await asked.get("/healthz"), await asked.get("/readyz")

    assert alive == (200, {"status": "ok", "checks": {"database": "ok", "queue": "ok"}})
    assert ready == (200, {"status": "ok", "checks": {"database": "ok", "queue": "ok", "slack": "ok"}})


async def test_what_only_readiness_needs_leaves_life_alone() -> None:
    async with served({"database": says(None)}, {"slack": says("not connected")}) as asked:
        alive, ready = await asked.get("/healthz"), await asked.get("/readyz")

    assert alive[0] == 200
    assert ready == (503, {"status": "failing", "checks": {"database": "ok", "slack": "failing"}})


async def test_what_life_needs_turns_both_red() -> None:
    async with served({"database": says("away")}, {"slack": says(None)}) as asked:
        statuses = [(await asked.get(path))[0] for path in ("/healthz", "/readyz")]

    assert statuses == [503, 503]


async def test_a_reason_stands_in_the_log_and_not_in_the_answer() -> None:
    with capture_logs() as logs:
        async with served({"database": says(SECRET), "queue": fails}, {}) as asked:
            answer = await asked.get("/readyz")

    assert "hunter2" not in json.dumps(answer)
    reasons = {entry["check"]: entry["reason"] for entry in logs if entry["event"] == "health.failed"}
    assert reasons == {"database": SECRET, "queue": "the check failed: ValueError"}


async def test_a_check_that_hangs_is_red_within_five_seconds() -> None:
    async with served({"database": hangs}, {}) as asked:
        started = time.monotonic()
        status, _ = await asked.get("/healthz")

    assert status == 503
    assert time.monotonic() - started < 5


async def test_only_changes_are_logged() -> None:
    problem: list[str | None] = ["away", "away", None, None]

    async def check() -> str | None:
        return problem.pop(0)

    with capture_logs() as logs:
        async with served({"database": check}, {}) as asked:
            statuses = [(await asked.get("/healthz"))[0] for _ in range(4)]

    assert statuses == [503, 503, 200, 200]
    assert [entry["event"] for entry in logs] == ["health.failed", "health.mended"]


async def test_a_pulse_is_red_once_nothing_answers_and_green_again_by_itself() -> None:
    mood = {"away": False, "silent": False}

    async def ask() -> None:
        if mood["away"]:
            raise DatabaseUnavailable("away")
        if mood["silent"]:
            await asyncio.Event().wait()

    pulse = Pulse(ask, interval_s=0.02, patience_s=0.1)
    running = asyncio.create_task(pulse.run())
    try:
        for trouble in mood:
            await until(lambda: is_well(pulse))
            mood[trouble] = True
            await until(lambda: is_ill(pulse))
            mood[trouble] = False
        await until(lambda: is_well(pulse))
    finally:
        running.cancel()


async def test_a_pulse_goes_on_after_an_error_that_nobody_foresaw() -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise KeyError(SECRET)

    pulse = Pulse(ask, interval_s=0.01, patience_s=1)
    running = asyncio.create_task(pulse.run())
    await until(lambda: asked > 1)
    running.cancel()


async def test_however_often_health_is_asked_for_a_pulse_asks_at_its_own_pace() -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1

    pulse = Pulse(ask, interval_s=10, patience_s=1)
    running = asyncio.create_task(pulse.run())
    async with served({"database": pulse.problem}, {}) as client:
        await asyncio.gather(*(client.get("/healthz") for _ in range(50)))
    running.cancel()

    assert asked == 1
