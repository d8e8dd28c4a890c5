"""The smoke run tells right from wrong, and says so in its last line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bot.config import Settings
from bot.demo import demo
from bot.errors import InvalidSettings, ModelUnavailable
from bot.playground.local import LocalSlack
from bot.smoke import Case, Turn, smoke

OPENS = Turn("When does the office open?", "opens at  EIGHT in the morning")


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    path = tmp_path / "handbook.md"
    path.write_text("# Opening hours\n\nThe office opens at eight in the morning and closes at six.\n")
    return path


async def run(*cases: Case) -> tuple[int, list[str]]:
    """Return the exit code and the lines that were printed."""
    out = io.StringIO()
    code = await smoke(cases, Settings(_env_file=None), console=Console(file=out, width=500))
    return code, out.getvalue().splitlines()


async def test_expected_words_and_a_refusal_pass_and_missing_words_fail(handbook: Path) -> None:
    wrong = Turn("When does the office close?", "at midnight")
    unknown = Turn("Which database engine does the Mars rover run?", None)

    code, lines = await run(Case((handbook,), (OPENS, unknown, wrong)))

    assert code == 1
    assert lines[-1].startswith("smoke: failed passed=2 failed=1 cold_start_s=")
    assert "FAIL When does the office close?" in lines
    assert all(f"{name}=" in lines[-1] for name in ("ingest_s", "first_text_ms", "answer_ms"))


async def test_an_apology_is_no_refusal_and_an_answer_is_none(handbook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ModelUnavailable("down")

    unknown = Turn("Which database engine does the Mars rover run?", None)
    with monkeypatch.context() as patch:
        patch.setattr("bot.services.writer.AnswerWriter.write", fail)
        patch.setenv("MODEL_WAIT_S", "0")
        apologised, lines = await run(Case((handbook,), (unknown,)))
    assert (apologised, lines[-1].split()[1]) == (1, "failed")


async def test_files_that_are_never_read_fail_every_question(handbook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.smoke.INGEST_TIMEOUT_S", 0.01)

    code, lines = await run(Case((handbook,), (OPENS, OPENS)))

    assert code == 1
    assert lines[-1].startswith("smoke: failed passed=0 failed=2")


async def test_nothing_asked_is_nothing_passed(handbook: Path) -> None:
    code, lines = await run(Case((handbook,), ()))

    assert code == 1
    assert "smoke: failed passed=0 failed=0" in lines[-1]


async def test_a_demo_on_a_port_that_is_taken_says_so() -> None:
    async with LocalSlack() as other:
        port = int(other.url.rstrip("/").rpartition(":")[2])

        with pytest.raises(InvalidSettings) as error:
            await demo(Settings(_env_file=None), host="127.0.0.1", port=port)

    assert error.value.user_message == f"Port {port} is taken. Try another: bot demo --port {port + 1}"
