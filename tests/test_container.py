"""The image, the composition and .env.example, held to the settings and the tree they speak of."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from bot.config import Settings
from bot.stopping import MARGIN_S

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE_ONLY = {"POSTGRES_PASSWORD": "recollect", "RECOLLECT_BOT_PASSWORD": "recollect_bot"}


def compose() -> dict[str, Any]:
    composition = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert isinstance(composition, dict)
    return composition


def test_the_example_names_every_setting_with_its_default() -> None:
    example = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(\S*)$", example, re.MULTILINE))

    defaults = {
        name.upper(): "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert shown == defaults | COMPOSE_ONLY


def test_copying_the_example_as_it_is_changes_no_setting(tmp_path: Path, monkeypatch: Any) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())

    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)


def test_secrets_of_the_example_are_empty() -> None:
    example = (ROOT / ".env.example").read_text()
    secrets = [name.upper() for name, field in Settings.model_fields.items() if SecretStr in _types(field.annotation)]

    assert secrets
    assert all(f"\n{name}=\n" in example for name in secrets)


def _types(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))


def test_the_image_holds_what_runs_and_nothing_else() -> None:
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

    assert set(allowed) == {"bot", "alembic", "alembic.ini", "manifest.yml", "requirements.lock"}
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_the_image_checks_hashes_and_does_not_run_as_root() -> None:
    assert "--require-hashes -r /requirements.lock" in DOCKERFILE
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["recollect"]
    assert DOCKERFILE.index("USER recollect") < DOCKERFILE.index("ENTRYPOINT")
    assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2


def test_the_image_asks_its_own_health() -> None:
    assert re.search(r"HEALTHCHECK .*\\\n +CMD .*/healthz", DOCKERFILE)


def test_compose_gives_the_bot_a_role_that_is_not_the_owner() -> None:
    environment = compose()["services"]["bot"]["environment"]

    assert environment["DATABASE_OWNER_URL"].startswith("postgresql+asyncpg://postgres:")
    assert environment["DATABASE_URL"].startswith("postgresql+asyncpg://recollect_bot:")


def test_compose_publishes_on_loopback_alone_and_the_database_nowhere() -> None:
    services = compose()["services"]

    assert all(port.startswith("127.0.0.1:") for port in services["bot"]["ports"])
    assert "ports" not in services["db"]


def test_compose_waits_for_a_database_that_keeps_its_data() -> None:
    services = compose()["services"]

    assert services["bot"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert "--host=127.0.0.1" in services["db"]["healthcheck"]["test"]
    assert services["db"]["volumes"] == ["db:/var/lib/postgresql/data"]


def test_compose_joins_the_workspace_when_there_is_a_token_and_demonstrates_without() -> None:
    (command,) = compose()["services"]["bot"]["command"]

    asked, joined, demonstrated = re.split(r"; then exec |; fi; exec ", command)
    assert asked == 'if [ -n "$$SLACK_BOT_TOKEN$$SLACK_CLIENT_ID" ]'
    assert joined == "python -m bot run"
    assert demonstrated == "python -m bot demo --host 0.0.0.0"


def test_compose_brings_workers_on_request_which_differ_from_the_bot_in_what_they_run_alone() -> None:
    services = compose()["services"]
    bot, worker = services["bot"], services["worker"]

    assert worker["profiles"] == ["workers"]
    assert [*worker["entrypoint"], *worker["command"]] == ["python", "-m", "bot", "worker"]
    assert worker["ports"] == []
    own = {"profiles", "entrypoint", "command", "ports"}
    assert {name: value for name, value in worker.items() if name not in own} == {
        name: value for name, value in bot.items() if name not in own
    }


def test_a_process_gets_more_time_to_stop_than_it_takes() -> None:
    grace = compose()["services"]["bot"]["stop_grace_period"]

    assert float(grace.removesuffix("s")) > Settings(_env_file=None).stop_grace_s + MARGIN_S
