"""The runtime that embeds tells nobody: its telemetry is off before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EMBED = "import asyncio; from bot.llm.local import LocalEmbedder as E; asyncio.run(E().embed_query('hello'))"


def test_embedding_leaves_nothing_behind_in_the_home(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}

    subprocess.run([sys.executable, "-c", EMBED], env={**environment, "HOME": str(tmp_path)}, check=True, timeout=60)

    assert [path.name for path in tmp_path.rglob("*")] == []
