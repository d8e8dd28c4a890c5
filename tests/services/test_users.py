from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.db.engine import Sessions
from bot.errors import AlreadyExists, Forbidden, InvalidRequest, NotFound, Unauthenticated
from bot.services.users import OPERATOR_EMAIL, Account, Scope, UserService, scopes_for
from tests.conftest import OTHER_TEAM, TEAM


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
