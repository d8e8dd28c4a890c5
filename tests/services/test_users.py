from __future__ import annotations

import asyncio
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import Sessions
from bot.errors import AlreadyExists, Forbidden, InvalidRequest, NotFound, Unauthenticated
from bot.repositories.users import UserRepository
from bot.services.users import OPERATOR_EMAIL, Account, Scope, UserService, expiry_from, scopes_for
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import counted_statements, record_user


@pytest.fixture
def users(sessions: Sessions) -> UserService:
    return UserService(sessions)


async def ada(users: UserService, *, team_id: str = TEAM, is_admin: bool = False) -> Account:
    return await users.ensure(team_id, name="Ada", email="ada@example.com", is_admin=is_admin)


async def test_a_person_is_created_once_per_workspace(users: UserService) -> None:
    made = await users.create(TEAM, name=" Ada  Lovelace ", email="Ada@Example.com")

    with pytest.raises(AlreadyExists):
        await users.create(TEAM, name="Other", email="ada@example.com")
    elsewhere = await users.create(OTHER_TEAM, name="Ada", email="ada@example.com")

    assert (made.name, made.email, made.is_admin) == ("Ada Lovelace", "ada@example.com", False)
    assert elsewhere.id != made.id
    assert await users.get(TEAM, made.id) == made


async def test_a_person_of_another_workspace_is_not_found(users: UserService) -> None:
    made = await ada(users)

    with pytest.raises(NotFound):
        await users.get(OTHER_TEAM, made.id)


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "a@b@c.de", "x" * 250 + "@example.com"],
)
async def test_what_is_no_address_is_refused(users: UserService, email: str) -> None:
    with pytest.raises(InvalidRequest, match="email"):
        await users.create(TEAM, name="Ada", email=email)


async def test_ensure_raises_to_administrator_and_never_lowers(users: UserService) -> None:
    first = await ada(users)
    raised = await ada(users, is_admin=True)
    still = await ada(users)

    assert (first.is_admin, raised.is_admin, still.is_admin) == (False, True, True)
    assert first.id == raised.id == still.id


async def test_the_operator_is_made_once_though_two_come_at_once(users: UserService) -> None:
    first, second = await asyncio.gather(users.operator(TEAM), users.operator(TEAM))

    assert first == second
    assert first.is_admin
    assert first.email == OPERATOR_EMAIL
    assert (await users.operator(OTHER_TEAM)).id != first.id


async def test_a_key_names_its_team_and_says_who_holds_it(users: UserService) -> None:
    account = await ada(users)

    key = await users.create_key(TEAM, account.id, scopes=[Scope.READ])
    caller = await users.authenticate(key)

    prefix, team_id, key_id, secret = key.split("_", 3)
    assert (prefix, team_id, UUID(key_id).version) == ("rk", TEAM, 7)
    assert len(secret) == 43  # 256 bits in base 64
    assert caller.account == account
    assert caller.scopes == {Scope.READ}


async def test_every_key_has_a_secret_of_its_own(users: UserService) -> None:
    account = await ada(users)

    keys = [await users.create_key(TEAM, account.id, scopes=[]) for _ in range(5)]

    assert len({key.split("_", 3)[3] for key in keys}) == 5


async def test_a_secret_opens_no_other_key(users: UserService) -> None:
    account = await ada(users)
    first = await users.create_key(TEAM, account.id, scopes=list(Scope))
    second = await users.create_key(TEAM, account.id, scopes=[Scope.READ])

    swapped = "_".join([*first.split("_", 3)[:3], second.split("_", 3)[3]])

    with pytest.raises(Unauthenticated):
        await users.authenticate(swapped)


async def test_a_key_ends_when_it_expires_and_when_it_is_revoked(users: UserService) -> None:
    account = await ada(users)
    now = datetime.now(UTC)
    valid = await users.create_key(TEAM, account.id, scopes=[], expires_at=now + timedelta(hours=1))
    expired = await users.create_key(TEAM, account.id, scopes=[], expires_at=now - timedelta(seconds=1))
    await users.authenticate(valid)

    with pytest.raises(Unauthenticated):
        await users.authenticate(expired)
    await users.revoke_key(TEAM, UUID(valid.split("_")[2]))
    with pytest.raises(Unauthenticated):
        await users.authenticate(valid)
    with pytest.raises(NotFound):
        await users.revoke_key(TEAM, UUID(valid.split("_")[2]))


async def test_keys_are_listed_without_what_opens_them(users: UserService) -> None:
    account = await ada(users)
    key = await users.create_key(TEAM, account.id, scopes=[Scope.WRITE, Scope.READ])
    await users.authenticate(key)

    (view,) = await users.list_keys(TEAM, account.id)

    assert view.id.hex == key.split("_")[2]
    assert view.scopes == (Scope.READ, Scope.WRITE)
    assert view.last_used_at is not None
    assert view.expires_at is None
    assert key.split("_", 3)[3] not in repr(view)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.one_of(st.text(), st.from_regex(r"rk_[A-Z0-9]{1,9}_[0-9a-f]{30,34}_[A-Za-z0-9_-]{40,46}", fullmatch=True))
)
async def test_whatever_is_sent_as_a_key_is_refused_and_never_fails(users: UserService, key: str) -> None:
    with pytest.raises(Unauthenticated):
        await users.authenticate(key)


