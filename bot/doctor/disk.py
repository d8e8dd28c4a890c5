"""Looks at the room left where the embedded server keeps its data."""

from __future__ import annotations

import shutil
from pathlib import Path

from bot.doctor.finding import Finding, fail, ok, warn

LOW_BYTES = 2 * 2**30
FULL_BYTES = 200 * 2**20
"""PostgreSQL stops when it can't write its log; an empty cluster with that log takes about 100 MB."""


def check_disk(home: Path, *, low_bytes: int = LOW_BYTES, full_bytes: int = FULL_BYTES) -> Finding:
    """Look at the space left on the disk of `home`, which needn't exist yet."""
    place = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GB free at {home}"
    mend = "Make room, or set RECOLLECT_HOME to a directory on a larger disk (and move what is there)."
    if free < full_bytes:
        return fail("Disk", text, mend=mend)
    return warn("Disk", text, mend=mend) if free < low_bytes else ok("Disk", text)
