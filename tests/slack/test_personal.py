"""One person's whole trace, made over the wire: a copy of it holds everything, and when it is erased nothing is left."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.db.models import Base
from bot.playground.local import LocalSlack
from bot.playground.reading import is_settled, words_of
from bot.playground.state import User
from bot.services.personal import PersonalDataService
from bot.services.users import Scope, UserService
from bot.web.server import WebServer
from tests.cli import run_bot, urls
from tests.conftest import TEAM, Database
from tests.slack.acts import asked, count, note, shared, value, worked_off
from tests.slack.test_commands import said

CANARIES = {
    "name": "CanaryNora",
    "address": "canary-address@example.com",
    "file name": "canary-plan",
    "file": "ninetyninecanaries",
    "question": "canaryquestion",
    "edit": "canaryedit",
    "first words": "canaryfirst",
    "deleted": "canarydeleted",
    "direct": "canarydirect",
    "command": "canarycommand",
    "thread": "canarythread",
    "memory": "canarymemory",
    "comment": "canarycomment",
    "upload": "canaryupload",
    "asked by the API": "canaryapi",
}
BOTH = note("both.md", "Both of us share that the lighthouse is painted white every spring.")


async def left_of(sessions: Sessions, needle: str) -> list[str]:
    """Return the tables in which a row holds these words, in whatever column, as text or as bytes."""
    statement = (
        "SELECT count(*) FROM {table} AS row WHERE position(lower(:needle) IN lower(row::text)) > 0 "
        "OR position(encode(convert_to(:needle, 'UTF8'), 'hex') IN row::text) > 0"
    )
    async with sessions.tenant(TEAM) as session:
        counts = {
            table: await session.scalar(text(statement.format(table=table)), {"needle": needle})
            for table in (*Base.metadata.tables, "procrastinate.procrastinate_jobs")
        }
    return [table for table, found in counts.items() if found]


async def live(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> User:
    """Let Nora do all that leaves a trace, beside Ben; return her."""
    nora = slack.add_user(CANARIES["name"], email=CANARIES["address"])
    slack.add_channel("plans", members=[nora, "Ben"])
    begun = await slack.say(nora, "plans", f"Somebody should look after the {CANARIES['thread']} soon.")
    await asked(slack, "What should somebody look after?", begun, who="Ben", channel="plans")
    plan = note(f"{CANARIES['file name']}.md", f"The budget of the regatta is {CANARIES['file']} euros this year.")
    root = await shared(slack, plan, channel="plans", who=nora.id)
    await asked(
        slack, f"What is the budget of the regatta, {CANARIES['question']}?", root, who=nora.id, channel="plans"
    )
    bens = await asked(slack, "What is the budget of the regatta?", root, who="Ben", channel="plans")
    assert CANARIES["file"] in words_of(bens)
    edited = await slack.say(nora, "plans", CANARIES["first words"], thread_ts=root.ts)
    await slack.edit(edited, f"<@{slack.store.bot.id}> what about {CANARIES['edit']}?")
    await slack.wait_for_reply("plans", root.ts, after=edited.ts, timeout=30)
    gone = await slack.mention(nora, "plans", f"What about {CANARIES['deleted']}?", thread_ts=root.ts)
    await slack.wait_for_reply("plans", root.ts, after=gone.ts, timeout=30)
    await slack.delete(gone)
    direct = await slack.say(nora, slack.direct(nora), f"What about {CANARIES['direct']}?")
    await slack.wait_for_reply(slack.direct(nora), direct.ts, until=is_settled, timeout=30)
    await said(slack, nora.id, "/ask", f"What about {CANARIES['command']}?", channel="plans")
    for who in (nora.id, "Ben"):
        await shared(slack, BOTH, channel="plans", who=who)
    await by_api(bot, sessions)
    async with sessions.tenant(TEAM) as session:
        user = {
            "t": TEAM,
            "u": await session.scalar(text("SELECT id FROM users WHERE slack_user_id = :s"), {"s": nora.id}),
        }
        await session.execute(
            text("INSERT INTO memories (team_id, id, user_id, content) VALUES (:t, gen_random_uuid(), :u, :c)"),
            {**user, "c": CANARIES["memory"]},
        )
        await session.execute(
            text(
                "INSERT INTO feedback (team_id, id, message_id, user_id, thumb, comment) "
                "SELECT :t, gen_random_uuid(), id, :u, 1, :c FROM messages WHERE role = 'assistant' LIMIT 1"
            ),
            {**user, "c": CANARIES["comment"]},
        )
    await slack.settle()
    await worked_off(sessions)
    return nora


async def by_api(bot: WebServer, sessions: Sessions) -> None:
    users = UserService(sessions)
    nora = await users.get_by_email(TEAM, CANARIES["address"])
    headers = {"Authorization": f"Bearer {await users.create_key(TEAM, nora.id, scopes=list(Scope))}"}
    form = aiohttp.FormData()
    form.add_field("file", f"My {CANARIES['upload']} is mine.".encode(), filename="mine.txt")
    async with aiohttp.ClientSession(bot.url, headers=headers) as http:
        async with http.post("/v1/documents", data=form) as response:
            assert response.status == 201
        async with http.post("/v1/ask", json={"question": f"What about {CANARIES['asked by the API']}?"}) as response:
            assert response.status == 200


async def test_a_copy_holds_everything_and_after_erasing_nothing_is_left(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, database: Database, tmp_path: Path
) -> None:
    nora = await live(slack, bot, sessions)
    before = {what: await left_of(sessions, canary) for what, canary in CANARIES.items()}
    command = {"cwd": tmp_path, **urls(database), "SLACK_BOT_TOKEN": slack.bot_token, "SLACK_API_URL": slack.api_url}

    exported = [
        await run_bot("users", "export", nora.id, "--to", name, **command)  # type: ignore[arg-type]  # a path and texts
        for name in ("nora.json", "nora.zip", "nora.json")
    ]
    erased = await run_bot("users", "erase", CANARIES["address"], "--yes", **command)  # type: ignore[arg-type]
    again = await run_bot("users", "erase", CANARIES["address"], "--yes", **command)  # type: ignore[arg-type]

    assert [what for what, tables in before.items() if not tables] == ["deleted"]  # gone with its message
    assert [outcome.code for outcome in exported] == [0, 0, 1], exported
    assert "is there already" in exported[2].err
    copy = (tmp_path / "nora.json").read_text()
    assert [what for what, canary in CANARIES.items() if canary not in copy] == ["deleted"]
    assert "secret_hash" not in copy
    assert (tmp_path / "nora.json").stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(tmp_path / "nora.zip") as archive:
        assert json.loads(archive.read("data.json")).keys() == json.loads(copy).keys()
        texts = [archive.read(name).decode() for name in archive.namelist() if name.startswith("documents/")]
    assert any(CANARIES["file"] in words for words in texts)
    assert erased.code == 0, erased.err
    left = {what: await left_of(sessions, canary) for what, canary in {**CANARIES, "Slack id": nora.id}.items()}
    assert {what: tables for what, tables in left.items() if tables} == {}
    assert (again.code, "I don't know anybody by" in again.err) == (1, True)
    deeds = await value(sessions, "SELECT array_agg(action ORDER BY id) FROM audit_log WHERE action LIKE 'person.e%'")
    assert deeds == ["person.exported", "person.exported", "person.erased"]
    # What was others' is still there, and the bot goes on:
    assert await count(sessions, "documents") == 1
    emptied = await count(sessions, "messages WHERE content LIKE '(This answer relied on a document%'")
    assert emptied == 2  # Ben's, and the one to the question that nobody is known to have asked any more
    kept = await slack.mention("Ben", "plans", "When is the lighthouse painted?")
    assert "every spring" in words_of(await slack.wait_for_reply("plans", kept.ts, timeout=30))
    gone = await slack.mention("Ben", "plans", "What is the budget of the regatta?")
    assert CANARIES["file"] not in words_of(await slack.wait_for_reply("plans", gone.ts, timeout=30))


async def test_who_comes_back_after_being_erased_is_somebody_new(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    nora = await live(slack, bot, sessions)
    number = await value(sessions, f"SELECT id FROM users WHERE slack_user_id = '{nora.id}'")
    await PersonalDataService(sessions).erase(TEAM, nora.id)

    question = await slack.mention(nora, "plans", "When is the lighthouse painted?")

    assert "every spring" in words_of(await slack.wait_for_reply("plans", question.ts, timeout=30))
    assert await value(sessions, f"SELECT id FROM users WHERE slack_user_id = '{nora.id}'") not in {None, number}
    assert await count(sessions, f"users WHERE id = '{number}'") == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("export", "nobody@example.com", "--to", "a.json"), "I don't know anybody by nobody@example.com"),
        (("export", "U404", "--to", "a.json"), "I don't know anybody by U404"),
        (("export", "U1", "--to", "a.txt"), "must end in .json or .zip"),
        (("erase", "command-line@localhost", "--yes"), "That is the command line itself"),
    ],
)
async def test_what_cannot_be_done_is_said_and_nothing_is_written(
    database: Database, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    outcome = await run_bot("users", *arguments, cwd=tmp_path, **urls(database))

    assert outcome.code == 1
    assert says in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.glob("a.*")) == []
