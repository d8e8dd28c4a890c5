from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
import typer

from bot import console
from bot.config import Settings
from bot.errors import DatabaseUnavailable, NotFound, ServiceUnavailable


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was found: a command sets it up for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def code_of(error: BaseException | None = None, code: int | None = None) -> int:
    """Run a command that fails or returns like this; return the process's exit code."""

    async def work(_: Settings) -> int | None:
        if error is not None:
            raise error
        return code

    with pytest.raises(typer.Exit) as caught:
        console.run(work)
    return caught.value.exit_code


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_returns_is_the_exit_code(returned: int | None, code: int) -> None:
    assert code_of(code=returned) == code


def test_an_error_of_ours_is_its_sentence_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(NotFound("inner", user_message="I don't know [red]that[/red].")) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "I don't know [red]that[/red].\n"


def test_an_unexpected_error_is_a_number_whose_story_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(ZeroDivisionError("xoxb-hunter2")) == 1

    err = capsys.readouterr().err
    last = err.strip().splitlines()[-1]
    number = last.removesuffix(".").split()[-1]
    assert last.startswith("Something went wrong on my side.")
    assert err.count(number) == 2
    assert "ZeroDivisionError" in err
    assert "hunter2" not in err


def test_ctrl_c_ends_a_command_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(KeyboardInterrupt()) == console.INTERRUPTED

    assert "".join(capsys.readouterr()) == ""


def test_whoever_runs_the_bot_reads_why_a_service_is_away() -> None:
    settings = Settings(_env_file=None, database_url="postgresql://bot:hunter2@db:5433/x")

    assert "at db, port 5433" in console.explanation(DatabaseUnavailable("gone"), settings)
    assert "hunter2" not in console.explanation(DatabaseUnavailable("gone"), settings)
    assert "(Slack: timeout)" in console.explanation(ServiceUnavailable("Slack: timeout"), settings)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nof two lines", "plain\ttext\nof two lines"),
        ("\x1b]0;owned\x07", "\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}"),
        ("a\rb", "a\N{REPLACEMENT CHARACTER}b"),
        ("\u202etxt.exe", "\N{REPLACEMENT CHARACTER}txt.exe"),
        ("資料 é 📎", "資料 é 📎"),
    ],
)
def test_what_steers_a_terminal_is_not_printed(text: str, shown: str) -> None:
    assert console.printable(text) == shown
