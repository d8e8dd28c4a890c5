from __future__ import annotations

import io
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.conftest import TEAM
from tests.web.conftest import Api


async def test_an_administrator_makes_a_person_whose_key_works(api: Api) -> None:
    admin = await api.key("root", is_admin=True)
    new = {"name": "Grace", "email": "Grace@Example.com", "create_key": True}

    made = await api.call("POST", "/v1/users", admin, json=new)
    me = await api.call("GET", "/v1/users/me", made.body["key"])

    assert made.status == 201
    assert made.body["email"] == "grace@example.com"
    assert me.status == 200
    assert (me.body["id"], me.body["name"], me.body["is_admin"]) == (made.body["id"], "Grace", False)
    assert me.body["scopes"] == ["read", "write"]
    (key,) = await api.services.users.list_keys(TEAM, UUID(made.body["id"]))
    assert key.expires_at is not None
    assert timedelta(days=364) < key.expires_at - key.created_at < timedelta(days=366)


async def test_no_key_is_made_unless_asked_for(api: Api) -> None:
    admin = await api.key("root", is_admin=True)

    made = await api.call("POST", "/v1/users", admin, json={"name": "Grace", "email": "grace@example.com"})

    assert "key" not in made.body


async def test_a_taken_address_is_a_bad_request(api: Api) -> None:
    admin = await api.key("root", is_admin=True)
    new = {"name": "Grace", "email": "grace@example.com"}
    await api.call("POST", "/v1/users", admin, json=new)

    again = await api.call("POST", "/v1/users", admin, json={**new, "email": " GRACE@example.com"})

    assert again.status == 400
    assert again.body == {
        "error": "already_exists",
        "message": "Somebody with this email address is already here.",
    }


async def test_only_an_administrator_makes_people(api: Api) -> None:
    reply = await api.call("POST", "/v1/users", await api.key(), json={"name": "Grace", "email": "g@example.com"})

    assert reply.status == 403


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"name": "Grace"}, "email"),
        ({"name": "Grace", "email": "nonsense"}, "email address"),
        ({"name": "Grace", "email": "command-line@localhost"}, "email address"),
        ({"name": " ", "email": "g@example.com"}, "name"),
        ({"name": 5, "email": "g@example.com"}, "name"),
        ({"name": "Grace", "email": "g@example.com", "is_admin": "yes"}, "is_admin"),
        ({"name": "Grace", "email": "g@example.com", "team_id": "T0OTHER"}, "team_id"),
        (["Grace"], "object"),
        ("{", "JSON"),
        ("", "JSON"),
        (b'{"name": "\\ud800", "email": "g@example.com"}', "JSON"),
        (b"\xff\xfe", "JSON"),
    ],
)
async def test_a_body_that_is_no_person_is_refused_in_plain_words(api: Api, body: Any, word: str) -> None:
    admin = await api.key("root", is_admin=True)
    arguments = {"data": body} if isinstance(body, str | bytes) else {"json": body}

    reply = await api.call("POST", "/v1/users", admin, **arguments)

    assert reply.status == 400
    assert reply.body["error"] == "invalid_request"
    assert word in reply.body["message"]
    assert "pydantic" not in reply.body["message"]


async def test_a_name_that_postgresql_cant_store_is_made_storable(api: Api) -> None:
    admin = await api.key("root", is_admin=True)

    reply = await api.call("POST", "/v1/users", admin, json={"name": "Gr\0ce", "email": "g@example.com"})

    assert reply.status == 201
    assert reply.body["name"] == "Gr\N{REPLACEMENT CHARACTER}ce"


async def test_people_see_themselves_and_an_administrator_sees_everybody(api: Api) -> None:
    ada, grace = await api.account("ada"), await api.account("grace")
    key, admin = await api.key("ada"), await api.key("root", is_admin=True)

    own = await api.call("GET", f"/v1/users/{ada.id}", key)
    others = await api.call("GET", f"/v1/users/{grace.id}", key)
    seen = await api.call("GET", f"/v1/users/{grace.id}", admin)
    unknown = await api.call("GET", f"/v1/users/{uuid4()}", admin)
    no_id = await api.call("GET", "/v1/users/nobody", admin)

    assert (own.status, own.body["email"]) == (200, "ada@example.com")
    assert others.status == 403
    assert (seen.status, seen.body["name"]) == (200, "grace")
    assert unknown.status == 404
    assert no_id.status == 404


async def test_a_body_over_the_limit_is_not_read(api: Api) -> None:
    admin = await api.key("root", is_admin=True)

    reply = await api.call("POST", "/v1/users", admin, data=io.BytesIO(b" " * (5 * 2**20)))

    assert reply.status == 413
    assert reply.body["message"] == "The request is larger than I read."
