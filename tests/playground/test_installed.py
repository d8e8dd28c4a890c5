from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bot.playground.installed import BOT_SCOPES, COMMANDS, MORE_SCOPES, MORE_SUBSCRIPTIONS, SUBSCRIPTIONS
from bot.playground.state import Json


@pytest.fixture(scope="module")
def manifest() -> Json:
    loaded: Json = yaml.safe_load((Path(__file__).parents[2] / "manifest.yml").read_text("utf-8"))
    return loaded


def test_the_app_is_installed_as_its_manifest_asks(manifest: Json) -> None:
    scopes = manifest["oauth_config"]["scopes"]

    assert {*scopes["bot"], *scopes["bot_optional"]} == BOT_SCOPES
    assert set(manifest["settings"]["event_subscriptions"]["bot_events"]) == SUBSCRIPTIONS
    assert [command["command"] for command in manifest["features"]["slash_commands"]] == list(COMMANDS)


def test_what_else_there_is_is_really_more() -> None:
    assert not BOT_SCOPES & MORE_SCOPES
    assert not SUBSCRIPTIONS & MORE_SUBSCRIPTIONS
