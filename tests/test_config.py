from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config import SLACK_OWN_COMMANDS, Settings
from bot.errors import InvalidSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Read neither the developer's own settings nor a .env file lying about."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def problems_of(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    """Return what a person is told about these variables, line by line."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        Settings.load()
    return caught.value.user_message.splitlines()


def missing_of(**changes: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        Settings(_env_file=None, **changes).require_slack()  # type: ignore[arg-type]  # as the environment gives them
    return caught.value.user_message


def test_nothing_set_is_enough_for_a_demo() -> None:
    settings = Settings.load()

    assert settings.database_url is None
    assert not settings.chat_is_openai
    assert not settings.embedding_is_openai


def test_all_problems_are_told_at_once_each_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = problems_of(monkeypatch, HTTP_PORT="70000", MAX_FILE_BYTES="much", COMMAND_ASK="/search")

    assert len(problems) == 3
    assert any(line.startswith("HTTP_PORT: ") for line in problems)
    assert any(line.startswith("MAX_FILE_BYTES: ") for line in problems)
    assert "COMMAND_ASK: /search is one of Slack's own commands" in problems


def test_settings_that_dont_fit_together_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = problems_of(monkeypatch, SLACK_API_URL="http://slack.test/api", CHAT_MODEL="openai", COMMAND_FIND="/ask")

    assert problems == [
        "SLACK_API_URL must end with a slash",
        "CHAT_MODEL or EMBEDDING_MODEL is openai, but OPENAI_API_KEY is not set",
        "COMMAND_ASK, COMMAND_FIND and COMMAND_DOCS must differ",
    ]


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("HTTP_PORT", "")

    settings = Settings.load()

    assert settings.openai_api_key is None
    assert settings.http_port == 3000


def test_a_dotenv_file_is_read_and_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTP_PORT=4000\nCOMMAND_ASK=/wissen\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("HTTP_PORT", "5000")

    settings = Settings.load()

    assert (settings.http_port, settings.command_ask) == (5000, "/wissen")


@pytest.mark.parametrize("command", ["ask", "/", "/Ask", "/two words", "/remind", "/status"])
def test_a_command_that_slack_wouldnt_take_is_refused(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    (problem,) = problems_of(monkeypatch, COMMAND_ASK=command)

    assert problem.startswith("COMMAND_ASK: ")


def test_none_of_our_commands_is_one_of_slacks() -> None:
    settings = Settings.load()

    for command in (settings.command_ask, settings.command_find, settings.command_docs):
        assert command.removeprefix("/") not in SLACK_OWN_COMMANDS


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://bot:p%40ss@db:5433/recollect", "postgresql+asyncpg://bot:p%40ss@db:5433/recollect"),
        ("postgresql://bot@db/recollect", "postgresql+asyncpg://bot@db/recollect"),
        ("postgresql://bot@db/recollect?sslmode=require", "postgresql+asyncpg://bot@db/recollect?ssl=require"),
        (
            "postgresql+asyncpg://bot@/recollect?host=/run/postgresql",
            "postgresql+asyncpg://bot@/recollect?host=%2Frun%2Fpostgresql",
        ),
    ],
)
def test_a_database_address_is_taken_in_any_common_form(monkeypatch: pytest.MonkeyPatch, given: str, used: str) -> None:
    monkeypatch.setenv("DATABASE_URL", given)

    assert Settings.load().database_url == used


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "mysql://bot:hunter2@db/x",
        "postgresql://bot:hunter2@db:port/x",
        "postgresql://bot:hunter2@db",
        "sqlite://",
    ],
)
def test_what_is_no_database_address_is_refused_without_showing_its_password(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    (problem,) = problems_of(monkeypatch, DATABASE_URL=address)

    assert problem == "DATABASE_URL: must be a PostgreSQL address: postgresql://user:password@host:5432/database"


def test_openai_is_used_as_soon_as_there_is_a_key_unless_local_is_asked_for() -> None:
    with_key = Settings(_env_file=None, openai_api_key="sk-test")
    mixed = Settings(_env_file=None, openai_api_key="sk-test", embedding_model="local")

    assert (with_key.chat_is_openai, with_key.embedding_is_openai) == (True, True)
    assert (mixed.chat_is_openai, mixed.embedding_is_openai) == (True, False)


def test_without_slack_tokens_it_says_what_is_missing_and_names_the_demo() -> None:
    message = missing_of()

    assert "SLACK_BOT_TOKEN is not set" in message
    assert "SLACK_APP_TOKEN" in message
    assert "SLACK_SIGNING_SECRET" in message
    assert message.endswith("bot demo")


def test_half_the_slack_settings_are_told_by_name() -> None:
    assert "SLACK_BOT_TOKEN is not set" in missing_of(slack_app_token="xapp-1")
    assert "SLACK_APP_TOKEN" in missing_of(slack_bot_token="xoxb-1")
    assert "SLACK_BOT_TOKEN is not set" not in missing_of(slack_bot_token="xoxb-1")


def test_tokens_in_each_others_place_are_noticed() -> None:
    message = missing_of(slack_bot_token="xapp-1", slack_app_token="xoxb-1")

    assert "SLACK_BOT_TOKEN doesn't look like a bot token" in message
    assert "SLACK_APP_TOKEN doesn't look like an app-level token" in message


@pytest.mark.parametrize("other", [{"slack_app_token": "xapp-1"}, {"slack_signing_secret": "s"}])
def test_a_bot_token_and_one_way_in_are_enough(other: dict[str, str]) -> None:
    Settings(_env_file=None, slack_bot_token="xoxb-1", **other).require_slack()  # type: ignore[arg-type]


def test_secrets_dont_show_in_the_settings_text() -> None:
    settings = Settings(_env_file=None, slack_bot_token="xoxb-hunter2", openai_api_key="sk-hunter2")

    assert "hunter2" not in f"{settings!r} {settings}"


def test_what_may_stand_in_no_log_is_known() -> None:
    settings = Settings(
        _env_file=None,
        slack_signing_secret=SecretStr("0123456789abcdef"),
        slack_former_signing_secret=SecretStr("fedcba9876543210"),
        database_url="postgresql://bot:hunter2@db/x",
        database_owner_url="postgresql://recollect:recollect@db/x",
    )

    assert settings.secrets == ["0123456789abcdef", "fedcba9876543210", "hunter2"]


def test_a_former_signing_secret_is_one_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = problems_of(monkeypatch, SLACK_FORMER_SIGNING_SECRET="fedcba9876543210")

    assert "SLACK_FORMER_SIGNING_SECRET is the one before SLACK_SIGNING_SECRET, which is not set" in problems
    assert "fedcba" not in str(problems)


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


KEYS = f"a:{'QUFB' * 10}QUE="
OAUTH = {
    "slack_client_id": "1.2",
    "slack_client_secret": "secret-of-the-app",
    "token_keys": KEYS,
    "public_url": "https://bot.example.com",
}


def test_oauth_stands_in_for_the_bot_token_and_says_all_that_is_missing() -> None:
    Settings(_env_file=None, **OAUTH, slack_signing_secret="s").require_slack()  # type: ignore[arg-type]  # as above
    Settings(_env_file=None, **OAUTH, slack_app_token="xapp-1").require_slack()  # type: ignore[arg-type]  # as above

    nothing_else = missing_of(slack_client_id="1.2")
    no_way_in = missing_of(**OAUTH)
    both = missing_of(**OAUTH, slack_bot_token="xoxb-1", slack_signing_secret="s")

    assert [line.split(" ")[0] for line in nothing_else.splitlines()[:3]] == [
        "SLACK_CLIENT_SECRET",
        "TOKEN_KEYS",
        "PUBLIC_URL",
    ]
    assert "SLACK_SIGNING_SECRET" in no_way_in
    assert "set one of them" in both


def test_keys_and_addresses_that_cant_be_are_told_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = problems_of(monkeypatch, TOKEN_KEYS="a:c2hvcnQtc2VjcmV0", PUBLIC_URL="http://bot.example.com")

    assert problems == [
        "TOKEN_KEYS: the key a has 12 bytes, not 32: openssl rand -base64 32",
        "PUBLIC_URL: must be an address and nothing more: https://recollect.example.com",
    ]


def test_each_key_alone_is_a_secret_too() -> None:
    settings = Settings(_env_file=None, **OAUTH)  # type: ignore[arg-type]  # as above

    assert {KEYS.removeprefix("a:"), "secret-of-the-app"} <= set(settings.secrets)
