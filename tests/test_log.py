from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot import log

SECRETS = [
    "xoxb-1234-abcd",
    "xoxe.xoxp-1-Mi0yLTk",
    "xapp-1-A0-1234",
    "sk-proj-abcdefghij",
    "rk_T0TEST_01a204a6e25e717281391979d5aac393_9y8iCjNmB3XJe6fkIVybTmaXb6jHn5xxSiU3rPu8N_Q",
]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was found."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def fail(*parts: str) -> None:
    """Raise with the first part; all of them together are a local variable."""
    whole = "".join(parts)
    raise ValueError(parts[0] if len(parts) == 1 else len(whole))


@pytest.mark.parametrize("secret", SECRETS)
def test_tokens_and_keys_are_blotted_out(secret: str) -> None:
    redacted = log.Redactor().text(f"before {secret} after")

    assert secret[-4:] not in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


def test_passwords_in_addresses_and_bearers_are_blotted_out() -> None:
    assert log.Redactor().text("postgresql://bot:hunter2@db/x") == "postgresql://…@db/x"
    assert log.Redactor().text("Authorization: Bearer hunter2") == "Authorization: Bearer …"


def test_known_secrets_are_blotted_out_whatever_they_look_like() -> None:
    redactor = log.Redactor(["0123456789abcdef", "p@ss/word", "abc"])

    assert redactor.text("signed with 0123456789abcdef, p@ss/word, p%40ss%2Fword, abc") == "signed with …, …, …, abc"


def test_ordinary_text_stays_as_it_is() -> None:
    text = "question.answered in https://example.com/a:b risk-free at 12:30"

    assert log.Redactor().text(text) == text


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_secrets_leave_neither_by_fields_nor_by_tracebacks(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(log_format)

    try:
        fail("postgresql://bot:hunter2@db/x")
    except ValueError:
        structlog.get_logger().exception("thing.failed", token="xoxb-hunter2")

    written = capsys.readouterr().err
    assert "thing.failed" in written
    assert "ValueError" in written
    assert "hunter2" not in written


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_local_variables(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(log_format)

    try:
        fail("the merger ", "is secret")
    except ValueError:
        structlog.get_logger().exception("thing.failed")

    assert "the merger is secret" not in capsys.readouterr().err


def test_secrets_leave_by_nothing_that_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json", secrets=["hunter2-hunter2"])
    error = ValueError("hunter2-hunter2")

    structlog.get_logger().info("thing.done", error=error, names=["hunter2-hunter2"], more={"hunter2-hunter2": error})
    try:
        raise error
    except ValueError:
        logging.getLogger("library").exception("failed")

    written = capsys.readouterr().err
    assert "thing.done" in written
    assert "Traceback" in written
    assert "hunter2" not in written


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json")

    structlog.get_logger().info("question.answered", found=True, duration_ms=12)
    structlog.get_logger().debug("not.shown")

    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert (written["event"], written["level"], written["found"]) == ("question.answered", "info", True)
    assert written["timestamp"].endswith("Z")


def test_libraries_log_warnings_and_their_secrets_are_blotted_out(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("console", "DEBUG")

    logging.getLogger("slack_sdk.web").debug("payload %s", "xoxb-hunter2")
    logging.getLogger("slack_bolt").warning("token %s", "xoxb-hunter2")

    written = capsys.readouterr().err
    assert "WARNING slack_bolt token …" in written
    assert "payload" not in written
    assert "hunter2" not in written


def test_standard_output_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("console")

    structlog.get_logger().info("question.answered")

    assert capsys.readouterr().out == ""
