"""Processes started, frozen, killed and ended."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import BotProcess

_SERVER = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("started", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[BotProcess]:
    process = BotProcess("server", [sys.executable, "-c", _SERVER], {}, log=tmp_path / "server.log")
    await process.start()
    await process.wait_ready(timeout_s=20)
    yield process
    await process.close()


async def test_a_process_is_ready_when_it_says_so_and_its_log_is_kept(process: BotProcess) -> None:
    assert await process.status("/readyz") == 200
    assert await process.status("/other") == 404
    assert "started" in process.tail(100)
    assert process.rss_mib() > 1
    assert process.file_descriptors() > 3


async def test_a_frozen_process_lives_and_says_nothing_until_it_is_woken(process: BotProcess) -> None:
    process.freeze()

    assert await process.status("/readyz", timeout_s=0.3) == 0
    assert process.is_running

    process.wake()
    assert await process.status("/readyz") == 200


async def test_a_killed_process_that_is_kept_up_comes_back_on_the_same_port(process: BotProcess) -> None:
    process.keep_up()
    before, port = process.pid, process.port

    process.kill9()
    await asyncio.sleep(0.2)
    await process.wait_ready(timeout_s=20)

    assert process.pid != before
    assert process.port == port
    assert process.starts == 2


async def test_a_process_asked_to_end_says_how_and_is_not_started_again(process: BotProcess) -> None:
    process.keep_up()
    pid = process.pid

    ended = await process.terminate()
    await asyncio.sleep(0.7)

    assert ended.code == 3
    assert ended.seconds < 5
    assert not psutil.pid_exists(pid)
    assert not process.is_running


async def test_a_frozen_process_is_ended_too(process: BotProcess) -> None:
    process.freeze()

    ended = await process.terminate(timeout_s=0.3)

    assert ended.code == -9


async def test_a_process_that_ends_before_it_is_ready_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = BotProcess("broken", [sys.executable, "-c", "print('no database')"], {}, log=tmp_path / "broken.log")
    await process.start()

    with pytest.raises(RuntimeError, match="no database"):
        await process.wait_ready(timeout_s=20)
