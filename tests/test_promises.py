"""The documents are held to the code: what README and manifest promise is there."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml
from slack_bolt.async_app import AsyncApp
from slack_bolt.kwargs_injection.async_args import AsyncArgs
from slack_sdk.web.async_client import AsyncWebClient

from bot.__main__ import cli
from bot.config import SLACK_OWN_COMMANDS, Settings
from bot.slack import EVENTS, register
from bot.slack.actions import ActionListeners
from bot.slack.commands import CommandListeners
from bot.slack.events import EventListeners
from bot.slack.membership import MembershipListeners
from bot.slack.uninstalling import UninstallListeners

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text())


def unwired(kind: type) -> Any:
    """Return an object whose methods can be registered; it is never called."""
    return object.__new__(kind)


def registered(names: tuple[str, str, str]) -> tuple[AsyncApp, list[Any]]:
    app = AsyncApp(client=AsyncWebClient("xoxb-none"), process_before_response=True)
    register(
        app,
        events=unwired(EventListeners),
        membership=unwired(MembershipListeners),
        commands=unwired(CommandListeners),
        actions=unwired(ActionListeners),
        uninstalling=unwired(UninstallListeners),
        names=names,
    )
    return app, list(app._async_listeners)


def test_readme_lists_every_setting_with_its_default_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", README, re.MULTILINE))

    fields = {name.upper(): field.default for name, field in Settings.model_fields.items()}

    assert rows == {name: "" if default is None else f"`{default}`" for name, default in fields.items()}


def test_the_example_environment_names_every_setting() -> None:
    named = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert {name.upper() for name in Settings.model_fields} <= named


def test_readme_names_every_command_of_the_command_line_and_no_other() -> None:
    named = set(re.findall(r"`bot (\w+)", README))

    commands = typer.main.get_command(cli).commands  # type: ignore[attr-defined]  # a group, by its callback

    assert named == set(commands)


def test_every_make_target_that_readme_names_exists() -> None:
    named = set(re.findall(r"`?make (\w+)", README)) - {"one"}
    makefile = (ROOT / "Makefile").read_text()

    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_every_file_that_the_documents_link_to_exists() -> None:
    documents = (ROOT / "README.md", ROOT / "docs" / "ARCHITECTURE.md", ROOT / "docs" / "operations.md")
    targets = [
        document.parent / target
        for document in documents
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    ]
    missing = [str(target) for target in targets if not target.exists()]

    assert missing == []


def test_the_manifest_subscribes_to_what_is_listened_to() -> None:
    subscribed = {event.partition(".")[0] for event in MANIFEST["settings"]["event_subscriptions"]["bot_events"]}

    assert subscribed == set(EVENTS)


def test_every_event_of_the_manifest_is_registered() -> None:
    source = inspect.getsource(register)

    assert set(re.findall(r'app\.event\("(\w+)"\)', source)) == set(EVENTS)


def test_the_manifest_declares_the_default_commands() -> None:
    declared = {command["command"] for command in MANIFEST["features"]["slash_commands"]}
    settings = Settings(_env_file=None)

    assert declared == {settings.command_ask, settings.command_find, settings.command_docs}


def test_no_command_is_one_of_slacks_own() -> None:
    declared = {command["command"].removeprefix("/") for command in MANIFEST["features"]["slash_commands"]}

    assert not declared & SLACK_OWN_COMMANDS


def test_every_listener_parameter_is_one_that_bolt_injects() -> None:
    _, listeners = registered(("/ask", "/find", "/docs"))
    known = set(inspect.signature(AsyncArgs.__init__).parameters)

    wanted = {name for listener in listeners for name in inspect.signature(listener.ack_function).parameters}

    assert len(listeners) >= 10
    assert wanted - known == set()


@pytest.mark.parametrize("version", [1, 2])
def test_the_manifest_is_valid_by_slacks_own_schema(shared: Path, version: int) -> None:
    schema = json.loads((shared / "contracts" / f"manifest.schema.{version}.0.0.json").read_text())
    manifest = {**MANIFEST, "_metadata": {"major_version": version, "minor_version": 1}}

    errors = list(jsonschema.validators.validator_for(schema)(schema).iter_errors(manifest))

    assert [error.message for error in errors] == []


def test_nothing_committed_names_a_registry_or_a_path_of_this_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    registries = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npm" + "js", "deb.debian" + ".org")
    named = []
    for name in tracked.stdout.split("\n"):
        path = ROOT / name
        if not path.is_file() or path.suffix in {".png", ".pdf", ".docx", ".pptx", ".onnx"}:
            continue
        content = path.read_text(errors="replace")
        named += [f"{name}: {word}" for word in (*registries, "/work" + "/") if word in content]

    assert named == []
