"""What each deed leaves in the audit log, and how the log is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.db.engine import Session, Sessions
from bot.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from bot.repositories.audit import AuditRepository
from bot.services.audit import AuditService
from bot.services.users import Scope, UserService
from bot.values import AuditEntry, Deed
from tests.conftest import OTHER_TEAM, TEAM
from tests.services.conftest import House
from tests.services.stand_ins import HANDBOOK


async def log_of(sessions: Sessions, *, team_id: str = TEAM) -> list[tuple[str, str, str, dict[str, Any]]]:
    async with sessions.tenant(team_id) as session:
        entries = await AuditRepository(session).list_page(team_id)
    return [(entry.actor, entry.action, entry.target, entry.details) for entry in reversed(entries)]


async def deeds_of(sessions: Sessions) -> list[str]:
    return [action for _, action, _, _ in await log_of(sessions)]


async def audience_of(house: House, user: str) -> Any:
    return await house.audiences.of(TEAM, channel_id="C1", user_id=user, private=True)


@pytest.fixture
def users(sessions: Sessions) -> UserService:
    return UserService(sessions)


# What is told


async def test_deleting_a_document_leaves_one_entry_with_who_and_which(house: House) -> None:
    outcome = await house.share()
    user_id = await house.user_id()

    await house.documents.delete(await audience_of(house, "U1"), outcome.document_id, user_id=user_id, is_admin=False)

    assert await log_of(house.sessions) == [
        (f"user:{user_id}", "document.deleted", f"document:{outcome.document_id}", {"is_admin": False})
    ]


async def test_trying_to_delete_what_is_anothers_is_told_and_changes_nothing(house: House) -> None:
    outcome = await house.share()
    user_id = await house.user_id("U2")

    with pytest.raises(Forbidden):
        await house.documents.delete(
            await audience_of(house, "U2"), outcome.document_id, user_id=user_id, is_admin=False, by="key:1"
        )

    assert [entry[:3] for entry in await log_of(house.sessions)] == [
        ("key:1", "document.deletion_refused", f"document:{outcome.document_id}")
    ]


async def test_what_cannot_be_seen_is_not_told_of_when_somebody_asks_for_it(house: House) -> None:
    outcome = await house.share(channel="G1")

    with pytest.raises(NotFound):
        await house.documents.delete(
            await audience_of(house, "U2"), outcome.document_id, user_id=await house.user_id("U2"), is_admin=False
        )

    assert await log_of(house.sessions) == []


async def test_a_file_deleted_in_slack_is_told_of_once(house: House) -> None:
    await house.share()

    await house.documents.forget_file(TEAM, "F1")
    await house.documents.forget_file(TEAM, "F1")

    assert await log_of(house.sessions) == [("slack", "file.deleted", "file:F1", {"shares": 1})]


async def test_a_retry_is_told_by_our_own_number_of_whoever_asked_in_slack(house: House) -> None:
    outcome = await house.share(b"", filename="nothing.txt")
    user_id = await house.user_id()

    await house.documents.retry(await audience_of(house, "U1"), outcome.document_id, by="slack:U1")

    assert await log_of(house.sessions) == [
        (f"user:{user_id}", "document.retried", f"document:{outcome.document_id}", {"file_id": "F1"})
    ]


@pytest.mark.parametrize("data", [HANDBOOK, b"", b"x" * (2**20 + 1)], ids=["readable", "unreadable", "too large"])
async def test_an_upload_past_slack_leaves_one_entry_and_a_file_shared_in_slack_none(house: House, data: bytes) -> None:
    await house.share(b"Shared in Slack.", filename="slack.txt")

    outcome = await house.documents.ingest_upload(
        TEAM, await house.user_id(), "mine.md", data, channel_id="C1", by="cli:root"
    )

    expected = {"channel_id": "C1", "size_bytes": len(data)}
    assert await log_of(house.sessions) == [
        ("cli:root", "document.uploaded", f"document:{outcome.document_id}", expected)
    ]


async def test_people_and_keys_are_told_of_from_their_making_to_their_end(
    users: UserService, sessions: Sessions
) -> None:
    ada = await users.create(TEAM, name="Ada", email="ada@example.com", by="key:0")
    await users.ensure(TEAM, name="Ada", email="ada@example.com", is_admin=True, by="cli:root")
    await users.ensure(TEAM, name="Ada", email="ada@example.com", is_admin=True, by="cli:root")
    key = await users.create_key(TEAM, ada.id, scopes=[Scope.READ], by="cli:root")
    number = str(UUID(key.split("_")[2]))
    caller = await users.authenticate(key)
    await users.authenticate(key)
    await users.note_refusal(caller, "POST /v1/documents")
    await users.revoke_key(TEAM, UUID(number), by="cli:root")

    assert await log_of(sessions) == [
        ("key:0", "person.created", f"user:{ada.id}", {"is_admin": False}),
        ("cli:root", "person.raised", f"user:{ada.id}", {"is_admin": True}),
        (
            "cli:root",
            "key.created",
            f"key:{number}",
            {"user_id": str(ada.id), "scopes": "read", "expires_at": None},
        ),
        (f"key:{number}", "key.first_used", f"key:{number}", {"user_id": str(ada.id)}),
        (f"key:{number}", "key.refused", f"key:{number}", {"what": "POST /v1/documents"}),
        ("cli:root", "key.revoked", f"key:{number}", {}),
    ]


async def test_a_key_that_opens_nothing_leaves_no_entry(users: UserService, sessions: Sessions) -> None:
    ada = await users.create(TEAM, name="Ada", email="ada@example.com")
    key = await users.create_key(TEAM, ada.id, scopes=[])

    with pytest.raises(Unauthenticated):
        await users.authenticate(key[:-1] + ("A" if key[-1] != "A" else "B"))

    assert await deeds_of(sessions) == ["person.created", "key.created"]


# Together with the deed, or not at all


class Broken(AuditRepository):
    """An audit log that can't be written: the disk is full."""

    async def record(self, team_id: str, entry: AuditEntry) -> None:
        await super().record(team_id, entry)
        raise RuntimeError("the disk is full")


