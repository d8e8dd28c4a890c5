"""Workspaces that are let in by OAuth, on a real database: their tokens at rest, and who may read the list."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import Sessions
from bot.ending import end_tasks
from bot.errors import DatabaseUnavailable, Forbidden, InvalidSettings, TooManyRequests
from bot.repositories.installations import InstallationRepository
from bot.repositories.users import UserRepository
from bot.repositories.workspaces import DepartureRepository
from bot.services import installations
from bot.services.installations import InstallationService, Resealed
from bot.values import INSTALLATIONS, Grant, Person, Token
from bot.vault import CannotOpen, Vault
from bot.wiring import make_departures
from tests.conftest import OTHER_TEAM, TEAM, Database, execute
from tests.db.conftest import rows
from tests.slack.acts import until

OLD, NEW = {"old": b"o" * 32}, {"new": b"n" * 32}


def granted(team_id: str = TEAM, token: Token | None = None) -> Grant:
    return Grant(
        team_id,
        "A1",
        token or Token(f"xoxb-secret-{team_id}", f"xoxe-1-secret-{team_id}", 43_200),
        "UBOT",
        "UADA",
        name="Acme",
        url="https://acme.slack.com/",
        bot_id="B1",
        scopes="chat:write,files:read",
    )


def service_with(sessions: Sessions, keys: dict[str, bytes], **options: int) -> InstallationService:
    return InstallationService(sessions, Vault(keys), make_departures(sessions), **options)


@pytest.fixture
def service(sessions: Sessions) -> InstallationService:
    return service_with(sessions, OLD)


class Exchange:
    """Slack, which takes a refresh token once; where it would be is the internet."""

    def __init__(self, *, pause_s: float = 0.0, refuses: bool = False) -> None:
        self.taken: list[str] = []
        self._pause_s = pause_s
        self._refuses = refuses

    async def exchange(self, refresh_token: str) -> Token:
        self.taken.append(refresh_token)
        await asyncio.sleep(self._pause_s)
        if self._refuses or self.taken.count(refresh_token) > 1:
            raise InvalidSettings("invalid_refresh_token")
        return Token(f"xoxb-fresh-{len(self.taken)}", f"xoxe-1-fresh-{len(self.taken)}", 43_200)


async def test_tokens_stand_in_no_dump_and_come_back_whole(service: InstallationService, database: Database) -> None:
    await service.install(granted())

    (kept,) = await service.list_all()
    stored = await rows(database.owner_url, "SELECT * FROM installations")
    assert (kept.access_token, kept.refresh_token) == (f"xoxb-secret-{TEAM}", f"xoxe-1-secret-{TEAM}")
    assert (kept.name, kept.url, kept.bot_id, kept.bot_user_id) == ("Acme", "https://acme.slack.com/", "B1", "UBOT")
    assert b"secret" not in b"".join(value for value in stored[0] if isinstance(value, bytes))
    assert "secret" not in str(stored) + repr(kept)


async def test_a_token_copied_to_another_workspace_cannot_be_opened_there(
    service: InstallationService, database: Database
) -> None:
    await service.install(granted(TEAM))
    await service.install(granted(OTHER_TEAM))

    copied = f"(SELECT bot_token FROM installations WHERE team_id = '{TEAM}')"
    await execute(database.owner_url, f"UPDATE installations SET bot_token = {copied} WHERE team_id = '{OTHER_TEAM}'")

    kept = {one.team_id: one for one in await service.list_all()}
    assert kept[TEAM].access_token == f"xoxb-secret-{TEAM}"
    assert kept[OTHER_TEAM].access_token is None
    assert kept[OTHER_TEAM].problem is not None


async def test_the_list_is_read_by_nobody_else_and_writes_for_nobody(
    service: InstallationService, sessions: Sessions, engine: AsyncEngine
) -> None:
    await service.install(granted(TEAM))
    await service.install(granted(OTHER_TEAM))

    async def seen(team_id: str) -> set[str]:
        async with sessions.tenant(team_id) as session:
            return set(await session.scalars(text("SELECT team_id FROM installations")))

    assert await seen(INSTALLATIONS) == {TEAM, OTHER_TEAM}
    assert await seen(TEAM) == {TEAM}
    assert await seen("T0NEW") == set()
    async with sessions.tenant(INSTALLATIONS) as session:
        for statement in ("DELETE FROM installations RETURNING 1", "UPDATE installations SET name = '' RETURNING 1"):
            assert (await session.execute(text(statement))).all() == []
    async with sessions.tenant(INSTALLATIONS) as session:
        assert (await session.execute(text("SELECT 1 FROM audit_log"))).all() == [], "the list, and nothing else"


async def test_installing_again_replaces_and_after_a_purge_begins_anew(
    service: InstallationService, sessions: Sessions
) -> None:
    await service.install(granted())
    (first,) = await service.list_all()

    await service.install(replace(granted(token=Token("xoxb-second")), app_id="A2"))
    (second,) = await service.list_all()
    await make_departures(sessions).empty(TEAM)
    gone = await service.list_all()
    await service.install(granted(token=Token("xoxb-third")))

    (third,) = await service.list_all()
    assert (second.access_token, second.refresh_token, second.expires_at) == ("xoxb-second", None, None)
    assert gone == []
    assert third.access_token == "xoxb-third"
    assert len({first.version, second.version, third.version}) == 3


async def test_a_sign_in_is_good_once_in_its_own_browser_and_for_ten_minutes(
    service: InstallationService, database: Database
) -> None:
    await service.begin("state", "browser")
    await service.begin("late", "browser")
    lasts = await rows(database.owner_url, "SELECT extract(epoch FROM expires_at - now()) FROM oauth_states")
    hashed = installations._sign_in("state", "browser")
    await execute(database.owner_url, f"UPDATE oauth_states SET expires_at = now() WHERE state <> '{hashed}'")

    answers = [
        await service.redeem("state", "other browser"),
        await service.redeem("other state", "browser"),
        await service.redeem("late", "browser"),
        await service.redeem("state", "browser"),
        await service.redeem("state", "browser"),
    ]

    assert answers == [False, False, False, True, False]
    assert all(590 < left <= 600 for (left,) in lasts)


async def test_two_that_redeem_at_once_are_one(service: InstallationService) -> None:
    await service.begin("state", "browser")

    assert sorted(await asyncio.gather(*(service.redeem("state", "browser") for _ in range(5)))) == [False] * 4 + [True]


async def test_sign_ins_have_a_limit_and_old_ones_make_room(
    service: InstallationService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installations, "SIGN_INS_LIMIT", 2)
    for state in ("one", "two"):
        await service.begin(state, "browser")

    with pytest.raises(TooManyRequests):
        await service.begin("three", "browser")
    await execute(database.owner_url, "UPDATE oauth_states SET expires_at = now()")
    await service.begin("four", "browser")

    assert await rows(database.owner_url, "SELECT count(*) FROM oauth_states") == [(1,)]


async def test_rotating_the_keys_reseals_everything_and_counts(sessions: Sessions) -> None:
    old, both, new = (service_with(sessions, keys) for keys in (OLD, {**NEW, **OLD}, NEW))
    await old.install(granted(TEAM))
    await old.install(granted(OTHER_TEAM, Token("xoxb-plain")))
    before = [one.problem for one in await new.list_all()]

    first, second = await both.rotate_keys(), await both.rotate_keys()

    kept = await new.list_all()
    assert all(problem and "lacks the key old" in problem for problem in before)
    assert (first, second) == (Resealed(2, 2), Resealed(2, 0))
    assert {one.access_token for one in kept} == {f"xoxb-secret-{TEAM}", "xoxb-plain"}
    assert {one.refresh_token for one in kept} == {f"xoxe-1-secret-{TEAM}", None}


async def test_rotating_without_the_former_key_names_the_workspace_and_changes_nothing(sessions: Sessions) -> None:
    old = service_with(sessions, OLD)
    await old.install(granted())

    with pytest.raises(CannotOpen) as error:
        await service_with(sessions, NEW).rotate_keys()

    assert error.value.user_message.startswith(f"Acme ({TEAM}): TOKEN_KEYS lacks the key old")
    assert [one.problem for one in await old.list_all()] == [None]


async def test_a_token_that_ends_soon_is_exchanged_by_one_of_many(sessions: Sessions) -> None:
    services = [service_with(sessions, OLD) for _ in range(4)]
    await services[0].install(granted(token=Token("xoxb-1", "xoxe-1-1", 3_600)))
    await services[0].install(granted(OTHER_TEAM, Token("xoxb-2", "xoxe-1-2", 43_200)))
    slack, seen = Exchange(pause_s=0.3), await services[0]._rows(due_s=7_200)

    refreshed = await asyncio.gather(
        *(service._refresh(row, slack) for service in services for row in seen if row.is_due)
    )
    looked_again = await services[1].refresh_due(slack)

    assert slack.taken == ["xoxe-1-1"]
    assert (sorted(refreshed), looked_again) == ([False, False, False, True], [])
    kept = {one.team_id: one for one in await services[0].list_all()}
    assert (kept[TEAM].access_token, kept[TEAM].refresh_token) == ("xoxb-fresh-1", "xoxe-1-fresh-1")
    assert kept[TEAM].changes == 1
    assert await services[0].refresh_due(slack) == []


async def test_a_refused_exchange_keeps_the_token_and_waits_before_the_next_try(sessions: Sessions) -> None:
    service = service_with(sessions, OLD)
    await service.install(granted(token=Token("xoxb-1", "xoxe-1-1", 3_600)))
    slack = Exchange(refuses=True)

    refreshed = [await service.refresh_due(slack), await service.refresh_due(slack)]

    assert refreshed == [[], []]
    assert slack.taken == ["xoxe-1-1"]
    assert [one.access_token for one in await service.list_all()] == ["xoxb-1"]


async def test_a_new_installation_during_an_exchange_stays(sessions: Sessions) -> None:
    service = service_with(sessions, OLD)
    await service.install(granted(token=Token("xoxb-1", "xoxe-1-1", 3_600)))
    exchange = asyncio.create_task(service.refresh_due(Exchange(pause_s=0.5)))
    await asyncio.sleep(0.2)

    await service.install(granted(token=Token("xoxb-new", "xoxe-1-new", 43_200)))

    assert await exchange == []
    assert [one.access_token for one in await service.list_all()] == ["xoxb-new"]


async def test_who_changes_tokens_stands_in_each_workspaces_audit_log(sessions: Sessions) -> None:
    await service_with(sessions, OLD).install(granted())
    await service_with(sessions, OLD).install(granted(OTHER_TEAM))

    await service_with(sessions, {**NEW, **OLD}).rotate_keys(by="cli:ada")
    await service_with(sessions, {**NEW, **OLD}).rotate_keys(by="cli:ada")
    await service_with(sessions, OLD).discard_unreadable(by="cli:eve")

    for team_id in (TEAM, OTHER_TEAM):
        async with sessions.tenant(team_id) as session:
            told = await session.execute(text("SELECT actor, action, target FROM audit_log ORDER BY id"))
        assert [tuple(row) for row in told][1:] == [
            ("cli:ada", "tokens.resealed", f"workspace:{team_id}"),
            ("cli:eve", "tokens.discarded", f"workspace:{team_id}"),
        ]


async def test_who_let_us_in_stands_in_the_audit_log_by_our_number_and_gets_name_and_address_later(
    sessions: Sessions, service: InstallationService
) -> None:
    await service.install(granted())
    await service.install(granted())

    async with sessions.tenant(TEAM) as session:
        (user_id,) = await session.scalars(
            text("SELECT id FROM users WHERE slack_user_id = 'UADA' AND kind = 'external'")
        )
        actors = await session.scalars(text("SELECT actor FROM audit_log"))
        assert set(actors) == {f"user:{user_id}"}
        known = await UserRepository(session).record_person(TEAM, Person("UADA", "Ada", email="ada@example.com"))
        assert known == user_id
        user = await UserRepository(session).get(TEAM, user_id)
    assert user is not None
    assert (user.name, user.email, user.kind) == ("Ada", "ada@example.com", "member")


async def test_one_that_was_purged_and_came_back_isnt_taken_for_the_former(sessions: Sessions) -> None:
    service = service_with(sessions, OLD)
    await service.install(granted(token=Token("xoxb-1", "xoxe-1-1", 3_600)))
    (seen,) = await service._rows()
    await make_departures(sessions).empty(TEAM)
    await service.install(granted(token=Token("xoxb-2", "xoxe-1-2", 43_200)))
    (now,) = await service._rows()
    slack, sealed = Exchange(), service._seal(TEAM, "A1", Token("xoxb-stale"))

    refreshed = await service._refresh(seen, slack)
    async with sessions.tenant(TEAM) as session:
        repository = InstallationRepository(session)
        written = [
            await repository.record_tokens(TEAM, sealed, version=seen.version, lasts_s=None),
            await repository.replace_sealed(TEAM, sealed, version=seen.version),
            await repository.delete(TEAM, version=seen.version),
        ]

    assert seen.changes == now.changes, "by that alone they are the same"
    assert (refreshed, slack.taken, written) == (False, [], [False] * 3)
    assert [one.access_token for one in await service.list_all()] == ["xoxb-2"]


async def test_a_token_that_was_exchanged_is_stored_though_the_database_is_away_for_a_moment(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_with(sessions, OLD)
    await service.install(granted(token=Token("xoxb-1", "xoxe-1-1", 3_600)))
    whole, outages = InstallationRepository.record_tokens, iter(range(2))

    async def away_at_first(*arguments: Any, **options: Any) -> bool:
        if next(outages, None) is not None:
            raise DatabaseUnavailable("away")
        return await whole(*arguments, **options)

    monkeypatch.setattr(InstallationRepository, "record_tokens", away_at_first)
    monkeypatch.setattr(installations, "_PAUSES_S", (0.01,) * 3)
    refreshed = await service.refresh_due(Exchange())

    assert refreshed == [TEAM]
    assert [one.access_token for one in await service.list_all()] == ["xoxb-fresh-1"]


async def test_a_stop_lets_a_token_that_is_under_way_be_stored(sessions: Sessions) -> None:
    service = service_with(sessions, OLD)
    await service.install(granted(token=Token("xoxb-1", "xoxe-1-1", 3_600)))
    refreshing = asyncio.create_task(service.refresh_due(slack := Exchange(pause_s=0.5)))
    await until(lambda: slack.taken)

    await end_tasks([refreshing], again_s=0.1)

    assert refreshing.cancelled()
    assert [one.access_token for one in await service.list_all()] == ["xoxb-fresh-1"]


async def test_there_is_room_for_so_many_and_for_who_is_in_already(sessions: Sessions) -> None:
    service = service_with(sessions, OLD, limit=1)
    await service.install(granted(TEAM))

    with pytest.raises(Forbidden):
        await service.install(granted(OTHER_TEAM))
    await service.install(granted(TEAM, Token("xoxb-again")))

    assert [(one.team_id, one.access_token) for one in await service.list_all()] == [(TEAM, "xoxb-again")]


async def test_a_workspace_that_was_uninstalled_keeps_nobody_from_rotating_though_its_key_is_lost(
    sessions: Sessions,
) -> None:
    await service_with(sessions, OLD).install(granted(TEAM))
    await service_with(sessions, NEW).install(granted(OTHER_TEAM))
    async with sessions.purging(TEAM) as session:
        await DepartureRepository(session).record(TEAM)

    assert await service_with(sessions, NEW).rotate_keys() == Resealed(2, 0)
