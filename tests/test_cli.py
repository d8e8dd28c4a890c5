from __future__ import annotations

import asyncio
import json
import os
import pwd
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url

from bot.db.engine import Sessions
from bot.errors import Unauthenticated
from bot.playground.local import LocalSlack
from bot.services.users import Scope, UserService
from bot.values import LOCAL_TEAM_ID
from tests.cli import Outcome, run_bot, start_bot, urls
from tests.conftest import OTHER_TEAM, Database, execute

HANDBOOK = (
    "# Opening hours\n\nThe office opens at eight in the morning and closes at six.\n\n"
    "# Holidays\n\nEvery employee has twenty-seven days of holiday a year.\n"
)


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    path = tmp_path / "handbook.md"
    path.write_text(HANDBOOK)
    return path


def tokens(slack: LocalSlack, **other: str) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "HTTP_PORT": "0",
        **other,
    }


async def test_the_version_and_the_commands_are_shown(tmp_path: Path) -> None:
    version = await run_bot("--version", cwd=tmp_path)
    help_text = await run_bot("--help", cwd=tmp_path)

    assert version.code == 0
    assert version.out.startswith("recollect ")
    for command in ("demo", "run", "doctor", "ask", "search", "ingest", "smoke", "migrate", "keys"):
        assert f"\n  {command} " in help_text.out


async def test_run_without_settings_says_what_is_missing_and_names_the_demo(tmp_path: Path) -> None:
    outcome = await run_bot("run", cwd=tmp_path)

    assert outcome.code == 1
    assert "SLACK_BOT_TOKEN is not set" in outcome.err
    assert "bot demo" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


async def test_settings_that_make_no_sense_are_told_all_at_once(tmp_path: Path) -> None:
    outcome = await run_bot("search", "x", cwd=tmp_path, HTTP_PORT="many", DATABASE_URL="mysql://bot:hunter2@db/x")

    assert outcome.code == 1
    assert "HTTP_PORT: " in outcome.err
    assert "DATABASE_URL: must be a PostgreSQL address" in outcome.err
    assert "hunter2" not in outcome.err


async def test_a_database_that_is_down_is_named_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as reserved:  # bound and not listening: connections are refused
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        outcome = await run_bot(
            "search", "x", cwd=tmp_path, DATABASE_URL=f"postgresql://bot:hunter2@127.0.0.1:{port}/x"
        )

    assert outcome.code == 1
    assert f"I can't reach PostgreSQL at 127.0.0.1, port {port}." in outcome.err
    assert "Traceback" not in outcome.err
    assert "hunter2" not in outcome.err


async def test_a_database_that_isnt_there_is_told_from_one_that_is_down(tmp_path: Path, database: Database) -> None:
    elsewhere = make_url(database.owner_url).set(database="nowhere").render_as_string(hide_password=False)

    outcome = await run_bot("search", "x", cwd=tmp_path, DATABASE_URL=elsewhere)

    assert outcome.code == 1
    assert "PostgreSQL answers, and refuses" in outcome.err
    assert "Traceback" not in outcome.err


async def test_a_token_that_slack_refuses_is_named(tmp_path: Path, database: Database) -> None:
    async with LocalSlack() as slack:
        outcome = await run_bot("run", cwd=tmp_path, **urls(database), **tokens(slack, SLACK_BOT_TOKEN="xoxb-wrong"))

    assert outcome.code == 1
    assert "Slack refuses SLACK_BOT_TOKEN" in outcome.err
    assert "Traceback" not in outcome.err


async def test_an_app_token_that_slack_refuses_is_named(tmp_path: Path, database: Database) -> None:
    async with LocalSlack() as slack:
        outcome = await run_bot("run", cwd=tmp_path, **urls(database), **tokens(slack, SLACK_APP_TOKEN="xapp-wrong"))

    assert outcome.code == 1
    assert "SLACK_APP_TOKEN" in outcome.err
    assert "Traceback" not in outcome.err


async def test_a_slack_that_doesnt_answer_is_told_in_a_sentence(tmp_path: Path, database: Database) -> None:
    async with LocalSlack() as slack:
        environment = tokens(slack)

    outcome = await run_bot("run", cwd=tmp_path, **urls(database), **environment)

    assert outcome.code == 1
    assert "Slack" in outcome.err
    assert "Traceback" not in outcome.err


