"""The process that opens one foreign file: `python -m bot.parsing.child`, request on stdin, reply on stdout.

It puts up its walls and binds itself to its limits before it reads a byte of the file, and imports nothing of the bot
beyond bot.parsing.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from bot.parsing.reasons import Limits, Reason, Unparsable
from bot.parsing.walls import raise_walls
from bot.parsing.wire import decode_request, encode_failure, encode_reply

_GRACE_S = 5


def main() -> None:
    """Read one request, answer it, and end. The folder it is started in is the one it keeps."""
    raise_walls(Path.cwd())
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    filename, limits = decode_request(requests.readline())
    bind(limits)
    _answer(requests, replies, filename, limits)
    replies.flush()


def bind(limits: Limits) -> None:
    """Take the limits on for good: hard ones, which not even this process can lift again.

    The alarm ends us when the parent, who watches the clock, is gone.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.written_file_bytes, limits.written_file_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    if sys.platform == "linux":  # elsewhere the kernel refuses or ignores it
        resource.setrlimit(resource.RLIMIT_AS, (limits.address_space_bytes, limits.address_space_bytes))
        resource.setrlimit(resource.RLIMIT_DATA, (limits.own_bytes, limits.own_bytes))
    signal.alarm(int(limits.wall_s) + _GRACE_S)


def _answer(requests: BinaryIO, replies: BinaryIO, filename: str, limits: Limits) -> None:
    from bot.parsing.parse import parse  # noqa: PLC0415 - native code is loaded under the limits

    try:
        replies.writelines(encode_reply(parse(requests.read(), filename, limits)))
    except Unparsable as failure:
        replies.write(encode_failure(failure))
    except MemoryError:
        replies.write(encode_failure(Unparsable(Reason.TOO_MUCH_AT_ONCE, "MemoryError")))
    except RecursionError as error:
        replies.write(encode_failure(Unparsable(Reason.DAMAGED, repr(error))))


if __name__ == "__main__":
    main()
