from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.db.engine import Sessions
from bot.errors import AlreadyExists
from bot.repositories.channels import ChannelRepository, personal_channel_id
from bot.repositories.documents import DocumentRepository
from bot.repositories.users import UserRepository
from bot.values import Person, Plan, UserKind, new_id
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import counted_statements, overlap, person, share_bytes


async def test_a_person_is_found_by_id_email_and_slack_id(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        made = await UserRepository(session).create(TEAM, name="Ada", email="ada@example.com", slack_user_id="U1")

    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        by_id = await users.get(TEAM, made.id)
        by_email = await users.get_by(TEAM, email=" ADA@example.com ")
        by_slack = await users.get_by(TEAM, slack_user_id="U1")
        nobody = await users.get_by(TEAM)

    assert [user and user.id for user in (by_id, by_email, by_slack)] == [made.id] * 3
    assert by_id is not None
    assert (by_id.name, by_id.plan, by_id.kind, by_id.is_admin) == ("Ada", Plan.FREE, UserKind.MEMBER, False)
    assert by_id.created_at.tzinfo is not None
    assert nobody is None


async def test_a_second_person_with_the_same_email_is_refused_in_plain_words(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        await users.create(TEAM, name="Ada", email="ada@example.com")

        with pytest.raises(AlreadyExists) as refused:
            await users.create(TEAM, name="Eve", email="Ada@Example.com")

        assert await users.count(TEAM) == 1
    assert refused.value.user_message == "Somebody with this email address is already here."


async def test_the_same_email_may_stand_in_two_workspaces(sessions: Sessions) -> None:
    for team in (TEAM, OTHER_TEAM):
        async with sessions.tenant(team) as session:
            await UserRepository(session).create(team, name="Ada", email="ada@example.com")

    async with sessions.tenant(OTHER_TEAM) as session:
        assert await UserRepository(session).count(OTHER_TEAM) == 1


async def test_another_workspace_sees_nobody_even_when_it_asks_for_them(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await UserRepository(session).create(TEAM, name="Ada", email="ada@example.com", slack_user_id="U1")

    async with sessions.tenant(OTHER_TEAM) as session:
        users = UserRepository(session)
        assert await users.get(TEAM, user.id) is None
        assert await users.get(OTHER_TEAM, user.id) is None
        assert await users.get_by(TEAM, slack_user_id="U1") is None
        assert await users.list_page(TEAM) == []
        assert await users.delete(TEAM, user.id) == 0


async def test_somebody_recorded_again_keeps_their_id_and_takes_on_what_changed(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        first = await UserRepository(session).record_person(TEAM, person("U1", "Ada"))

    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        again = await users.record_person(TEAM, Person("U1", "Ada Lovelace", kind=UserKind.GUEST, is_admin=True))
        user = await users.get(TEAM, first)

    assert again == first
    assert user is not None
    assert (user.name, user.kind, user.is_admin) == ("Ada Lovelace", UserKind.GUEST, True)


async def test_somebody_recorded_by_two_transactions_at_once_is_one_person(sessions: Sessions) -> None:
    async def record(session: AsyncSession) -> UUID:
        return await UserRepository(session).record_person(TEAM, person("U1"))

    first, second = await overlap(sessions, record, record)

    assert first == second


async def test_a_slack_profile_does_not_take_anothers_email(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        owner = await users.create(TEAM, name="Ada", email="ada@example.com")
        other = await users.record_person(TEAM, Person("U2", "Eve", email="Ada@example.com"))

        found = await users.get_by(TEAM, email="ada@example.com")

    assert found is not None
    assert found.id == owner.id != other


async def test_hostile_names_are_stored_as_text(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        user_id = await users.record_person(TEAM, Person("U1", "'; DROP TABLE users; --\x00\ud800", email="\x00"))
        await users.update(TEAM, user_id, preferences={"language\x00": "\udfff"})
        user = await users.get(TEAM, user_id)

    assert user is not None
    assert user.name == "'; DROP TABLE users; --\ufffd\ufffd"
    assert user.preferences == {"language\ufffd": "\ufffd"}


async def test_people_are_listed_page_by_page_in_the_order_they_came(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        ids = [(await users.create(TEAM, name=f"person {n}")).id for n in range(5)]
        first = await users.list_page(TEAM, limit=2)
        second = await users.list_page(TEAM, after=first[-1].id, limit=2)
        third = await users.list_page(TEAM, after=second[-1].id, limit=2)

        assert await users.count(TEAM) == 5
    assert [user.id for user in [*first, *second, *third]] == ids


async def test_documents_come_along_in_two_statements_however_many_people_there_are(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        for n in range(6):
            user = await users.create(TEAM, name=f"person {n}")
            for k in range(n):
                await share_bytes(session, f"{n} {k}".encode(), user=user.id, filename=f"{n}-{k}.pdf")

    async with sessions.tenant(TEAM) as session:
        with counted_statements(engine) as statements:
            people = await UserRepository(session).list_with_documents(TEAM)
            counts = [len(user.documents) for user in people]
        with counted_statements(engine) as statements_for_one:
            last = await UserRepository(session).get_with_documents(TEAM, people[-1].id)

    assert counts == [0, 1, 2, 3, 4, 5]
    assert len(statements) == 2
    assert last is not None
    assert len(last.documents) == 5
    assert len(statements_for_one) == 2


async def test_documents_that_were_not_asked_for_are_never_fetched_one_by_one(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        user = await UserRepository(session).create(TEAM, name="Ada")

        with pytest.raises(InvalidRequestError, match="raise"):
            _ = user.documents


async def test_a_plan_is_changed(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        user = await users.create(TEAM, name="Ada")

        assert await users.change_plan(TEAM, user.id, Plan.PRO)
        assert not await users.change_plan(TEAM, new_id(), Plan.PRO)

        changed = await users.get(TEAM, user.id)
    assert changed is not None
    assert changed.plan == Plan.PRO


async def test_taking_anothers_email_is_refused_and_leaves_the_transaction_usable(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        await users.create(TEAM, name="Ada", email="ada@example.com")
        bob = await users.create(TEAM, name="Bob", email="bob@example.com")

        with pytest.raises(AlreadyExists):
            await users.update(TEAM, bob.id, name="Robert", email="ADA@example.com")
        await users.update(TEAM, bob.id, email="Rob@example.com")

        unchanged = await users.get(TEAM, bob.id)
    assert unchanged is not None
    assert (unchanged.name, unchanged.email) == ("Bob", "rob@example.com")


async def test_several_people_are_changed_in_one_statement(sessions: Sessions, engine: AsyncEngine) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        ids = [(await users.create(TEAM, name=f"person {n}")).id for n in range(3)]
        with counted_statements(engine) as statements:
            changed = await users.update_many(TEAM, ids[:2], plan=Plan.ENTERPRISE)
        plans = [user.plan for user in await users.list_page(TEAM)]

    assert changed == 2
    assert len([s for s in statements if s.startswith("UPDATE")]) == 1
    assert plans == [Plan.ENTERPRISE, Plan.ENTERPRISE, Plan.FREE]


async def test_an_api_key_names_its_person_until_it_expires(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        user = await users.create(TEAM, name="Ada")
        soon = datetime.now(UTC) + timedelta(hours=1)
        past = datetime.now(UTC) - timedelta(seconds=1)
        good = await users.create_api_key(
            TEAM, user.id, secret_hash=b"h", scopes=["search"], expires_at=soon, key_id=new_id()
        )
        expired = await users.create_api_key(TEAM, user.id, secret_hash=b"h", expires_at=past)

        found = await users.get_by_api_key(TEAM, good)
        assert await users.get_by_api_key(TEAM, expired) is None
        assert await users.get_by_api_key(TEAM, new_id()) is None
        assert [key.id for key in await users.list_api_keys(TEAM, user.id)] == sorted([good, expired])
        assert await users.delete_api_key(TEAM, good) == 1
        assert await users.get_by_api_key(TEAM, good) is None
    assert found is not None
    assert (found[0].id, found[1].secret_hash, found[1].scopes) == (user.id, b"h", ["search"])


async def test_the_use_of_a_key_is_noted_once_a_minute(sessions: Sessions, engine: AsyncEngine) -> None:
    async def last_use(session: AsyncSession, key: UUID) -> datetime | None:
        found = await UserRepository(session).get_by_api_key(TEAM, key)
        assert found is not None
        return found[1].last_used_at

    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        user = await users.create(TEAM, name="Ada")
        key = await users.create_api_key(TEAM, user.id, secret_hash=b"h")
        assert await last_use(session, key) is None
        await users.record_key_use(TEAM, key)
    async with sessions.tenant(TEAM) as session:
        first = await last_use(session, key)
        await UserRepository(session).record_key_use(TEAM, key)
        second = await last_use(session, key)
        await session.execute(text("UPDATE api_keys SET last_used_at = now() - interval '2 minutes'"))
        await UserRepository(session).record_key_use(TEAM, key)
        third = await last_use(session, key)

    assert first is not None
    assert second == first
    assert third is not None
    assert third > first


async def test_a_deleted_person_takes_keys_and_personal_place_along_and_leaves_what_was_shared(
    sessions: Sessions,
) -> None:
    async with sessions.tenant(TEAM) as session:
        users = UserRepository(session)
        user = await users.create(TEAM, name="Ada")
        key = await users.create_api_key(TEAM, user.id, secret_hash=b"h")
        await ChannelRepository(session).record_personal(TEAM, user.id)
        private = await share_bytes(session, b"diary", user=user.id, channel_id=personal_channel_id(user.id))
        public = await share_bytes(session, b"rules", user=user.id, channel_id="C1")

        assert await users.delete(TEAM, user.id) == 1

        documents = DocumentRepository(session)
        kept = await documents.get(TEAM, public.id)
        assert await users.get(TEAM, user.id) is None
        assert await users.get_by_api_key(TEAM, key) is None
        assert await documents.get(TEAM, private.id) is None
        assert await ChannelRepository(session).get(TEAM, personal_channel_id(user.id)) is None
        assert kept is not None
        assert kept.uploader_id is None
        assert [share.channel_id for share in kept.shares] == ["C1"]
