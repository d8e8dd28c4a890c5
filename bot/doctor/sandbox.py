"""Looks at the walls around the process that opens foreign files: which of them this kernel grants, by trying them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bot.doctor.finding import Finding, fail, ok, warn
from bot.errors import UnreadableFile
from bot.parsing.reasons import Limits
from bot.parsing.sandbox import run_child

_PROBE = ("-P", "-s", "-B", "-m", "bot.parsing.probe")
_LANDLOCK = (
    "Linux 5.13 or newer with Landlock (`landlock` in /sys/kernel/security/lsm) grants it; in a container its seccomp "
    "profile must allow the landlock_* calls, as Docker's own does."
)
_SECCOMP = "Linux on x86-64 or AArch64 grants it, to containers too unless their profile forbids prctl."


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds a child: Landlock's ABI (0: none), seccomp; `passed` is what got through, by wall, and must not."""

    landlock_abi: int
    seccomp: bool
    passed: dict[str, list[str]]


async def standing_walls() -> Standing:
    """Return what a child finds when it tries its walls. Raises UnreadableFile when no child can be run here."""
    document = await run_child(_PROBE, b"?", "probe", limits=Limits())
    told: dict[str, Any] = json.loads(document.text)
    return Standing(told["landlock_abi"], told["seccomp"], told["passed"])


async def check_sandbox() -> list[Finding]:
    """Look at the walls. Without them files are still read, under the limits of memory, time and environment."""
    try:
        standing = await standing_walls()
    except UnreadableFile as error:
        return [fail("Sandbox", f"no file can be read here: {error}")]
    return findings_of(standing)


def findings_of(standing: Standing) -> list[Finding]:
    """Return a finding per wall; one that was granted and lets something through is a failure."""
    files = f"Landlock ABI {standing.landlock_abi}" if standing.landlock_abi else None
    calls = "seccomp" if standing.seccomp else None
    return [
        _wall("files", files, standing, "it reads code and fonts, and writes in its own folder alone", _LANDLOCK),
        _wall("network", calls, standing, "no socket opens", _SECCOMP),
        _wall("processes", calls, standing, "it starts, signals and looks into none", _SECCOMP),
    ]


def _wall(name: str, by: str | None, standing: Standing, holds: str, mend: str) -> Finding:
    subject, passed = f"Sandbox {name}", standing.passed.get(name, [])
    if by is None:
        return warn(subject, "none: a parser taken over by a hostile file could reach what the bot can", mend=mend)
    if passed:
        return fail(subject, f"{by}, and yet it could {', '.join(passed)}", mend=mend)
    return ok(subject, f"{by}: {holds}")
