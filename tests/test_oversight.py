"""Commands of whoever answers for the bot, as processes of their own."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bot.db.engine import Sessions
from bot.repositories.workspaces import DepartureRepository
from bot.services.installations import InstallationService
from bot.values import Grant, Token
from bot.vault import Vault
from bot.wiring import make_departures
from tests.cli import run_bot, urls
from tests.conftest import OTHER_TEAM, TEAM, Database
from tests.db.conftest import rows

OLD, NEW = b"o" * 32, b"n" * 32


def listed(**keys: bytes) -> str:
    return ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in keys.items())


@pytest.fixture
async def installed(sessions: Sessions) -> None:
    service = InstallationService(sessions, Vault({"old": OLD}), make_departures(sessions))
    for team_id in (TEAM, OTHER_TEAM):
        await service.install(Grant(team_id, "A1", Token(f"xoxb-{team_id}"), "UBOT", "UADA", name="Acme"))


@pytest.mark.usefixtures("installed")
async def test_keys_are_rotated_and_the_former_one_may_go(
    database: Database, sessions: Sessions, tmp_path: Path
) -> None:
    outcome = await run_bot("tokens", "rotate", cwd=tmp_path, **urls(database), TOKEN_KEYS=listed(new=NEW, old=OLD))

    kept = await InstallationService(sessions, Vault({"new": NEW}), make_departures(sessions)).list_all()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("2 of 2 workspaces encrypted anew.")
    assert {one.access_token for one in kept} == {f"xoxb-{TEAM}", f"xoxb-{OTHER_TEAM}"}


@pytest.mark.usefixtures("installed")
async def test_what_is_missing_for_it_is_said(database: Database, tmp_path: Path) -> None:
    without = await run_bot("tokens", "rotate", cwd=tmp_path, **urls(database))
    wrong = await run_bot("tokens", "rotate", cwd=tmp_path, **urls(database), TOKEN_KEYS=listed(new=NEW))

    assert without.code == wrong.code == 1
    assert "TOKEN_KEYS is not set" in without.err
    assert "TOKEN_KEYS lacks the key old" in wrong.err
    assert "Traceback" not in without.err + wrong.err


@pytest.mark.usefixtures("installed")
async def test_tokens_whose_key_is_lost_are_forgotten_and_no_others(
    database: Database, sessions: Sessions, tmp_path: Path
) -> None:
    new = InstallationService(sessions, Vault({"new": NEW}), make_departures(sessions))
    await new.install(Grant(TEAM, "A1", Token("xoxb-new"), "UBOT", "UADA", name="Acme"))
    setting = {**urls(database), "TOKEN_KEYS": listed(new=NEW)}

    first = await run_bot("tokens", "discard", "--yes", cwd=tmp_path, **setting)
    again = await run_bot("tokens", "discard", "--yes", cwd=tmp_path, **setting)

    assert (first.code, again.code) == (0, 0)
    assert first.out.startswith(f"Acme ({OTHER_TEAM}): forgotten.")
    assert "nothing was forgotten" in again.out
    assert [(one.team_id, one.access_token) for one in await new.list_all()] == [(TEAM, "xoxb-new")]


@pytest.mark.usefixtures("installed")
async def test_a_workspace_that_was_uninstalled_and_whose_key_is_lost_is_purged_when_it_is_forgotten(
    database: Database, sessions: Sessions, tmp_path: Path
) -> None:
    async with sessions.purging(OTHER_TEAM) as session:
        await DepartureRepository(session).record(OTHER_TEAM)
    setting = {**urls(database), "TOKEN_KEYS": listed(new=NEW)}

    outcome = await run_bot("tokens", "discard", "--yes", cwd=tmp_path, **setting)

    assert (outcome.code, outcome.err) == (0, "")
    assert await rows(database.owner_url, "SELECT team_id FROM installations") == []
