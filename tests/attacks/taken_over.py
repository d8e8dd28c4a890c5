"""Files that take their parser over: each is Python that runs in the place of `parse`, behind the real child's start."""

from __future__ import annotations

from collections.abc import Sequence

from tests.attacks.hostile import HostileFile, Traps

FLAGS = ("-P", "-s", "-B", "-c")
_CHILD = """
from bot.parsing import child, parse
from bot.parsing.wire import Parsed

def owned(data, filename, limits):
    known = {{}}
    exec(data, known)
    return Parsed(str(known.get("found", "Words.")), "txt")

{without}
parse.parse = owned
child.main()  # {mark}
"""
_REAL = "{without}\nfrom bot.parsing.child import main; main()  # {mark}"
WITHOUT = {
    "walls": "from bot.parsing import child; child.raise_walls = lambda home: None",
    "landlock": "from bot.parsing import landlock; landlock.abi = lambda: 0",
    "seccomp": "from bot.parsing import seccomp; seccomp.restrict = lambda: False",
    "unpacking": "from bot.parsing import office; office.check_container = lambda data, limits: None",
}
"""What takes a wall down inside the child."""


def command(*, owned: bool, without: str | None, mark: str) -> Sequence[str]:
    """Return what runs a child: the real one, or one that the file takes over. `mark` tells our processes apart."""
    return (*FLAGS, (_CHILD if owned else _REAL).format(without=WITHOUT.get(without or "", ""), mark=mark))


_OUTWARDS = {
    "calls by TCP": "import socket; socket.create_connection(('127.0.0.1', {port}), 2).send(b'out')",
    "calls by UDP": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'out', ('127.0.0.1', {port}))",
    "calls by a unix socket": "import socket; socket.socket(socket.AF_UNIX).connect({socket!r})",
    "plants a file": "open({planted!r}, 'w').write('x')",
    "spoils a file": "open({kept!r}, 'w').write('x')",
    "reads a secret": "found = open({kept!r}).read()",
    "reads the bot's environment": "import os; found = open(f'/proc/{{os.getppid()}}/environ').read()",
    "signals the bot": "import os, signal; os.kill(os.getppid(), signal.SIGUSR1)",
    "starts a program": "import subprocess; subprocess.run(['/bin/sh', '-c', 'echo x > \"$0\"', {planted!r}], check=True)",
    "leaves somebody behind": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\n    os._exit(0)\ntime.sleep(0.2)",
}
_AT_HOME = {
    "eats memory": "held = []\nwhile True: held.append(bytearray(b'x' * 4_000_000))",
    "eats memory and holds its mouth": "import os; os.close(1); os.close(2); held = []\nwhile True: held.append(bytearray(b'x' * 4_000_000))",
    "asks for ten gigabytes": "bytearray(10 * 2**30)",
    "has five hundred children": "import os, time\nfor _ in range(500):\n    if os.fork() == 0: time.sleep(600)\ntime.sleep(600)",
    "opens every file it can": "held = []\nwhile True: held.append(open('/dev/null'))",
    "starts threads without end": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(600,)).start()",
    "computes without end": "while True: pass",
    "sleeps without end": "import time; time.sleep(600)",
    "sleeps with its mouth shut": "import os, time; os.close(1); os.close(2); time.sleep(600)",
    "won't hear signals": "import signal, time\nfor n in set(range(1, 32)) - {{9, 19}}: signal.signal(n, signal.SIG_IGN)\ntime.sleep(600)",
    "talks without end": "import os\nwhile True: os.write(1, b'x' * 100_000)",
    "complains without end": "import os\nwhile True: os.write(2, b'x' * 100_000)",
    "talks nonsense": "import os; os.write(1, b'\\xff{{}}[]\\n' * 9); os._exit(0)",
    "lies about its pages": 'import os; os.write(1, b\'{{"file_type": "txt", "pages": [[1, 0, 99]], "is_markdown": false, "title": null, "language": null}}\\nabc\'); os._exit(0)',
    "writes a header without end": "import os\nos.write(1, b'{{\"title\": \"')\nwhile True: os.write(1, b'x' * 65536)",
    "says nothing": "import os; os._exit(0)",
    "kills itself": "import os; os.kill(os.getpid(), 9)",
    "reads where nothing is": "import ctypes; ctypes.string_at(0)",
    "recurses without end": "import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "raises what nobody knows": "class Odd(BaseException): pass\nraise Odd('secret')",
}


def files() -> list[HostileFile]:
    """Return one of each; those that reach out may be read, for what matters is how far they reach."""
    return [
        *(_file(name, "takes over, reaches out", code) for name, code in _OUTWARDS.items()),
        *(_file(name, "takes over, wastes", code) for name, code in _AT_HOME.items()),
    ]


def _file(name: str, category: str, code: str) -> HostileFile:
    def make(traps: Traps) -> bytes:
        return code.format(
            port=traps.port,
            socket=str(traps.outside / "socket"),
            planted=str(traps.outside / "planted"),
            kept=str(traps.kept),
        ).encode()

    return HostileFile(name, category, f"{name.replace(' ', '-')}.py", make)
