"""As root in a container: Docker leaves CAP_SYS_PTRACE out, and with it the sight of other accounts' processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bot.db.binaries import bundled_tree

WITHOUT_PTRACE = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"] if os.geteuid() == 0 else []


def test_the_server_comes_up_where_root_may_not_look_at_others(home: Path) -> None:
    command = [*WITHOUT_PTRACE, sys.executable, "-m", "tests.db.holder", str(home), str(bundled_tree())]

    held = subprocess.run(command, input="stop\n", capture_output=True, text=True, timeout=40, check=False)

    assert held.returncode == 0, held.stderr
    assert '"owns_server": true' in held.stdout
