from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.db.engine import Sessions
from bot.services.users import Scope
from tests.conftest import OTHER_TEAM, TEAM
from tests.repositories.builders import exhaust
from tests.web.conftest import Api, serving

ENDPOINTS = [
    ("POST", "/v1/users"),
    ("GET", "/v1/users/me"),
    ("GET", "/v1/users/00000000-0000-0000-0000-000000000000"),
    ("POST", "/v1/documents"),
    ("GET", "/v1/documents"),
    ("GET", "/v1/documents/00000000-0000-0000-0000-000000000000"),
    ("DELETE", "/v1/documents/00000000-0000-0000-0000-000000000000"),
    ("POST", "/v1/search"),
    ("POST", "/v1/ask"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_nothing_answers_without_a_key(api: Api, method: str, path: str) -> None:
    reply = await api.call(method, path)

    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert "Authorization: Bearer" in reply.body["message"]


@pytest.mark.parametrize(
    "forge",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key.replace(TEAM, OTHER_TEAM),
        lambda key: key + "x",
        lambda key: key.replace("rk_", "sk_"),
        lambda key: key.split("_")[0],
        lambda key: "rk_" + "A" * 5_000,
        lambda key: f"rk_{TEAM}'; DROP TABLE users; --_{'0' * 32}_{'a' * 43}",
        lambda key: f"rk_{TEAM}_{'0' * 32}_{'a' * 43}",
        lambda key: f"rk_{TEAM}_{'٣' * 32}_{'a' * 43}".encode().decode("latin-1"),
        lambda key: "\udcff\udcfe",
        lambda key: "",
    ],
)
async def test_a_key_that_is_not_exactly_one_of_ours_is_refused(api: Api, forge: object) -> None:
    assert callable(forge)
    key = await api.key()

    reply = await api.call("GET", "/v1/users/me", headers={"Authorization": f"Bearer {forge(key)}"})

    assert reply.status == 401
    assert reply.body["error"] == "unauthenticated"


async def test_another_scheme_is_refused(api: Api) -> None:
    reply = await api.call("GET", "/v1/users/me", headers={"Authorization": f"Basic {await api.key()}"})

    assert reply.status == 401


async def test_an_expired_key_is_refused(api: Api) -> None:
    account = await api.account("ada")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    key = await api.services.users.create_key(TEAM, account.id, scopes=list(Scope), expires_at=yesterday)

    reply = await api.call("GET", "/v1/users/me", key)

    assert reply.status == 401


async def test_a_key_works_for_its_scopes_alone(api: Api) -> None:
    account = await api.account("ada")
    key = await api.services.users.create_key(TEAM, account.id, scopes=[Scope.READ])

    reading = await api.call("GET", "/v1/documents", key)
    writing = await api.upload(key, "a.txt", b"text")

    assert reading.status == 200
    assert writing.status == 403
    assert "“write”" in writing.body["message"]


async def test_the_use_of_a_key_is_noted(api: Api, sessions: Sessions) -> None:
    await api.call("GET", "/v1/users/me", await api.key())

    async with sessions.tenant(TEAM) as session:
        assert (await session.execute(text("SELECT last_used_at FROM api_keys"))).scalar_one() is not None


async def test_neither_key_nor_secret_is_stored_or_logged(
    api: Api, sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    key = await api.key()
    await api.call("GET", "/v1/users/me", key)
    await api.call("GET", "/v1/users/me", key[:-1])

    secret = key.split("_", 3)[3]
    async with sessions.tenant(TEAM) as session:
        stored = str((await session.execute(text("SELECT api_keys::text FROM api_keys"))).all())
    assert secret not in stored
    assert secret.encode().hex() not in stored
    assert secret not in "".join(capsys.readouterr())


async def test_a_key_of_somebody_deactivated_in_slack_opens_nothing(api: Api, sessions: Sessions) -> None:
    key = await api.key("ada", is_admin=True)
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE users SET slack_user_id = 'UADA' WHERE email = 'ada@example.com'"))
    assert (await api.call("GET", "/v1/users/me", key)).status == 200
    api.slack.deactivated.add("UADA")

    for method, path in ENDPOINTS:
        reply = await api.call(method, path, key)
        assert reply.status == 403
        assert "deactivated" in reply.body["message"]

    api.slack.is_down = True
    assert (await api.call("GET", "/v1/users/me", key)).status == 503, "who can't be asked about has no access either"


async def test_a_key_of_somebody_who_is_no_administrator_any_more_is_none(api: Api, sessions: Sessions) -> None:
    key = await api.key("ada", is_admin=True)
    async with sessions.tenant(TEAM) as session:
        await session.execute(text("UPDATE users SET slack_user_id = 'UADA' WHERE email = 'ada@example.com'"))
    new = {"name": "Grace", "email": "grace@example.com"}
    api.slack.administrators.add("UADA")
    assert (await api.call("POST", "/v1/users", key, json=new)).status == 201

    api.slack.administrators.remove("UADA")

    assert (await api.call("POST", "/v1/users", key, json={**new, "email": "more@example.com"})).status == 403
    assert (await api.call("GET", "/v1/users/me", key)).status == 200
    async with sessions.tenant(TEAM) as session:
        assert await session.scalar(text("SELECT count(*) FROM audit_log WHERE action = 'key.refused'")) == 1


async def test_what_keys_do_and_may_not_do_stands_in_the_audit_log(api: Api, sessions: Sessions) -> None:
    account = await api.account("ada")
    key = await api.services.users.create_key(TEAM, account.id, scopes=[Scope.READ])
    admin = await api.key("root", is_admin=True)

    await api.upload(key, "a.txt", b"text")
    await api.call("POST", "/v1/users", admin, json={"name": "Grace", "email": "grace@example.com", "create_key": True})
    uploaded = await api.upload(admin, "b.txt", b"text")
    await api.call("DELETE", f"/v1/documents/{uploaded.body['id']}", admin)

    theirs, administrators = (f"key:{UUID(each.split('_')[2])}" for each in (key, admin))
    async with sessions.tenant(TEAM) as session:
        rows = await session.execute(text("SELECT actor, action, metadata->>'what' FROM audit_log ORDER BY id"))
        told = [tuple(row) for row in rows if row.actor != "bot"]
    assert told == [
        (theirs, "key.first_used", None),
        (theirs, "key.refused", "POST /v1/documents"),
        (administrators, "key.first_used", None),
        (administrators, "person.created", None),
        (administrators, "key.created", None),
        (administrators, "document.uploaded", None),
        (administrators, "document.deleted", None),
    ]


async def test_who_calls_too_often_gets_429_and_when_to_come_again(sessions: Sessions) -> None:
    limits = {"user_requests_per_minute": 1, "user_uploads_per_minute": 1, "user_questions_per_minute": 1}
    async with serving(sessions, **limits) as api:
        account, key, other = await api.account("ada"), await api.key("ada"), await api.key("bob")
        admitted = await api.call("GET", "/v1/users/me", key), await api.upload(key, "a.txt", b"text")
        await exhaust(sessions, f"requests:{account.id}")
        call = await api.call("GET", "/v1/users/me", key)
        upload = await api.upload(key, "b.txt", b"more text")
        await exhaust(sessions, f"uploads:{account.id}")
        uploads = await api.upload(key, "c.txt", b"other text")
        others = await api.call("POST", "/v1/ask", other, json={"question": "When?"})
        wrong = await api.call("GET", "/v1/users/me", key[:-1])

    assert [reply.status for reply in (*admitted, upload, others, wrong)] == [200, 201, 201, 200, 401]
    for reply in (call, uploads):
        assert reply.status == 429
        assert reply.body["error"] == "too_many_requests"
        assert "1 a minute, 10 at once" in reply.body["message"]
        assert 0 < int(reply.headers["Retry-After"]) <= 7_200
