"""Several workspaces in one bot, from the sign-in to the answer: over the wire, on one real database."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot import tenant, tenants
from bot.app import running, working
from bot.config import Settings
from bot.db.engine import Sessions
from bot.doctor import examine
from bot.doctor.finding import Finding, Verdict
from bot.doctor.leaks import leak_test
from bot.errors import InvalidSettings
from bot.playground.demo import furnish
from bot.playground.local import LocalSlack
from bot.playground.several import LocalSlacks
from bot.repositories.workspaces import DepartureRepository
from bot.services.departures import DepartureService
from bot.services.users import UserService, scopes_for
from bot.smoke import playground_settings, quoted_words
from bot.web.server import WebServer
from tests.cli import start_bot, urls
from tests.conftest import Database, execute
from tests.db.conftest import rows
from tests.slack.acts import HANDBOOK, asked, note, shared, until
from tests.slack.test_installing import Door, Page, a_browser

ACME, BOLT, ORG = "T0ACME", "T0BOLT", "E0ORG"
KEY = base64.b64encode(b"k" * 32).decode()
RIVAL = note("rival.txt", "The office opens at eleven in the morning, and nobody may know.")

Start = Callable[..., AbstractAsyncContextManager[WebServer]]


@dataclass
class House:
    """The Slack, and how to let the bot in."""

    slacks: LocalSlacks
    url: str

    def __getitem__(self, team_id: str) -> LocalSlack:
        return self.slacks.workspaces[team_id]

    async def install(self, team_id: str) -> Page:
        door = Door(self.url, self.slacks)
        async with a_browser() as browser:
            return await door.visit(browser, await door.decide(browser, await door.leave(browser), team=team_id))


@pytest.fixture
async def house(unused_tcp_port: int) -> AsyncIterator[House]:
    async with LocalSlacks() as slacks:
        for team_id, name in ((ACME, "Acme"), (BOLT, "Bolt")):
            furnish(slacks.add(team_id, name))
        furnish(slacks.add("T0SALES", "Org", enterprise_id=ORG))
        url = f"http://127.0.0.1:{unused_tcp_port}"
        slacks.redirect_uris.add(f"{url}/slack/oauth_redirect")
        yield House(slacks, url)


@pytest.fixture
def settings(house: House, database: Database) -> Settings:
    """Over HTTP, as several workspaces usually are."""
    return Settings(_env_file=None).model_copy(
        update={
            "slack_client_id": house.slacks.client_id,
            "slack_client_secret": SecretStr(house.slacks.client_secret),
            "slack_signing_secret": SecretStr(house.slacks.signing_secret),
            "token_keys": SecretStr(f"k:{KEY}"),
            "public_url": house.url,
            "slack_api_url": house.slacks.api_url,
            "http_port": int(house.url.rpartition(":")[2]),
            "database_url": database.bot_url,
            "database_owner_url": database.owner_url,
            "database_pool_size": 5,
        }
    )


@asynccontextmanager
async def over_http(settings: Settings, house: House, **options: Any) -> AsyncIterator[WebServer]:
    async with running(settings, **options) as server:
        await house.slacks.deliver_over_http(f"{server.url}/slack/events")
        yield server


@pytest.fixture
async def bot(settings: Settings, house: House) -> AsyncIterator[WebServer]:
    async with over_http(settings, house) as server:
        yield server


async def answered(slack: LocalSlack, *, channel: str = "general") -> list[str]:
    """Share the handbook, ask, and return the words quoted."""
    reply = await asked(slack, "When does the office open?", await shared(slack, HANDBOOK, channel=channel))
    return quoted_words(reply)


async def purged(database: Database, team_id: str) -> None:
    """Wait until a workspace has neither an installation nor anything else."""

    async def is_empty() -> bool:
        left = " UNION ".join(
            f"SELECT 1 FROM {table} WHERE team_id = '{team_id}'" for table in ("workspaces", "installations")
        )
        return not await rows(database.owner_url, left)

    await until(is_empty)


@pytest.mark.usefixtures("bot")
async def test_who_lets_it_in_is_answered_at_once(house: House) -> None:
    page = await house.install(ACME)

    assert page.status == 200
    assert "The office opens at eight" in (await answered(house[ACME]))[0]


@pytest.mark.usefixtures("bot")
async def test_two_workspaces_stand_side_by_side_and_neither_sees_the_other(house: House, database: Database) -> None:
    for team_id in (ACME, BOLT):
        await house.install(team_id)
    ours, theirs = await asyncio.gather(shared(house[ACME], HANDBOOK), shared(house[BOLT], RIVAL))

    here, there = await asyncio.gather(
        asked(house[ACME], "When does the office open?", ours), asked(house[BOLT], "When does the office open?", theirs)
    )
    holidays = await asked(house[BOLT], "How many days of holiday does an employee have?", theirs)

    assert "at eight" in quoted_words(here)[0]
    assert "at eleven" in quoted_words(there)[0]
    assert quoted_words(holidays) == []
    kept = await rows(database.owner_url, "SELECT team_id, filename FROM documents ORDER BY team_id")
    assert kept == [(ACME, "handbook.md"), (BOLT, "rival.txt")]


async def test_one_connection_serves_all_of_them(settings: Settings, house: House) -> None:
    update = {"slack_signing_secret": None, "slack_app_token": SecretStr(house.slacks.app_token)}
    async with running(settings.model_copy(update=update)):
        for team_id in (ACME, BOLT):
            await house.install(team_id)

        quoted = await asyncio.gather(answered(house[ACME]), answered(house[BOLT]))

        assert house.slacks.sockets.connected_total == 1
    assert ["at eight" in words[0] for words in quoted] == [True, True]


@pytest.mark.usefixtures("bot")
async def test_an_organisation_is_one_tenant_whose_members_are_no_strangers(house: House, database: Database) -> None:
    await house.install("T0SALES")

    quoted = await answered(house["T0SALES"])

    assert "at eight" in quoted[0]
    teams = await rows(database.owner_url, "SELECT DISTINCT team_id FROM documents UNION SELECT team_id FROM work")
    assert teams == [(ORG,)]
    kinds = await rows(database.owner_url, "SELECT DISTINCT kind FROM users WHERE name = 'Ada'")
    assert kinds == [("member",)]
    started = [call for call in house["T0SALES"].calls if call.method == "chat.startStream"]
    assert {call.args["recipient_team_id"] for call in started} <= {"T0SALES"}


@pytest.mark.usefixtures("bot")
async def test_in_an_organisation_a_public_channel_is_its_members_own(house: House) -> None:
    for team_id in (ACME, "T0SALES"):
        await house.install(team_id)

    async def asked_alone(slack: LocalSlack, who: str) -> list[str]:
        question = await slack.say(who, slack.direct(who), "When does the office open?")
        place = question.channel_id
        return quoted_words(await slack.wait_for_reply(place, question.ts, after=question.ts, timeout=30))

    found = {}
    for team_id in (ACME, "T0SALES"):
        slack = house[team_id]
        slack.add_user("Dora")  # of another workspace, for all that Slack tells us
        await shared(slack, HANDBOOK, channel="handbook")
        found[team_id] = [bool(await asked_alone(slack, who)) for who in ("Ben", "Dora")]

    assert found == {ACME: [True, True], "T0SALES": [True, False]}


async def test_what_one_process_lets_in_another_opens_and_works_for(settings: Settings, house: House) -> None:
    async with over_http(settings, house, worker=False), working(settings, health_port=0):
        await house.install(ACME)

        assert "at eight" in (await answered(house[ACME]))[0]


@pytest.mark.usefixtures("bot")
async def test_who_is_gone_is_closed_and_may_come_back(house: House, database: Database) -> None:
    await house.install(ACME)
    await answered(house[ACME])
    with capture_logs() as logs:
        house.slacks.uninstall(house[ACME])
        await until(lambda: "workspace.gone" in [entry["event"] for entry in logs])
    house[ACME].install()
    await house[ACME].mention("Ada", "general", "Is anybody here?")
    await house[ACME].workspace.deliveries.settle()
    stored = await rows(database.owner_url, f"SELECT 1 FROM inbox WHERE team_id = '{ACME}'")

    await house.install(ACME)

    assert stored == [], "what is for nobody is dropped"
    assert house[ACME].workspace.deliveries.lost_count == 0, "and taken, or Slack would send it again"
    assert "at eight" in (await answered(house[ACME]))[0]


@pytest.mark.usefixtures("bot")
async def test_a_purge_and_a_return_between_two_looks_begin_anew(house: House, database: Database) -> None:
    await house.install(ACME)
    await answered(house[ACME])

    house.slacks.uninstall(house[ACME])
    await purged(database, ACME)
    await house.install(ACME)

    assert "at eight" in (await answered(house[ACME]))[0]
    assert await rows(database.owner_url, "SELECT team_id, name FROM workspaces") == [(ACME, "Acme")]


async def test_a_purge_that_was_cut_off_is_done_by_who_starts_next(
    settings: Settings, house: House, sessions: Sessions, database: Database
) -> None:
    async with over_http(settings, house):
        await house.install(ACME)
        await answered(house[ACME])
    async with sessions.purging(ACME) as session:
        assert await DepartureRepository(session).record(ACME, told_at=None)

    async with over_http(settings, house):
        await purged(database, ACME)

    assert await rows(database.owner_url, "SELECT team_id FROM installations") == []


async def test_of_an_uninstalled_workspace_whose_key_is_lost_the_start_is_kept_waiting_by_nobody(
    settings: Settings, house: House, sessions: Sessions, database: Database
) -> None:
    async with over_http(settings, house):
        await house.install(ACME)
    async with sessions.purging(ACME) as session:
        assert await DepartureRepository(session).record(ACME, told_at=None)
    other = SecretStr(f"new:{base64.b64encode(b'x' * 32).decode()}")

    async with over_http(settings.model_copy(update={"token_keys": other}), house):
        await purged(database, ACME)

    assert await rows(database.owner_url, "SELECT team_id FROM installations") == []


async def test_a_purge_that_takes_long_keeps_no_process_from_ending(
    settings: Settings, house: House, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with over_http(settings, house):
        await house.install(ACME)
    async with sessions.purging(ACME) as session:
        assert await DepartureRepository(session).record(ACME, told_at=None)
    begun = asyncio.Event()

    async def endless(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(DepartureService, "purge", endless)
    monkeypatch.setattr(tenants, "_CLOSE_S", 0.2)
    async with asyncio.timeout(30):
        async with over_http(settings, house, worker=False):
            await begun.wait()

    assert begun.is_set()


@pytest.mark.parametrize("names_its_workspace", [False, True])
async def test_an_organisations_farewell_is_heard_and_one_of_its_workspaces_isnt_it(
    bot: WebServer, house: House, database: Database, *, names_its_workspace: bool
) -> None:
    await house.install("T0SALES")
    deliveries = house["T0SALES"].workspace.deliveries
    async with deliveries.holding() as held:
        deliveries.send({"type": "app_uninstalled"})
    del held[0].envelope["authorizations"]
    if not names_its_workspace:
        del held[0].envelope["team_id"], held[0].envelope["context_team_id"]

    deliveries.resend(held[0])
    await deliveries.settle()

    gone = await rows(database.owner_url, "SELECT team_id FROM tombstones WHERE kind = 'workspace' ORDER BY 1")
    assert gone == [("T0SALES",) if names_its_workspace else (ORG,)]
    if not names_its_workspace:
        await purged(database, ORG)


@pytest.mark.usefixtures("bot")
async def test_the_farewell_of_a_workspace_that_cant_be_opened_purges_it(house: House, database: Database) -> None:
    await _wants_another_model(database, ACME)
    with capture_logs() as logs:
        for team_id in (ACME, BOLT):
            await house.install(team_id)
        await until(lambda: failing(logs))

    house.slacks.uninstall(house[ACME])

    await purged(database, ACME)
    assert await rows(database.owner_url, "SELECT team_id FROM installations") == [(BOLT,)]


@pytest.mark.usefixtures("bot")
async def test_what_happens_in_a_channel_of_two_workspaces_is_known_in_both_and_answered_in_one(
    house: House, database: Database
) -> None:
    for team_id in (ACME, BOLT):
        await house.install(team_id)
        await shared(house[team_id], HANDBOOK)
    ours = house[ACME]
    channel, theirs = ours.store.channel("general"), house[BOLT].store.channel("general")
    assert channel.id == theirs.id, "here as there: so it is one channel"
    ours.workspace.connect(channel, BOLT)
    await ours.settle()

    question = await ours.mention("Ada", "general", "When does the office open?")
    await ours.wait_for_reply("general", question.ts, after=question.ts, timeout=30)
    root = await shared(ours, note("tides.txt", "High tide reaches the lower quay at noon."))
    await until(lambda: _is_idle(database, BOLT))
    gone = await ours.say("Ben", "general", "Nobody may know.")
    ours.workspace.delete(gone)
    ours.workspace.leave(ours.store.user("Ben"), channel)
    await ours.settle()

    tasks = f"SELECT task FROM work WHERE team_id = '{BOLT}' AND ids ->> 'message_ts' = '{{}}' ORDER BY task"
    kept = f"SELECT 1 FROM channel_members WHERE team_id = '{BOLT}' AND channel_id = '{channel.id}' AND slack_user_id = '{{}}'"
    tombstone = f"SELECT 1 FROM tombstones WHERE team_id = '{BOLT}' AND key LIKE '%{gone.ts}'"
    assert await rows(database.owner_url, tasks.format(question.ts)) == []
    assert await rows(database.owner_url, tasks.format(root.ts)) == [("ingest",)]
    assert await rows(database.owner_url, tombstone) != []
    assert await rows(database.owner_url, kept.format(ours.store.user("Ada").id)) != []
    assert await rows(database.owner_url, kept.format(ours.store.user("Ben").id)) == []

    ours.workspace.remove_channel(channel, ours.store.user("Ada"))
    await ours.settle()

    read = "SELECT synced_at IS NULL FROM channels WHERE team_id = '{}' AND channel_id = '{}'"
    closed = f"SELECT team_id FROM tombstones WHERE kind = 'channel' AND key = '{channel.id}'"
    assert await rows(database.owner_url, read.format(BOLT, channel.id)) == [(True,)], "it is looked at again"
    assert await rows(database.owner_url, closed) == [(ACME,)], "what it held there goes, not here"


@pytest.mark.usefixtures("bot")
async def test_a_foreign_workspace_in_a_shared_channel_is_stored_for_us_alone(house: House, database: Database) -> None:
    for team_id in (ACME, BOLT):
        await house.install(team_id)
    root = await shared(house[ACME], HANDBOOK)
    async with house[ACME].workspace.deliveries.holding() as held:
        question = await house[ACME].mention("Ada", "general", "When does the office open?", thread_ts=root.ts)
    for delivery in held:
        delivery.envelope["team_id"] = BOLT  # where it happened; whom it is for says `authorizations`
        house[ACME].workspace.deliveries.resend(delivery)

    reply = await house[ACME].wait_for_reply("general", root.ts, after=question.ts, timeout=30)

    assert "at eight" in quoted_words(reply)[0]
    assert await rows(database.owner_url, f"SELECT 1 FROM inbox WHERE team_id = '{BOLT}'") == []


async def test_a_token_is_exchanged_by_one_process_and_used_by_all_without_a_restart(
    settings: Settings, house: House
) -> None:
    house.slacks.grants.rotates = True
    house.slacks.grants.lasts_s = 3_600  # within what is exchanged ahead of time
    async with over_http(settings, house):
        await house.install(ACME)
        first = next(iter(house[ACME].tokens.grants))
        house.slacks.grants.lasts_s = 43_200
    with capture_logs() as logs:
        async with over_http(settings, house), working(settings, health_port=0):
            await until(lambda: "token.taken" in [entry["event"] for entry in logs])
            del house[ACME].tokens.grants[first]

            quoted = await answered(house[ACME])

    assert "at eight" in quoted[0]
    assert [access for access in house.slacks.accesses if access] == [{"grant_type": "refresh_token"}]


async def test_a_key_that_doesnt_open_the_tokens_is_said_before_anything_starts(
    settings: Settings, house: House
) -> None:
    async with over_http(settings, house):
        await house.install(ACME)
    other = base64.b64encode(b"x" * 32).decode()

    with pytest.raises(InvalidSettings) as wrong:
        async with running(settings.model_copy(update={"token_keys": SecretStr(f"k:{other}")})):
            pass
    with pytest.raises(InvalidSettings) as missing:
        async with running(settings.model_copy(update={"token_keys": SecretStr(f"new:{other}")})):
            pass

    assert wrong.value.user_message.startswith(f"Acme ({ACME}): The key k in TOKEN_KEYS isn't the one")
    assert missing.value.user_message.startswith(f"Acme ({ACME}): TOKEN_KEYS lacks the key k")


async def test_a_token_that_is_refused_is_named_and_takes_nobody_off_the_air_nor_the_way_in(
    settings: Settings, house: House
) -> None:
    async with over_http(settings, house):
        for team_id in (ACME, BOLT):
            await house.install(team_id)
    house[BOLT].tokens.grants.clear()

    with capture_logs() as logs:
        async with over_http(settings, house) as server, aiohttp.ClientSession() as http:
            await until(lambda: failing(logs))
            ready = (await http.get(f"{server.url}/readyz")).status
            quoted = await answered(house[ACME])
    house[ACME].tokens.grants.clear()
    with capture_logs() as later:
        async with over_http(settings, house) as server, aiohttp.ClientSession() as http:
            await until(lambda: len(failing(later)) == len([ACME, BOLT]))
            none_left = (await http.get(f"{server.url}/readyz")).status

    assert failing(logs) == [(f"Bolt ({BOLT})", "Slack refuses its token. Let Recollect in again at /slack/install.")]
    assert (ready, none_left) == (200, 200)
    assert "at eight" in quoted[0]


async def test_a_slack_that_answers_for_nobody_is_red_and_one_that_does_for_somebody_isnt(
    settings: Settings, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant, "_PULSE", {"interval_s": 0.1, "patience_s": 1.0})
    async with over_http(settings, house) as server, aiohttp.ClientSession() as http:
        for team_id in (ACME, BOLT):
            await house.install(team_id)
        house[BOLT].faults.refuse("auth.test", "internal_error", status=500, times=1_000)
        with capture_logs() as logs:
            await until(lambda: failing(logs))
        one_silent = (await http.get(f"{server.url}/readyz")).status
        house[ACME].faults.refuse("auth.test", "internal_error", status=500, times=1_000)

        red = await until(lambda: _status(http, f"{server.url}/readyz", 503))

    assert (one_silent, red) == (200, True)


def test_the_queue_is_well_while_one_worker_proves_it() -> None:
    def works(age_s: float | None) -> Any:
        return SimpleNamespace(worker=None if age_s is None else SimpleNamespace(beat_age_s=lambda: age_s))

    assert tenants._beat_age_s([works(100.0), works(1.0), works(None)]) == 1.0
    assert tenants._beat_age_s([works(100.0), works(9.0)]) == 9.0
    assert tenants._beat_age_s([]) == 0.0


def failing(logs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["workspace"], entry["reason"]) for entry in logs if entry["event"] == "workspace.failing"]


@pytest.mark.usefixtures("bot")
async def test_a_workspace_that_cant_be_opened_is_named_its_events_are_left_to_slack_and_the_others_go_on(
    house: House, database: Database
) -> None:
    await _wants_another_model(database, ACME)
    with capture_logs() as logs:
        for team_id in (ACME, BOLT):
            await house.install(team_id)
        await until(lambda: failing(logs))
    house[ACME].workspace.deliveries.retry_delays_s = ()

    await house[ACME].mention("Ada", "general", "Is anybody here?")
    await house[ACME].workspace.deliveries.settle()

    assert [title for title, _ in failing(logs)] == [f"Acme ({ACME})"]
    assert "set OPENAI_API_KEY" in failing(logs)[0][1]
    assert house[ACME].workspace.deliveries.lost_count > 0, "what isn't acknowledged, Slack sends again"
    assert "at eight" in (await answered(house[BOLT]))[0]


async def _is_idle(database: Database, team_id: str) -> bool:
    waiting = f"SELECT 1 FROM work WHERE team_id = '{team_id}' AND state IN ('queued', 'running')"
    return not await rows(database.owner_url, waiting)


async def _wants_another_model(database: Database, team_id: str) -> None:
    """Let a workspace have been searched by a model for which there is no key here."""
    await execute(
        database.owner_url,
        "INSERT INTO embedding_models (name, dimensions) VALUES ('text-embedding-3-small', 1536)",
        f"INSERT INTO workspaces (team_id, embedding_model_id) SELECT '{team_id}', id FROM embedding_models",
    )


async def _status(http: aiohttp.ClientSession, url: str, wanted: int) -> bool:
    async with http.get(url) as response:
        return response.status == wanted


@pytest.mark.usefixtures("bot")
async def test_a_key_of_the_api_reads_its_own_workspace(house: House, sessions: Sessions) -> None:
    for team_id, file in ((ACME, HANDBOOK), (BOLT, RIVAL)):
        await house.install(team_id)
        await shared(house[team_id], file)
    users = UserService(sessions)

    async def found(team_id: str) -> tuple[int, str]:
        account = await users.ensure(team_id, name="ada", email="ada@example.com", is_admin=True)
        key = await users.create_key(team_id, account.id, scopes=scopes_for(account), expires_at=None)
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            response = await http.post(f"{house.url}/v1/search", json={"query": "When does the office open?"})
            return response.status, await response.text()

    ours, theirs, nobodys = [await found(team_id) for team_id in (ACME, BOLT, "T0NEW")]

    assert ours[0] == theirs[0] == 200
    assert ("at eight" in ours[1], "at eleven" in ours[1]) == (True, False)
    assert ("at eight" in theirs[1], "at eleven" in theirs[1]) == (False, True)
    assert nobodys[0] == 404


@pytest.mark.parametrize("command", [("run",), ("worker", "--health-port", "0")])
async def test_a_process_of_its_own_serves_them_says_no_secret_and_ends_when_told(
    settings: Settings, house: House, database: Database, tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with over_http(settings, house):
        await house.install(ACME)
    secrets = [*house[ACME].tokens.grants, house.slacks.client_secret, house.slacks.signing_secret, KEY]
    process = await start_bot(
        *command,
        cwd=tmp_path,
        **urls(database),
        SLACK_CLIENT_ID=house.slacks.client_id,
        SLACK_CLIENT_SECRET=house.slacks.client_secret,
        SLACK_SIGNING_SECRET=house.slacks.signing_secret,
        TOKEN_KEYS=f"k:{KEY}",
        PUBLIC_URL=house.url,
        SLACK_API_URL=house.slacks.api_url,
        HTTP_PORT="0",
        LOG_LEVEL="DEBUG",
    )
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(60):
        while b".started" not in said:
            said += await process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, rest = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    lines = (said + rest).decode()
    assert "workspace.opened" in lines
    assert "Traceback" not in lines
    assert [secret for secret in secrets if secret in lines] == []


async def test_a_slack_of_its_own_is_one_workspace_whatever_is_set(settings: Settings) -> None:
    async with LocalSlack() as slack:
        demo = playground_settings(settings, slack, home=None)

    demo.require_slack()
    assert not demo.is_shared


async def test_no_workspace_yet_is_no_trouble(settings: Settings, house: House) -> None:
    async with over_http(settings, house) as server, aiohttp.ClientSession() as http:
        status = (await http.get(f"{server.url}/readyz")).status

    assert status == 200


async def test_the_doctor_lists_the_workspaces_and_says_what_is_wrong_with_each(
    settings: Settings, house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    none_yet = await _found(settings)
    async with over_http(settings, house):
        for team_id in (ACME, BOLT, "T0SALES"):
            await house.install(team_id)
        await shared(house[ACME], HANDBOOK)
    house[BOLT].tokens.grants.clear()
    other = settings.model_copy(update={"token_keys": SecretStr(f"new:{base64.b64encode(b'x' * 32).decode()}")})

    found, unreadable = await _found(settings), await _found(other)
    leaks = await leak_test(settings.model_copy(update={"slack_signing_secret": None}), sample=3)

    assert [(one.verdict, one.text) for one in none_yet] == [(Verdict.WARN, "none has let Recollect in yet")]
    assert [(one.verdict, one.text) for one in found] == [
        (Verdict.OK, f"Org ({ORG}) (the whole organisation): Slack takes its token"),
        (Verdict.OK, f"Acme ({ACME}): Slack takes its token"),
        (Verdict.FAIL, f"Bolt ({BOLT}): Slack refuses its token"),
    ]
    assert {one.mend for one in unreadable if one.verdict is Verdict.FAIL} == {
        "TOKEN_KEYS lacks the key k, with which a Slack token is encrypted. Put it back."
    }
    assert leaks == 0
    assert f"Leak test {ACME}: none outside what Slack says" in capsys.readouterr().out


async def _found(settings: Settings) -> list[Finding]:
    return [finding async for finding in examine(settings) if finding.subject.startswith("Workspace")]
