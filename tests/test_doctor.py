from __future__ import annotations

import itertools
import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from bot.config import Settings
from bot.db.engine import Sessions
from bot.doctor import doctor, examine
from bot.doctor.disk import check_disk
from bot.doctor.finding import Finding, Verdict
from bot.doctor.leaks import leak_test
from bot.llm.local import LocalEmbedder
from bot.playground.local import LocalSlack
from bot.repositories.channels import ChannelRepository
from bot.services.ingest import Upload
from bot.services.ports import Unclaimed
from bot.slack.scopes import BOT_SCOPES, OPTIONAL_SCOPES
from bot.values import LOCAL_TEAM_ID, Share
from bot.workspace import open_workspace
from tests.cli import ROOT, run_bot, urls
from tests.conftest import BOT, Database, execute
from tests.fakes import FakeOpenAI

_numbers = itertools.count()


def settings_for(database: Database, **changes: Any) -> Settings:
    values = {"database_url": database.bot_url, "database_owner_url": database.owner_url, **changes}
    return Settings(_env_file=None, **values)


def tokens(slack: LocalSlack, **changes: Any) -> dict[str, Any]:
    return {
        "slack_bot_token": slack.bot_token,
        "slack_app_token": slack.app_token,
        "slack_api_url": slack.api_url,
        **changes,
    }


async def findings_of(settings: Settings) -> dict[str, Finding]:
    """Return what the doctor finds, by subject."""
    return {finding.subject: finding async for finding in examine(settings)}


