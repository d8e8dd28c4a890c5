from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import bot
from bot.errors import UnreadableFile
from bot.parsing.reasons import Limits
from bot.parsing.sandbox import child_environment, parse_in_sandbox, run_child
from bot.values import PageSpan, ParsedDocument
from tests.parsing.builders import docx, encrypted_pdf, paragraph, pdf, zip_bomb

MEBIBYTE = 2**20
SLEEP = "import time; time.sleep(60)"
EAT_MEMORY = "held = []\nwhile True: held.append(bytearray(b'x' * 4_000_000))"
READ_REQUEST = "import sys, json; request = sys.stdin.buffer.read();"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No child outlives its test, and no folder of one. Children's children don't count: a database server forks at will."""
    children, folders = set(psutil.Process().children()), _folders()
    yield
    assert set(psutil.Process().children()) <= children
    assert _folders() <= folders


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"recollect-parse-{os.getpid()}-*"))


async def reason_for(data: bytes, filename: str = "file", *, limits: Limits | None = None) -> str:
    with pytest.raises(UnreadableFile) as caught:
        await parse_in_sandbox(data, filename, limits=limits or Limits())
    return caught.value.user_message


async def failure_of(code: str, *, limits: Limits | None = None, data: bytes = b"x") -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        await run_child(("-c", code), data, "file", limits=limits or Limits())
    return caught.value


async def test_a_file_comes_back_as_a_document_with_pages() -> None:
    document = await parse_in_sandbox(pdf([["Hello."], ["World."]]), "hello.pdf")

    assert document == ParsedDocument(
        text="Hello.\n\nWorld.", file_type="pdf", pages=(PageSpan(1, 0, 6), PageSpan(2, 8, 14))
    )


async def test_any_filename_is_taken() -> None:
    document = await parse_in_sandbox(b"Words.", "\x00../../\ud800 \N{PILE OF POO}\n.md")

    assert document.text == "Words."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The file is empty."),
        (encrypted_pdf(), "The file is protected by a password. Please share a copy without one."),
        (pdf([["Cut off somewhere in here."]])[:-200], "The file is damaged or cut off, so I couldn't open it."),
        (pdf([[]]), "I found no text in this file. Perhaps it is a scan"),
        (zip_bomb(megabytes=32), "The file unpacks to more than 100 times its size"),
        (b"\x7fELF" + bytes(range(256)) * 9, "I can't read this kind of file. PDF, Word, PowerPoint"),
        (b"\x1f\x8b" + bytes(99), "This is an archive. Please unpack it"),
        (b"ID3\x04" + bytes(99), "This is a sound or video recording"),
    ],
)
async def test_each_kind_of_failure_has_its_sentence(data: bytes, sentence: str) -> None:
    assert (await reason_for(data)).startswith(sentence)


async def test_a_met_limit_is_named() -> None:
    limits = Limits(pages=2, characters=12_000, file_bytes=3 * MEBIBYTE)

    assert "more than 2 pages" in await reason_for(pdf([["a"], ["b"], ["c"]]), limits=limits)
    assert "more than 12,000 characters" in await reason_for(b"word " * 2_401, limits=limits)
    assert "up to 3 MB" in await reason_for(bytes(3 * MEBIBYTE + 1), limits=limits)


async def test_what_the_parser_said_is_in_the_log_and_never_in_the_sentence() -> None:
    with pytest.raises(UnreadableFile) as caught:
        await parse_in_sandbox(b"%PDF-1.4 rubbish", "a.pdf")

    assert "Pdfium" in str(caught.value)
    assert "Pdfium" not in caught.value.user_message


async def test_a_child_that_hangs_is_stopped() -> None:
    started = time.monotonic()

    failure = await failure_of(SLEEP, limits=Limits(wall_s=0.5))

    assert failure.user_message.startswith("Reading this file took longer than 0.5 seconds")
    assert time.monotonic() - started < 5


async def test_a_child_that_computes_without_end_is_stopped_by_the_kernel() -> None:
    spin = "from bot.parsing.child import bind; from bot.parsing.reasons import Limits\nbind(Limits(cpu_s=1))\nwhile 1: pass"

    failure = await failure_of(spin, limits=Limits(cpu_s=1))

    assert failure.user_message.startswith("Reading this file took more than 1 seconds of computing")


async def test_a_child_that_eats_memory_is_stopped_by_us() -> None:
    failure = await failure_of(EAT_MEMORY, limits=Limits(resident_bytes=150 * MEBIBYTE))

    assert failure.user_message.startswith("Reading this file took more than 150 MB of memory")


async def test_a_child_that_eats_memory_with_its_mouth_shut_is_stopped_too() -> None:
    failure = await failure_of(
        "import os; os.close(1); os.close(2)\n" + EAT_MEMORY, limits=Limits(resident_bytes=150 * MEBIBYTE)
    )

    assert failure.user_message.startswith("Reading this file took more than 150 MB of memory")


@pytest.mark.parametrize(
    "code",
    [
        "import time\nopen('a', 'wb').write(bytes(9 * 2**20)); time.sleep(60)",
        "import os, time\nos.mkdir('d')\nfor n in range(9): open(f'd/{n}', 'wb').write(bytes(2**20))\ntime.sleep(60)",
        "import time\nfor n in range(300): open(f'{n}', 'wb')\ntime.sleep(60)",
        "import os, time\nfor n in range(300):\n    os.mkdir('d'); os.chdir('d')\ntime.sleep(60)",
    ],
)
async def test_a_child_that_fills_its_folder_is_stopped(code: str) -> None:
    failure = await failure_of(code, limits=Limits(written_bytes=8 * MEBIBYTE))

    assert failure.user_message.startswith("Reading this file filled more than 8 MB of disk")


async def test_a_child_cannot_write_a_larger_file_than_it_may() -> None:
    code = (
        "import os; from bot.parsing.child import bind; from bot.parsing.reasons import Limits\n"
        "bind(Limits(written_file_bytes=2**20)); a = open('b', 'wb'); os.unlink('b')\n"
        "a.write(bytes(2 * 2**20)); a.flush()"
    )

    assert "File too large" in str(await failure_of(code))


async def test_a_child_cannot_map_more_than_its_address_space() -> None:
    code = (
        "from bot.parsing.child import bind; from bot.parsing.reasons import Limits\n"
        "bind(Limits(address_space_bytes=400 * 2**20))\n"
        "bytearray(1000 * 2**20)"
    )

    failure = await failure_of(code, limits=Limits(address_space_bytes=400 * 2**20))

    assert failure.user_message.startswith("Reading this file asked for more than 400 MB of memory")


async def test_a_child_cannot_have_more_memory_of_its_own_than_it_may_however_fast_it_is() -> None:
    code = (
        "from bot.parsing.child import bind; from bot.parsing.reasons import Limits\n"
        "bind(Limits(own_bytes=200 * 2**20))\n"
        "bytearray(300 * 2**20)"
    )

    failure = await failure_of(code, limits=Limits(own_bytes=200 * 2**20))

    assert failure.user_message.startswith("Reading this file asked for more than 200 MB of memory")


async def test_a_child_that_somebody_else_kills_is_no_fault_of_the_files() -> None:
    failure = await failure_of("import os; os.kill(os.getpid(), 9)")

    assert failure.user_message.startswith("Reading this file was cut off by the machine I run on")


async def test_a_child_that_talks_without_end_is_stopped() -> None:
    failure = await failure_of("while True: print('x' * 100_000)", limits=Limits(characters=100_000))

    assert "more than 100,000 characters" in failure.user_message


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.abort()",
        "import os; os.kill(os.getpid(), 11)",
        "raise SystemExit(3)",
        "pass",
        "print('[]')",
        "print('{}')",
        "print('not json')",
        "import os; os.write(1, b'\\xff\\n\\xff')",
        """print('{"file_type": "txt", "pages": [[1, 0, 99]], "is_markdown": false, "title": null, "language": null}\\nabc')""",
        """print('{"reason": "no such reason", "detail": ""}')""",
        READ_REQUEST + "print(json.dumps({'file_type': 'txt'}))",
    ],
)
async def test_a_child_that_dies_or_talks_nonsense_is_a_file_we_could_not_read(code: str) -> None:
    failure = await failure_of(code, data=b"x" * 200_000)

    assert (
        failure.user_message
        == "The file made my reader stumble; it may be damaged. Please save it anew and share that."
    )


async def test_what_a_child_starts_ends_with_it() -> None:
    marker = f"{time.time_ns()}"
    start_another = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}, '{marker}']); time.sleep(60)"
    )

    await failure_of(start_another, limits=Limits(wall_s=1))
    await asyncio.sleep(0.2)

    assert not any(marker in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))


async def test_a_grandchild_that_leaves_the_group_cannot_hold_us_up() -> None:
    escape = "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(6); os._exit(0)\ntime.sleep(60)"
    started = time.monotonic()

    await failure_of(escape, limits=Limits(wall_s=0.5))

    assert time.monotonic() - started < 4


async def test_a_cancelled_caller_leaves_nothing_running() -> None:
    task = asyncio.create_task(run_child(("-c", SLEEP), b"x", "file", limits=Limits()))
    await asyncio.sleep(0.3)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_files_are_read_side_by_side() -> None:
    documents = await asyncio.gather(*(parse_in_sandbox(f"Text {n}".encode(), "a.txt") for n in range(4)))

    assert [document.text for document in documents] == [f"Text {n}" for n in range(4)]


async def test_the_child_sees_no_secret_no_proxy_and_none_of_our_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    report = (
        "import os, json\n"
        "text = json.dumps([dict(os.environ), os.getcwd(), os.listdir(), os.getpgid(0) == os.getpid(), sorted(os.listdir('/proc/self/fd'))])\n"
        "header = dict(file_type='txt', pages=[], is_markdown=False, title=None, language=None)\n"
        "print(json.dumps(header)); print(text, end='')"
    )

    document = await run_child(("-c", report), b"x", "file", limits=Limits())

    assert "secret" not in document.text
    assert "proxy" not in document.text.lower()
    assert set(child_environment(Path("/home"))) >= {"HOME", "PATH", "PYTHONPATH"}
    assert "recollect-parse-" in document.text
    assert "[], true" in document.text


def test_the_child_binds_itself_for_good() -> None:
    code = (
        "import resource as r; from bot.parsing.child import bind; from bot.parsing.reasons import Limits\n"
        "bind(Limits()); print([r.getrlimit(x) for x in (r.RLIMIT_CORE, r.RLIMIT_NOFILE, r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_FSIZE)])"
    )

    assert _python(code) == f"[(0, 0), (64, 64), (20, 21), ({2 * 2**30}, {2 * 2**30}), ({2**25}, {2**25})]"


def test_the_child_loads_neither_the_database_nor_slack_nor_numpy() -> None:
    code = (
        "import sys, bot.parsing.child, bot.parsing.office, bot.parsing.mail\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} "
        "& {'numpy', 'sqlalchemy', 'slack_sdk', 'slack_bolt', 'openai', 'pydantic', 'asyncio', 'structlog', 'psutil'}))"
    )

    assert _python(code) == "[]"


def _python(code: str) -> str:
    root = str(Path(bot.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": root}
    )
    return done.stdout.strip()


async def test_a_small_file_is_read_in_well_under_a_second() -> None:
    await parse_in_sandbox(docx(paragraph("Warm.")), "a.docx")
    started = time.monotonic()

    await parse_in_sandbox(docx(paragraph("Hello.")), "a.docx")

    assert time.monotonic() - started < 2, "0.2 s on an idle machine"
