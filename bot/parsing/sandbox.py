"""Opens a foreign file in a process of its own, under limits, and watches it until it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

import bot
from bot.errors import UnreadableFile
from bot.parsing.reasons import Limits, Reason, Unparsable, sentence_for
from bot.parsing.wire import MAX_HEADER_BYTES, Parsed, decode_reply, encode_request
from bot.values import PageSpan, ParsedDocument

_CHILD = ("-P", "-s", "-B", "-m", "bot.parsing.child")
_BLOCK_BYTES = 1024 * 1024
_MAX_LOG_BYTES = 2_000
_LOOK_EVERY_S = 0.05
_REAP_S = 1
_SMALLEST_BYTES = 32 * 1024
"""What the smallest file counts: 2,048 of them fill a folder, which are soon counted."""
_MAX_UTF8_BYTES_PER_CHARACTER = 4
_SIGNALS = {
    -signal.SIGXCPU: Reason.TOO_MUCH_COMPUTING,
    -signal.SIGALRM: Reason.TOO_SLOW,
    -signal.SIGKILL: Reason.KILLED,
}


async def parse_in_sandbox(data: bytes, filename: str, *, limits: Limits = Limits()) -> ParsedDocument:  # noqa: B008 - frozen
    """Return the text of a file, read in a child process that can reach nothing of ours.

    Raises UnreadableFile with the reason as a person understands it. Either way nothing is left running or on disk,
    also when the caller is cancelled.
    """
    return await run_child(_CHILD, data, filename, limits=limits)


async def run_child(command: Sequence[str], data: bytes, filename: str, *, limits: Limits) -> ParsedDocument:
    """Run this Python with `command` as the child that reads `data`; tests put hostile children here."""
    try:
        _check_size(data, limits)
        with tempfile.TemporaryDirectory(prefix=f"recollect-parse-{os.getpid()}-", ignore_cleanup_errors=True) as home:
            parsed = await _Child(limits, Path(home)).run(command, data, filename)
        return _document_from(parsed)
    except Unparsable as failure:
        raise UnreadableFile(str(failure), user_message=sentence_for(failure.reason, limits)) from failure


def _check_size(data: bytes, limits: Limits) -> None:
    if not data:
        raise Unparsable(Reason.EMPTY)
    if len(data) > limits.file_bytes:
        raise Unparsable(Reason.FILE_TOO_LARGE, f"{len(data)} bytes")


def child_environment(home: Path) -> dict[str, str]:
    """Return all that a child learns of its surroundings: no secrets, no proxies, a home that is thrown away."""
    package_root = Path(bot.__file__).parent.parent
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CACHE_HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": os.defpath,
        "PYTHONPATH": str(package_root),
        "PYTHONUTF8": "1",
        "MALLOC_ARENA_MAX": "2",
    }


class _Child:
    """One child process, from its start to its end."""

    def __init__(self, limits: Limits, home: Path) -> None:
        self._limits = limits
        self._home = home
        self._stopped_for: Reason | None = None
        self._log = b""

    async def run(self, command: Sequence[str], data: bytes, filename: str) -> Parsed:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._home,
            env=child_environment(self._home),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._limits.wall_s):
                reply = await self._converse(process, data, filename)
        except TimeoutError:
            self._stop(process, Reason.TOO_SLOW)
            reply = bytearray()
        finally:
            _kill_group(process.pid)
            await _reap(process)
        return self._outcome(process, reply)

    async def _converse(self, process: asyncio.subprocess.Process, data: bytes, filename: str) -> bytearray:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - asked for above
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch(process))
            tasks.create_task(_send(process.stdin, encode_request(filename, self._limits), data))
            tasks.create_task(self._keep_log(process.stderr))
            reply = await self._receive(process, process.stdout)
            await process.wait()
            watch.cancel()
        return reply

    async def _receive(self, process: asyncio.subprocess.Process, stdout: asyncio.StreamReader) -> bytearray:
        allowed = MAX_HEADER_BYTES + _MAX_UTF8_BYTES_PER_CHARACTER * self._limits.characters
        reply = bytearray()
        while block := await stdout.read(_BLOCK_BYTES):
            reply += block
            if len(reply) > allowed:
                self._stop(process, Reason.TOO_MUCH_TEXT)
                return bytearray()
        return reply

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Stop the child once it and its own children hold more memory, or have filled more of their folder, than they may."""
        while True:
            if resident_bytes(process.pid) > self._limits.resident_bytes:
                self._stop(process, Reason.TOO_MUCH_MEMORY)
                return
            if fills(self._home, self._limits.written_bytes):
                self._stop(process, Reason.TOO_MUCH_WRITTEN)
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _keep_log(self, stderr: asyncio.StreamReader) -> None:
        while block := await stderr.read(_BLOCK_BYTES):
            self._log = (self._log + block)[-_MAX_LOG_BYTES:]

    def _stop(self, process: asyncio.subprocess.Process, reason: Reason) -> None:
        self._stopped_for = self._stopped_for or reason
        _kill_group(process.pid)

    def _outcome(self, process: asyncio.subprocess.Process, reply: bytearray) -> Parsed:
        if self._stopped_for:
            raise Unparsable(self._stopped_for, "stopped by us")
        if process.returncode != 0:
            log = self._log.decode("utf-8", "replace")
            raise Unparsable(_reason_of_death(process.returncode or 0, log), f"exit {process.returncode}: {log}")
        return decode_reply(reply)


async def _send(stdin: asyncio.StreamWriter, header: bytes, data: bytes) -> None:
    """Write the request in slices, so that no second copy of a large file waits in a buffer of ours."""
    try:
        stdin.write(header)
        view = memoryview(data)
        for start in range(0, len(data), _BLOCK_BYTES):
            stdin.write(view[start : start + _BLOCK_BYTES])
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # the child ended before it had read everything; its exit says why
    finally:
        stdin.close()


def resident_bytes(pid: int) -> int:
    """Return the memory held by a process and its descendants, 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def fills(folder: Path, allowed_bytes: int) -> bool:
    """Tell whether what lies below a folder is more than this; the smallest file counts, and so does a folder."""
    places = [os.fspath(folder)]
    while places:
        try:
            with os.scandir(places.pop()) as entries:
                for entry in entries:
                    allowed_bytes -= max(_SMALLEST_BYTES, entry.stat(follow_symlinks=False).st_size)
                    if allowed_bytes < 0:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        places.append(entry.path)
        except OSError:  # gone, or shut, while it was looked at
            continue
    return False


def _kill_group(pid: int) -> None:
    """End the child and whatever it started; start_new_session made its pid the group's."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # the latter is macOS's word for a group of the dead
        return


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Wait for a killed child; let go of its pipes when something that left its group still holds them."""
    try:
        async with asyncio.timeout(_REAP_S):
            await process.wait()
    except TimeoutError:
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - wait() waits for the pipes too
        await process.wait()


def _reason_of_death(returncode: int, log: str) -> Reason:
    if returncode in _SIGNALS:
        return _SIGNALS[returncode]
    return Reason.TOO_MUCH_AT_ONCE if "memory allocation" in log or "MemoryError" in log else Reason.CRASHED


def _document_from(parsed: Parsed) -> ParsedDocument:
    return ParsedDocument(
        text=parsed.text,
        file_type=parsed.file_type,
        pages=tuple(PageSpan(*page) for page in parsed.pages),
        is_markdown=parsed.is_markdown,
        title=parsed.title,
        language=parsed.language,
    )
