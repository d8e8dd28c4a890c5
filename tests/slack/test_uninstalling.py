"""A workspace that removes the bot: nothing of it is kept, nothing is written afterwards, and a new beginning is empty."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from bot.db.engine import Session, Sessions
from bot.db.models import Base
from bot.errors import InvalidSettings, WorkspaceGone
from bot.jobs.queue import Queue
from bot.playground.local import LocalSlack
from bot.repositories.channels import ChannelRepository
from bot.repositories.users import UserRepository
from bot.repositories.workspaces import DepartureRepository
from bot.services import departures
from bot.services.users import Scope, UserService
from bot.slack.inbox import Inbox
from bot.web.server import WebServer
from bot.wiring import make_departures
from tests.conftest import OTHER_TEAM, TEAM
from tests.fakes import FakeOpenAI
from tests.faults.held import hold
from tests.slack.acts import HANDBOOK, asked, note, shared, until
from tests.slack.conftest import StartBot
from tests.slack.test_deletions import QUESTION, WORDS, shows

TABLES = [name for name, table in Base.metadata.tables.items() if "team_id" in table.columns]
KEPT = {"audit_log", "tombstones"}


async def rows_of(sessions: Sessions, team_id: str = TEAM) -> dict[str, int]:
    """Return how many rows of a workspace each table still has, and the queue; empty ones left out."""
    async with sessions.purging(team_id) as session:
        counts = {table: await session.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES}
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE args ->> 'team_id' = :team AND status <> 'doing'")
        counts["jobs"] = await session.scalar(jobs, {"team": team_id})
    return {table: count for table, count in counts.items() if count}


async def purged(sessions: Sessions, team_id: str = TEAM, *, within_s: float = 20) -> None:
    """Return when nothing is left of a workspace but the audit log, and that it is gone."""

    async def is_empty() -> bool:
        return set(await rows_of(sessions, team_id)) <= KEPT

    await until(is_empty, within_s=within_s)


async def test_nothing_is_left_of_a_workspace_that_uninstalls_the_bot_but_the_audit_log(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await UserService(sessions).create(OTHER_TEAM, name="Nobody", email="nobody@example.com")
    root = await shared(slack, HANDBOOK)
    assert WORDS in shows(slack, await asked(slack, QUESTION, root))
    before = await rows_of(sessions)
    assert before["documents"] == before["chunk_embeddings"] == 1

    slack.uninstall()
    await slack.settle()
    await purged(sessions)

    assert await rows_of(sessions, OTHER_TEAM) == {"users": 1, "audit_log": 1}
    async with sessions.purging(TEAM) as session:
        deeds = list(await session.scalars(text("SELECT action FROM audit_log")))
        assert list(await session.scalars(text("SELECT kind FROM tombstones"))) == ["workspace"]
    assert "workspace.purged" in deeds


@pytest.mark.parametrize("event", ["app_uninstalled", "tokens_revoked"])
async def test_either_event_alone_is_enough(slack: LocalSlack, bot: WebServer, sessions: Sessions, event: str) -> None:
    slack.workspace.deliveries.subscriptions.discard({"app_uninstalled", "tokens_revoked"}.difference({event}).pop())
    await shared(slack, HANDBOOK)

    slack.uninstall()
    await slack.settle()

    await purged(sessions)


async def test_tokens_of_others_that_are_revoked_purge_nothing(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, HANDBOOK)

    slack.workspace.deliveries.send({"type": "tokens_revoked", "tokens": {"oauth": ["U1"], "bot": ["U0OTHERBOT"]}})
    await slack.settle()

    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SELECT count(*) FROM documents")) == 1


async def test_a_revocation_is_believed_when_slack_refuses_the_token_and_not_before(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, HANDBOOK)
    revoked = slack.workspace.events.tokens_revoked()
    slack.workspace.deliveries.retry_delays_s = (0.1,)
    slack.faults.refuse("auth.test", "token_expired")

    slack.workspace.deliveries.send(revoked)  # its time is over, which is mended by exchanging it
    await slack.settle()
    slack.workspace.deliveries.send(revoked)  # somebody's own token, or an old story
    await slack.settle()
    slack.faults.refuse("auth.test", "internal_error", status=500)
    unsure = slack.workspace.deliveries.send(revoked)
    await slack.settle()
    stays = not await make_departures(sessions).is_gone(TEAM)
    slack.faults.refuse("auth.test", "token_revoked")
    slack.workspace.deliveries.send(revoked)
    await slack.settle()

    assert stays
    assert unsure is not None
    assert unsure.attempts == 2, "what Slack doesn't say it is asked again"
    await purged(sessions)


async def test_the_farewell_of_another_workspace_purges_nothing_here(
    slack: LocalSlack, bot: WebServer, sessions: Sessions
) -> None:
    await shared(slack, HANDBOOK)
    async with slack.workspace.deliveries.holding() as held:
        slack.workspace.deliveries.send({"type": "app_uninstalled"})
    elsewhere: list[dict[str, object]] = [{"team_id": OTHER_TEAM}, {"team_id": None, "enterprise_id": "E0OTHER"}]
    for changes in elsewhere:
        held[0].envelope.update(changes, authorizations=[])
        slack.workspace.deliveries.resend(held[0])
    await slack.settle()

    assert not await make_departures(sessions).is_gone(TEAM)
    assert await rows_of(sessions, OTHER_TEAM) == await rows_of(sessions, "E0OTHER") == {}


async def test_a_late_farewell_comes_before_or_after_an_installation_and_never_between(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, inbox = make_departures(sessions), Inbox(sessions, Queue())
    await inbox.depart(TEAM, told_at=datetime.now(UTC) - timedelta(minutes=1))
    late: list[asyncio.Task[None]] = []

    async def settle(session: Session) -> None:
        late.append(asyncio.create_task(inbox.depart(TEAM, told_at=datetime.now(UTC) - timedelta(minutes=1))))
        await asyncio.wait(late, timeout=0.3)
        await ChannelRepository(session).record_workspace(TEAM, name="Test")

    await service.welcome(TEAM, settle)
    await late[0]

    assert not await service.is_gone(TEAM)
    assert (await rows_of(sessions))["workspaces"] == 1


async def test_who_comes_too_late_is_not_let_in(slack: LocalSlack, bot: WebServer, sessions: Sessions) -> None:
    async with slack.workspace.deliveries.holding() as held:
        await slack.share("Ada", "general", HANDBOOK)
        await slack.mention("Ada", "general", QUESTION)
    account = await UserService(sessions).create(TEAM, name="Ada", email="a@example.com")
    key = await UserService(sessions).create_key(TEAM, account.id, scopes=[Scope.READ])
    slack.uninstall()
    await slack.settle()
    await purged(sessions)

    for late in held:
        slack.workspace.deliveries.resend(late)
    await slack.settle()
    with pytest.raises(WorkspaceGone):
        await UserService(sessions).authenticate(key)
    with pytest.raises(WorkspaceGone):
        async with sessions.tenant(TEAM) as session:
            await UserRepository(session).create(TEAM, name="Eve", email="eve@example.com")

    assert set(await rows_of(sessions)) <= KEPT
    assert all(late.acked_at is not None for late in held)


async def test_an_answer_that_is_being_written_meanwhile_leaves_nothing(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions, openai: FakeOpenAI, writer: dict[str, object]
) -> None:
    async with start_bot(**writer):
        root = await shared(slack, HANDBOOK)
        (held,) = hold(openai, "The office opens at eight in the morning. [1]", question=QUESTION)
        await slack.mention("Ada", "general", QUESTION, thread_ts=root.ts)
        await held.wait_begun()
        slack.uninstall()
        await slack.settle()
        await purged(sessions)
        held.go.set()
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("answer:")])

    assert set(await rows_of(sessions)) <= KEPT


async def test_a_workspace_that_installs_it_again_starts_empty_and_works(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot():
        await shared(slack, HANDBOOK)
        slack.uninstall()
        await slack.settle()
        await purged(sessions)
    slack.install()

    async with start_bot():
        root = await slack.say("Ada", "general", "Here we are again")
        assert "found nothing" in shows(slack, await asked(slack, QUESTION, root))
        root = await shared(slack, HANDBOOK)
        assert WORDS in shows(slack, await asked(slack, QUESTION, root))


async def test_an_uninstallation_told_again_after_that_is_old_news(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot():
        slack.uninstall()
        await slack.settle()
        await purged(sessions)
    told = [event for event in slack.workspace.deliveries.sent if event.event["type"] == "app_uninstalled"]
    told[0].envelope["event_time"] -= 60
    slack.install()

    async with start_bot():
        root = await shared(slack, HANDBOOK)
        slack.workspace.deliveries.resend(told[0])
        await slack.settle()

        assert WORDS in shows(slack, await asked(slack, QUESTION, root))


async def test_a_bot_that_may_not_come_in_any_more_still_purges_what_is_due(
    slack: LocalSlack, start_bot: StartBot, sessions: Sessions
) -> None:
    async with start_bot():
        await shared(slack, HANDBOOK)
    async with start_bot(worker=False):
        await slack.share("Ada", "general", note("tides.txt", "High tide reaches the lower quay at noon."))
        await slack.settle()
        slack.uninstall()
        await slack.settle()
    before = await rows_of(sessions)
    assert before["documents"] == 1
    assert before["jobs"] == len(["ingest", "receipt", "purge"])

    with pytest.raises(InvalidSettings):
        async with start_bot():
            pass

    assert set(await rows_of(sessions)) <= KEPT


async def test_a_purge_that_was_cut_off_goes_on_where_it_was(
    slack: LocalSlack, bot: WebServer, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shared(slack, HANDBOOK)
    whole = DepartureRepository.purge_some
    cuts = iter(range(3))

    async def cut_off(departures: DepartureRepository, team_id: str, *, limit: int = 1) -> int:
        count = await whole(departures, team_id, limit=2)
        if next(cuts, None) is not None:
            raise RuntimeError("killed")
        return count

    monkeypatch.setattr(DepartureRepository, "purge_some", cut_off)
    slack.uninstall()
    await slack.settle()
    service = make_departures(sessions)
    for _ in range(4):
        try:
            await service.purge(TEAM)
        except RuntimeError:
            continue

    await purged(sessions)


async def test_a_purge_waits_for_who_was_let_in_before(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "_LOOK_S", 0.01)
    service = make_departures(sessions)
    async with sessions.tenant(TEAM) as inside:
        async with sessions.purging(TEAM) as session:
            await DepartureRepository(session).record(TEAM)
        purging = asyncio.create_task(service.purge(TEAM))
        await asyncio.wait({purging}, timeout=0.3)
        assert not purging.done()
        await UserRepository(inside).create(TEAM, name="Eve", email="eve@example.com")
    await purging

    assert set(await rows_of(sessions)) <= KEPT


async def test_two_purges_at_once_are_one(sessions: Sessions) -> None:
    service = make_departures(sessions)
    for number in range(20):
        await UserService(sessions).create(TEAM, name="Eve", email=f"eve{number}@example.com")
    async with sessions.purging(TEAM) as session:
        await DepartureRepository(session).record(TEAM)

    each: list[Callable[[], Awaitable[None]]] = [lambda: service.purge(TEAM)] * 3
    await asyncio.gather(*(purge() for purge in each))

    assert set(await rows_of(sessions)) <= KEPT
