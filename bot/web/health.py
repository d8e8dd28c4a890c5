"""Whether the bot is well: `/healthz` for whoever restarts it, `/readyz` for whoever sends it work. No key needed.

Both name what was looked at, and nothing more: why something fails stands in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import structlog
from aiohttp import web

from bot.errors import RecollectError

log = structlog.get_logger()

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""Says what is wrong in a sentence, None when all is well."""

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})

_CHECK_TIMEOUT_S = 4.5


def mount_health(app: web.Application, *, alive: Mapping[str, Check], ready: Mapping[str, Check]) -> None:
    """Serve `/healthz` (the `alive` checks) and `/readyz` (those and the `ready` ones): 200, or 503 when one fails."""
    board = Board({**alive, **ready})

    async def on_health(_: web.Request) -> web.Response:
        return _response(await board.look(alive))

    async def on_ready(_: web.Request) -> web.Response:
        return _response(await board.look({**alive, **ready}))

    app.router.add_get("/healthz", on_health)
    app.router.add_get("/readyz", on_ready)


class Board:
    """Makes checks when asked, and logs every change."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._failing: set[str] = set()

    async def look(self, names: Mapping[str, object]) -> dict[str, bool]:
        """Return, by name, whether all is well; within five seconds."""
        verdicts = await asyncio.gather(*(self._make(name) for name in names))
        return dict(zip(names, verdicts, strict=True))

    async def _make(self, name: str) -> bool:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                problem = await self._checks[name]()
        except TimeoutError:
            problem = "the check took too long"
        except Exception as error:  # noqa: BLE001  # the edge: a check that fails is an answer too
            problem = f"the check failed: {type(error).__name__}"
        self._note(name, problem)
        return problem is None

    def _note(self, name: str, problem: str | None) -> None:
        if problem is None and name in self._failing:
            self._failing.discard(name)
            log.info("health.mended", check=name)
        elif problem is not None and name not in self._failing:
            self._failing.add(name)
            log.warning("health.failed", check=name, reason=problem)


class Pulse:
    """Asks for a sign of life every `interval_s`, and tells when there has been none for `patience_s`.

    A request for health then costs nothing, however many come, and no check waits for what hangs.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]], *, interval_s: float, patience_s: float) -> None:
        self._ask = ask
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._felt_at = time.monotonic()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._ask()
            except (RecollectError, TimeoutError) as error:
                log.debug("pulse.missed", reason=str(error))
            except Exception:  # the edge: whatever is wrong, it must be asked again
                log.exception("pulse.failed")
            else:
                self._felt_at = asked_at
            await asyncio.sleep(self._interval_s)

    async def problem(self) -> str | None:
        """Return None while the last sign of life is recent."""
        silent_s = time.monotonic() - self._felt_at
        return f"no answer for {silent_s:.0f} s" if silent_s > self._patience_s + self._interval_s else None


def _response(verdicts: Mapping[str, bool]) -> web.Response:
    well = all(verdicts.values())
    checks = {name: "ok" if verdict else "failing" for name, verdict in verdicts.items()}
    body = {"status": "ok" if well else "failing", "checks": checks}
    return web.json_response(body, status=200 if well else 503, headers={"Cache-Control": "no-store"})