async def test_a_taken_port_is_named(tmp_path: Path, database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with LocalSlack() as slack:
            run = await run_bot("run", cwd=tmp_path, **urls(database), **tokens(slack, HTTP_PORT=port))
        demo = await run_bot("demo", "--no-open", "--port", port, cwd=tmp_path, **urls(database))

    assert (run.code, demo.code) == (1, 1)
    assert f"port {port}: it is taken" in run.err
    assert f"{port}" in demo.err
    assert "Traceback" not in run.err + demo.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_running_bot_ends_quietly_when_told_to(
    tmp_path: Path, database: Database, number: signal.Signals
) -> None:
    async with LocalSlack() as slack:
        process = await start_bot("run", cwd=tmp_path, **urls(database), **tokens(slack))
        assert process.stderr is not None
        lines: list[bytes] = []
        async with asyncio.timeout(60):
            while b"bot.started" not in (line := await process.stderr.readline()):
                assert line, b"".join(lines).decode()
                lines.append(line)
        process.send_signal(number)
        _, rest = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    assert "Traceback" not in rest.decode()


async def test_a_file_is_read_found_and_asked_about(tmp_path: Path, database: Database, handbook: Path) -> None:
    read = await run_bot("ingest", str(handbook), cwd=tmp_path, **urls(database))
    again = await run_bot("ingest", str(handbook), cwd=tmp_path, **urls(database))
    found = await run_bot("search", "holiday", "days", cwd=tmp_path, **urls(database))
    question = "How many days of holiday do employees have?"
    answer = await run_bot("ask", question, cwd=tmp_path, **urls(database))
    elsewhere = await run_bot("ask", question, "--team", OTHER_TEAM, cwd=tmp_path, **urls(database))

    assert read.code == 0, read.err
    assert "✓ handbook.md: " in read.err
    assert "known already" in again.err
    assert found.out.startswith("1. handbook.md")
    assert "twenty-seven days" in found.out
    assert answer.code == 0
    assert "“Every employee has twenty-seven days of holiday a year.”" in answer.out
    assert answer.err == ""
    assert elsewhere.code == 1
    assert "twenty-seven" not in elsewhere.out


async def test_every_file_that_cant_be_read_is_named_with_the_reason_and_the_others_are_kept(
    tmp_path: Path, database: Database, handbook: Path
) -> None:
    (tmp_path / "empty.pdf").touch()
    (tmp_path / "[bold]tricks\x1b[2J.txt").write_bytes(b"\x00\x01\x02" * 100)
    files = [str(path) for path in sorted(tmp_path.iterdir())]

    outcome = await run_bot("ingest", *files, "nowhere.txt", str(tmp_path), cwd=tmp_path, **urls(database))

    assert outcome.code == 1
    assert "✗ empty.pdf: " in outcome.err
    assert "✗ nowhere.txt: There is no such file." in outcome.err
    assert "It is a directory." in outcome.err
    assert "✗ [bold]tricks\N{REPLACEMENT CHARACTER}[2J.txt: " in outcome.err
    assert "✓ handbook.md: " in outcome.err
    assert "4 of 5 files couldn't be read." in outcome.err


async def test_an_unknown_channel_or_workspace_is_refused_before_anything_is_read(
    tmp_path: Path, database: Database, handbook: Path
) -> None:
    channel = await run_bot("ingest", str(handbook), "--channel", "C404", cwd=tmp_path, **urls(database))
    team = await run_bot("ingest", str(handbook), "--team", "no team", cwd=tmp_path, **urls(database))

    assert (channel.code, team.code) == (1, 1)
    assert "I don't know a channel C404" in channel.err
    assert "no team is no workspace id" in team.err


async def test_a_printed_key_works_and_is_all_that_standard_output_holds(
    tmp_path: Path, database: Database, sessions: Sessions
) -> None:
    arguments = ("keys", "create", "--email", "ada@example.com", "--name", "Ada")
    first = await run_bot(*arguments, cwd=tmp_path, **urls(database))
    second = await run_bot(*arguments, "--admin", cwd=tmp_path, **urls(database))

    member = await UserService(sessions).authenticate(first.out.strip())
    admin = await UserService(sessions).authenticate(second.out.strip())
    assert member.account.id == admin.account.id
    assert member.account.team_id == LOCAL_TEAM_ID
    assert member.scopes == {Scope.READ, Scope.WRITE}
    assert admin.scopes == set(Scope)


async def test_how_long_things_are_kept_is_set_and_shown(tmp_path: Path, database: Database) -> None:
    shown = [await run_bot("retention", *word, cwd=tmp_path, **urls(database)) for word in ((), ("90",), (), ("off",))]
    wrong = await run_bot("retention", "soon", cwd=tmp_path, **urls(database))

    assert [run.code for run in shown] == [0, 0, 0, 0]
    assert ["90 days" in run.out for run in shown] == [False, True, True, False]
    assert wrong.code == 1
    assert "soon is no number of days" in wrong.err


async def test_a_revoked_key_opens_nothing(tmp_path: Path, database: Database, sessions: Sessions) -> None:
    email = ("--email", "ada@example.com")
    made = await run_bot("keys", "create", *email, "--name", "Ada", cwd=tmp_path, **urls(database))
    listed = await run_bot("keys", "list", *email, cwd=tmp_path, **urls(database))
    number = listed.out.split()[0]
    revoked = await run_bot("keys", "revoke", number, cwd=tmp_path, **urls(database))
    again = await run_bot("keys", "revoke", number, cwd=tmp_path, **urls(database))

    assert made.out.split("_", 3)[3].strip() not in listed.out
    assert "read write  made 20" in listed.out
    assert f"ends {datetime.now(UTC).year + 1}" in listed.out
    assert (revoked.code, again.code) == (0, 1)
    with pytest.raises(Unauthenticated):
        await UserService(sessions).authenticate(made.out.strip())


async def test_a_key_ends_when_asked_to_and_is_good_for_what_was_asked(
    tmp_path: Path, database: Database, sessions: Sessions
) -> None:
    async def create(*arguments: str) -> Outcome:
        ada = ("keys", "create", "--email", "ada@example.com", "--name", "Ada")
        return await run_bot(*ada, *arguments, cwd=tmp_path, **urls(database))

    short = await create("--expires", "2h", "--scope", "read")
    endless = await create("--expires", "never")
    wrong = await create("--expires", "soon")
    beyond = await create("--scope", "admin")

    assert (await UserService(sessions).authenticate(short.out.strip())).scopes == {Scope.READ}
    assert "It is good until 20" in short.err
    assert (endless.code, "It never ends." in endless.err) == (0, True)
    assert (wrong.code, wrong.out, "a date to come" in wrong.err) == (1, "", True)
    assert (beyond.code, beyond.out, "scopes read, write: not admin" in beyond.err) == (1, "", True)


async def test_the_audit_log_shows_who_did_what_newest_last(tmp_path: Path, database: Database, handbook: Path) -> None:
    async def bot(*arguments: str) -> Outcome:
        return await run_bot(*arguments, cwd=tmp_path, **urls(database))

    await bot("keys", "create", "--email", "ada@example.com", "--name", "Ada")
    await bot("ingest", str(handbook))

    shown = await bot("audit", "--since", "1h", "--actor", f"cli:{pwd.getpwuid(os.getuid()).pw_name}")
    machine = await bot("audit", "--action", "key", "--json")
    last = await bot("audit", "--limit", "1")
    nothing = await bot("audit", "--action", "file.deleted")
    wrong = await bot("audit", "--since", "yesterday")

    assert [line.split()[2] for line in shown.out.splitlines()] == [
        "person.created",
        "key.created",
        "document.uploaded",
    ]
    assert [json.loads(line)["action"] for line in machine.out.splitlines()] == ["key.created"]
    assert (last.out.split()[2], "bot audit --before " in last.err) == ("document.uploaded", True)
    assert (shown.code, machine.code, nothing.code, wrong.code) == (0, 0, 1, 1)
    assert "Nothing in the audit log fits." in nothing.err
    assert "Write an age (30m, 12h, 7d, 2w) or a date" in wrong.err
    assert "handbook" not in shown.out + machine.out


async def test_the_workspace_is_that_of_the_slack_token_when_there_is_one(tmp_path: Path, database: Database) -> None:
    async with LocalSlack(team_id="T0ACME") as slack:
        arguments = ("keys", "create", "--email", "ada@example.com", "--name", "Ada")
        outcome = await run_bot(*arguments, cwd=tmp_path, **urls(database), **tokens(slack))

    assert outcome.out.startswith("rk_T0ACME_")


async def test_the_schema_goes_up_and_down_and_says_where_it_is(tmp_path: Path, empty_database: Database) -> None:
    before = await run_bot("migrate", "status", cwd=tmp_path, **urls(empty_database))
    up = await run_bot("migrate", "up", cwd=tmp_path, **urls(empty_database))
    after = await run_bot("migrate", "status", cwd=tmp_path, **urls(empty_database))
    unsure = await run_bot("migrate", "down", "base", cwd=tmp_path, **urls(empty_database))
    down = await run_bot("migrate", "down", "base", "--yes", cwd=tmp_path, **urls(empty_database))

    assert before.code == 1
    assert "revision none" in before.out
    assert "bot migrate up" in before.err
    assert (up.code, after.code, down.code) == (0, 0, 0)
    assert unsure.code != 0
    assert "revision none" in down.out


async def test_a_database_of_a_newer_release_is_named_and_kept(tmp_path: Path, database: Database) -> None:
    await execute(database.owner_url, "UPDATE alembic_version SET version_num = '9999'")

    status = await run_bot("migrate", "status", cwd=tmp_path, **urls(database))
    up = await run_bot("migrate", "up", cwd=tmp_path, **urls(database))
    down = await run_bot("migrate", "down", "base", "--yes", cwd=tmp_path, **urls(database))

    assert (status.code, up.code, down.code) == (1, 0, 1)
    assert all("revision 9999, which a newer release made" in said for said in (status.out, up.out, down.err))


async def test_smoke_says_what_is_wrong_with_its_arguments(tmp_path: Path) -> None:
    outcome = await run_bot("smoke", "--ask", "Why?", cwd=tmp_path)

    assert outcome.code == 1
    assert "--ask comes after the --file it is about." in outcome.err
    assert "Usage: bot smoke" in outcome.err