async def count(sessions: Sessions, table: str) -> int:
    async with sessions.tenant(TEAM) as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


async def test_a_deed_whose_entry_cannot_be_written_is_not_done(
    house: House, users: UserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = await house.share()
    user_id = await house.user_id()
    for module in ("documents", "ingest", "users"):
        monkeypatch.setattr(f"bot.services.{module}.AuditRepository", Broken)
    audience = await audience_of(house, "U1")

    for deed in (
        house.documents.delete(audience, outcome.document_id, user_id=user_id, is_admin=False),
        house.documents.forget_file(TEAM, "F1"),
        house.documents.ingest_upload(TEAM, user_id, "mine.md", b"Something of mine."),
        users.create(TEAM, name="Ada", email="ada@example.com"),
        users.create_key(TEAM, user_id, scopes=[]),
    ):
        with pytest.raises(RuntimeError, match="disk"):
            await deed

    assert await count(house.sessions, "audit_log") == 0
    assert await count(house.sessions, "documents") == 1
    assert await count(house.sessions, "document_shares") == 1
    assert await count(house.sessions, "tombstones") == 0
    assert await count(house.sessions, "api_keys") == 0
    assert await count(house.sessions, "users WHERE email IS NOT NULL") == 0


# What never stands there


async def test_no_entry_holds_what_somebody_wrote_named_or_keeps_secret(house: House, users: UserService) -> None:
    outcome = await house.share(filename="canary-file.md")
    ada = await users.create(TEAM, name="Canary Name", email="canary@example.com")
    key = await users.create_key(TEAM, ada.id, scopes=list(Scope))
    await users.authenticate(key)
    await house.documents.ingest_upload(TEAM, ada.id, "canary-upload.md", b"canary words", by=f"user:{ada.id}")
    await house.documents.delete(
        await audience_of(house, "U1"), outcome.document_id, user_id=await house.user_id(), is_admin=True
    )

    log = json.dumps(await log_of(house.sessions))

    assert len(await log_of(house.sessions)) == 5
    assert "canary" not in log.lower()
    assert key.split("_", 3)[3] not in log
    assert "U1" not in log


# Reading


async def record(session: Session, *deeds: tuple[str, Deed]) -> None:
    for actor, deed in deeds:
        await AuditRepository(session).record(TEAM, AuditEntry(actor, deed, "key:1"))


async def test_the_newest_are_read_oldest_first_and_the_rest_page_by_page(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.services.audit._PAGE", 3)
    async with sessions.tenant(TEAM) as session:
        await record(session, *((f"key:{number}", Deed.KEY_REVOKED) for number in range(10)))
    service, seen, before = AuditService(sessions), [], None

    for _ in range(3):
        extract = await service.read(TEAM, limit=4, before=before)
        seen.append([entry.actor[-1] for entry in extract.entries])
        before = extract.before

    assert seen == [["6", "7", "8", "9"], ["2", "3", "4", "5"], ["0", "1"]]
    assert before is None


async def test_the_log_is_read_by_actor_by_action_and_by_age(sessions: Sessions) -> None:
    async with sessions.tenant(TEAM) as session:
        await record(session, ("cli:root", Deed.KEY_REVOKED), ("bot", Deed.DOCUMENT_DELETED), ("bot", Deed.KEY_CREATED))
    service = AuditService(sessions)

    async def actions(**filters: Any) -> list[str]:
        return [entry.action for entry in (await service.read(TEAM, **filters)).entries]

    assert await actions(actor="bot") == ["document.deleted", "key.created"]
    assert await actions(action="key") == ["key.revoked", "key.created"]
    assert await actions(action="key.created") == ["key.created"]
    assert await actions(since="1h", actor="cli:root") == ["key.revoked"]
    assert await actions(since=(datetime.now(UTC) + timedelta(days=1)).isoformat()) == []
    assert (await service.read(OTHER_TEAM)).entries == ()


async def test_a_person_is_found_by_address_with_what_their_keys_did_and_shown_by_name(
    users: UserService, sessions: Sessions
) -> None:
    ada = await users.create(TEAM, name="Ada", email="ada@example.com")
    await users.create(TEAM, name="Bob", email="bob@example.com")
    key = await users.create_key(TEAM, ada.id, scopes=[Scope.READ], by=f"user:{ada.id}")
    await users.authenticate(key)
    gone = await users.create_key(TEAM, ada.id, scopes=[Scope.READ])
    await users.authenticate(gone)
    await users.revoke_key(TEAM, UUID(gone.split("_")[2]))

    for who in ("Ada@example.com", str(ada.id)):
        extract = await AuditService(sessions).read(TEAM, actor=who)

        assert [(entry.action, entry.name) for entry in extract.entries] == [
            ("key.created", "Ada"),
            ("key.first_used", "Ada"),
            ("key.first_used", None),  # its key is gone, and with it whose it was
        ]


@pytest.mark.parametrize(
    ("filters", "error", "says"),
    [
        ({"since": "yesterday"}, InvalidRequest, "30m, 12h, 7d, 2w"),
        ({"since": "0d"}, InvalidRequest, "30m, 12h, 7d, 2w"),
        ({"since": "\x00"}, InvalidRequest, "30m, 12h, 7d, 2w"),
        ({"action": "DROP TABLE"}, InvalidRequest, "document.deleted"),
        ({"actor": "nobody@example.com"}, NotFound, "nobody@example.com"),
        ({"actor": "\x00"}, NotFound, "email address"),
    ],
)
async def test_what_cannot_be_looked_for_is_said_in_a_sentence(
    sessions: Sessions, filters: dict[str, str], error: type[InvalidRequest | NotFound], says: str
) -> None:
    with pytest.raises(error) as refused:
        await AuditService(sessions).read(TEAM, **filters)  # type: ignore[arg-type]  # each is a name of its own

    assert says in refused.value.user_message