@pytest.fixture
async def stranger(database: Database) -> AsyncIterator[Database]:
    """The test's database, reached by a role that has nothing to do with it."""
    role = f"recollect_stranger_{os.getpid()}_{next(_numbers)}"
    await execute(database.owner_url, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    url = make_url(database.bot_url).set(username=role, password="secret")
    yield Database(database.owner_url, url.render_as_string(hide_password=False))
    await execute(
        database.owner_url, f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP OWNED BY {role}", f"DROP ROLE {role}"
    )


async def test_all_is_well_where_all_is_well(database: Database) -> None:
    async with LocalSlack() as slack:
        found = await findings_of(settings_for(database, **tokens(slack)))

    walls = {"Sandbox files", "Sandbox network", "Sandbox processes"}  # whether they stand is the kernel's business
    assert {finding.verdict for subject, finding in found.items() if subject not in walls} == {Verdict.OK}, found
    assert set(found) == {
        *walls,
        *("Slack token", "Scopes", "App token", "PostgreSQL", "pgvector", "Tables", "Role"),
        *("Embedding model", "Stored vectors", "Chat model"),
    }


async def test_without_slack_it_warns_and_looks_at_the_rest(database: Database) -> None:
    found = await findings_of(settings_for(database))

    assert found["Slack"].verdict is Verdict.WARN
    assert "SLACK_BOT_TOKEN" in (found["Slack"].mend or "")
    assert found["Chat model"].verdict is Verdict.OK


async def test_half_of_slacks_settings_are_a_failure(database: Database) -> None:
    found = await findings_of(settings_for(database, slack_bot_token="xoxb-1"))

    assert found["Slack"].verdict is Verdict.FAIL
    assert "SLACK_APP_TOKEN" in found["Slack"].text


async def test_a_refused_bot_token_is_a_failure_and_the_rest_is_still_looked_at(database: Database) -> None:
    async with LocalSlack() as slack:
        found = await findings_of(settings_for(database, **tokens(slack, slack_bot_token="xoxb-wrong")))

    assert found["Slack"].verdict is Verdict.FAIL
    assert "SLACK_BOT_TOKEN" in found["Slack"].text
    assert found["Chat model"].verdict is Verdict.OK


async def test_a_refused_app_token_is_a_failure(database: Database) -> None:
    async with LocalSlack() as slack:
        found = await findings_of(settings_for(database, **tokens(slack, slack_app_token="xapp-wrong")))

    assert found["Slack"].verdict is Verdict.FAIL
    assert "connections:write" in found["Slack"].text


async def test_a_slack_that_is_away_is_a_failure(database: Database) -> None:
    async with LocalSlack() as slack:
        settings = settings_for(database, **tokens(slack))

    found = await findings_of(settings)

    assert found["Slack"].verdict is Verdict.FAIL
    assert "Slack" in found["Slack"].text


async def test_a_missing_scope_is_named_with_what_it_is_for(database: Database) -> None:
    held = [scope for scope in BOT_SCOPES if scope != "files:read"]
    async with LocalSlack(scopes=held) as slack:
        found = await findings_of(settings_for(database, **tokens(slack)))

    assert found["Scopes"].verdict is Verdict.FAIL
    assert found["Scopes"].text == "missing: files:read (to read shared files)"
    assert "install the app again" in (found["Scopes"].mend or "")


async def test_an_optional_scope_may_be_missing(database: Database) -> None:
    async with LocalSlack(scopes=list(BOT_SCOPES)) as slack:
        found = await findings_of(settings_for(database, **tokens(slack)))

    assert found["Scopes"].verdict is Verdict.OK
    assert "users:read.email" in found["Scopes"].text


@pytest.mark.parametrize(("secret", "verdict"), [("0123456789abcdef" * 2, Verdict.OK), ("copied wrong", Verdict.WARN)])
async def test_a_signing_secret_is_looked_at_by_its_shape(database: Database, secret: str, verdict: Verdict) -> None:
    async with LocalSlack() as slack:
        settings = settings_for(database, **tokens(slack, slack_app_token=None, slack_signing_secret=secret))
        found = await findings_of(settings)

    assert found["Signing secret"].verdict is verdict
    assert "/slack/events" in found["Signing secret"].text


def test_the_scopes_looked_for_are_those_of_the_manifest() -> None:
    scopes = yaml.safe_load((ROOT / "manifest.yml").read_text())["oauth_config"]["scopes"]

    assert sorted(BOT_SCOPES) == sorted(scopes["bot"])
    assert sorted(OPTIONAL_SCOPES) == sorted(scopes["bot_optional"])


async def test_a_database_that_is_down_is_a_failure_and_hides_the_models() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"postgresql://bot:hunter2@127.0.0.1:{reserved.getsockname()[1]}/x"
        found = await findings_of(Settings(_env_file=None, database_url=url))

    assert found["Database"].verdict is Verdict.FAIL
    assert "I can't reach PostgreSQL at 127.0.0.1" in found["Database"].text
    assert "hunter2" not in found["Database"].text
    assert found["Models"].verdict is Verdict.WARN


async def test_a_database_without_our_tables_is_a_warning_with_the_way_out(empty_database: Database) -> None:
    found = await findings_of(settings_for(empty_database))

    assert found["pgvector"].verdict is Verdict.WARN
    assert found["Tables"].verdict is Verdict.WARN
    assert "bot migrate up" in (found["Tables"].mend or "")
    assert "Role" not in found


async def test_tables_of_a_newer_release_are_a_warning_and_the_models_are_looked_at(database: Database) -> None:
    await execute(database.owner_url, "UPDATE alembic_version SET version_num = '9999'")

    found = await findings_of(settings_for(database))

    assert found["Release"].verdict is Verdict.WARN
    assert "9999" in found["Release"].text
    assert "Tables" not in found
    assert found["Embedding model"].verdict is Verdict.OK


async def test_a_bot_that_is_the_owner_is_a_failure(database: Database) -> None:
    found = await findings_of(settings_for(database, database_url=database.owner_url))

    assert found["Role"].verdict is Verdict.FAIL
    assert "DATABASE_OWNER_URL" in (found["Role"].mend or "")


async def test_a_bot_that_owns_a_single_table_is_a_failure(stranger: Database) -> None:
    role = make_url(stranger.bot_url).username
    await execute(stranger.owner_url, f"GRANT {BOT} TO {role}", f"ALTER TABLE tombstones OWNER TO {role}")

    found = await findings_of(settings_for(stranger))

    assert found["Role"].verdict is Verdict.FAIL
    assert "owns some of the tables (1)" in found["Role"].text


async def test_a_role_without_rights_is_a_failure_with_the_grant_it_needs(stranger: Database) -> None:
    found = await findings_of(settings_for(stranger))

    assert found["Rights"].verdict is Verdict.FAIL
    assert "GRANT" in (found["Rights"].mend or "")
    assert found["Models"].verdict is Verdict.WARN


async def test_another_embedding_model_in_the_settings_is_a_warning_and_the_recorded_one_is_tried(
    database: Database, sessions: Sessions
) -> None:
    async with sessions.tenant(LOCAL_TEAM_ID) as session:
        await ChannelRepository(session).record_embedding_model(
            LOCAL_TEAM_ID, LocalEmbedder.name, LocalEmbedder.dimensions
        )

    async with FakeOpenAI().running() as openai:
        settings = settings_for(database, openai_api_key="sk-test", openai_base_url=openai.base_url)
        found = await findings_of(settings)

    assert found["Stored vectors"].verdict is Verdict.WARN
    assert LocalEmbedder.name in found["Embedding model"].text
    assert "EMBEDDING_MODEL" in (found["Stored vectors"].mend or "")
    assert found["Chat model"].verdict is Verdict.OK


async def test_a_refused_key_is_a_failure(database: Database) -> None:
    async with FakeOpenAI().running() as openai:
        openai.fails(401, code="invalid_api_key", times=2)
        settings = settings_for(database, openai_api_key="sk-hunter2", openai_base_url=openai.base_url)
        found = await findings_of(settings)

    assert found["Models"].verdict is Verdict.FAIL
    assert "OPENAI_API_KEY" in found["Models"].text
    assert "hunter2" not in found["Models"].text


async def test_a_model_that_talks_past_the_question_is_a_warning(database: Database) -> None:
    async with FakeOpenAI().running() as openai:
        openai.text = "Certainly!"
        settings = settings_for(database, openai_api_key="sk-test", openai_base_url=openai.base_url)
        found = await findings_of(settings)

    assert found["Chat model"].verdict is Verdict.WARN
    assert "OPENAI_CHAT_MODEL" in (found["Chat model"].mend or "")


def test_the_room_on_the_disk_is_told_for_a_home_that_isnt_there_yet(tmp_path: Path) -> None:
    home = tmp_path / "not" / "yet"

    assert check_disk(home, low_bytes=0, full_bytes=0).verdict is Verdict.OK
    assert check_disk(home, low_bytes=2**60, full_bytes=0).verdict is Verdict.WARN
    assert check_disk(home, full_bytes=2**60).verdict is Verdict.FAIL
    assert "RECOLLECT_HOME" in (check_disk(home, full_bytes=2**60).mend or "")
    assert not home.exists()


async def test_the_report_shows_each_finding_with_its_cure(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await doctor(settings_for(database)) == 0

    out = capsys.readouterr().out
    assert "✓ ok   pgvector: version " in out
    assert "! warn Slack: no token is set" in out
    assert "        → For a real workspace set SLACK_BOT_TOKEN" in out


async def test_the_command_fails_when_a_check_does(tmp_path: Path, database: Database) -> None:
    outcome = await run_bot("doctor", cwd=tmp_path, **{**urls(database), "DATABASE_URL": database.owner_url})

    assert outcome.code == 1
    assert "✗ fail Role: " in outcome.out
    assert "Traceback" not in outcome.err


# The leak test


async def test_the_leak_test_proves_by_slacks_own_word_that_nothing_leaks(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    async with LocalSlack() as slack:
        settings = settings_for(database, **tokens(slack))
        await share_a_secret(slack, settings)

        assert await leak_test(settings, sample=10) == 0
        kept = capsys.readouterr().out
        await execute(database.owner_url, "DROP POLICY readers ON document_chunks")
        assert await leak_test(settings, sample=10) == 1
        leaked = capsys.readouterr().out

    assert "3 people and 2 channels, 5 audiences: " in kept
    assert "✗ fail" in leaked
    assert re.search(r"document [0-9a-f-]{36} by document_chunks to [CU]\w+", leaked)
    assert "hedgehog" not in kept + leaked


async def share_a_secret(slack: LocalSlack, settings: Settings) -> None:
    """Share a note with everybody, and one in a private channel of Ada's."""
    ada, ben = slack.add_user("Ada"), slack.add_user("Ben")
    everybody = slack.add_channel("general", members=[ada, ben])
    private = slack.add_channel("secret", kind="private", members=[ada])
    async with open_workspace(settings) as workspace:
        services = workspace.services
        operator = await services.users.operator(services.team_id)
        for number, channel in enumerate((everybody, private)):
            note = f"The hedgehog number {number} sleeps under the stairs.".encode()
            upload = Upload(services.team_id, f"{number}.txt", note, Share(channel.id, operator.id))
            await services.ingest.ingest(upload, claim=Unclaimed())


async def test_the_leak_test_needs_slack(database: Database, tmp_path: Path) -> None:
    done = await run_bot("doctor", "--leak-test", cwd=tmp_path, **urls(database))

    assert done.code != 0
    assert "set SLACK_BOT_TOKEN" in done.out + done.err
    assert "Traceback" not in done.out + done.err


async def test_the_leak_test_has_nothing_to_prove_where_nothing_is_shared(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    async with LocalSlack() as slack:
        assert await leak_test(settings_for(database, **tokens(slack)), sample=10) == 0

    assert "nothing to prove" in capsys.readouterr().out