async def test_an_administrators_scope_needs_an_administrator(users: UserService) -> None:
    account = await ada(users)
    caller = await users.authenticate(await users.create_key(TEAM, account.id, scopes=list(Scope)))

    caller.require(Scope.WRITE)
    with pytest.raises(Forbidden):
        caller.require(Scope.ADMIN)

    raised = await ada(users, is_admin=True)
    caller = await users.authenticate(await users.create_key(TEAM, raised.id, scopes=list(Scope)))
    caller.require(Scope.ADMIN)


async def test_a_key_for_nobody_is_not_made(users: UserService) -> None:
    with pytest.raises(NotFound):
        await users.create_key(TEAM, uuid4(), scopes=[])


async def test_only_an_administrators_keys_are_good_for_all(users: UserService) -> None:
    assert scopes_for(await ada(users)) == {Scope.READ, Scope.WRITE}
    assert scopes_for(await ada(users, is_admin=True)) == set(Scope)


async def test_a_key_is_good_for_less_when_less_is_wanted_and_never_for_more_than_its_owner(users: UserService) -> None:
    account = await ada(users)

    assert scopes_for(account, wanted=["read"]) == {Scope.READ}
    for wanted in (["admin"], ["read", "everything"]):
        with pytest.raises(InvalidRequest) as refused:
            scopes_for(account, wanted=wanted)
        assert refused.value.user_message.startswith("A key of theirs can have the scopes read, write: not ")


@pytest.mark.parametrize(("text", "days"), [(None, 365), ("90d", 90), ("4w", 28), ("24h", 1)])
def test_a_key_ends_in_a_year_or_when_somebody_says(text: str | None, days: int) -> None:
    end = expiry_from(text)

    assert end is not None
    assert abs(end - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


def test_a_key_that_never_ends_must_be_asked_for() -> None:
    assert expiry_from("Never") is None


@pytest.mark.parametrize("text", ["", "soon", "0d", "2001-01-01", "-1d"])
def test_an_end_that_is_none_or_past_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        expiry_from(text)

    assert "a span (12h, 90d, 4w), a date to come (2027-03-31) or never" in refused.value.user_message


async def test_an_unknown_key_costs_what_a_wrong_secret_costs(
    users: UserService, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await ada(users)
    key = await users.create_key(TEAM, account.id, scopes=[])
    expired = await users.create_key(TEAM, account.id, scopes=[], expires_at=datetime.now(UTC) - timedelta(seconds=1))
    compared = []

    def compare(known: bytes, sent: bytes) -> bool:
        compared.append((len(known), len(sent)))
        return _compare_digest(known, sent)

    _compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    prefix, team_id, number, secret = key.split("_", 3)
    swapped = "_".join([prefix, team_id, number, secret[::-1]])
    costs = []
    for wrong in (swapped, "_".join([prefix, team_id, "0" * 32, secret]), expired):
        compared.clear()
        with counted_statements(engine) as statements, pytest.raises(Unauthenticated):
            await users.authenticate(wrong)
        costs.append((len(statements), list(compared)))

    assert costs == [(1, [(32, 32)])] * 3


async def test_the_keys_of_somebody_deactivated_in_slack_open_nothing(users: UserService, sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user_id = await record_user(session, "U1")
        other_id = await record_user(session, "U2")
    keys = [await users.create_key(TEAM, user_id, scopes=[Scope.READ]) for _ in range(2)]
    others = await users.create_key(TEAM, other_id, scopes=[Scope.READ])

    assert await users.revoke_keys_of(TEAM, "U1") == 2
    assert await users.revoke_keys_of(TEAM, "U1") == 0
    assert await users.revoke_keys_of(TEAM, "U404") == 0

    for key in keys:
        with pytest.raises(Unauthenticated):
            await users.authenticate(key)
    assert (await users.authenticate(others)).account.id == other_id


async def test_the_keys_of_somebody_who_is_gone_open_nothing(users: UserService, sessions: Sessions) -> None:
    account = await ada(users)
    key = await users.create_key(TEAM, account.id, scopes=[Scope.READ])
    async with sessions.tenant(TEAM) as session:
        await UserRepository(session).delete(TEAM, account.id)

    with pytest.raises(Unauthenticated):
        await users.authenticate(key)


async def test_a_key_whose_owner_is_no_administrator_any_more_is_no_administrators_key(
    users: UserService, sessions: Sessions
) -> None:
    account = await ada(users, is_admin=True)
    key = await users.create_key(TEAM, account.id, scopes=list(Scope))
    async with sessions.tenant(TEAM) as session:
        await UserRepository(session).update(TEAM, account.id, is_admin=False)

    with pytest.raises(Forbidden):
        (await users.authenticate(key)).require(Scope.ADMIN)
