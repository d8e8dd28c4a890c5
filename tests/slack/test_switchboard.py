"""Whose request it is: what Slack names, in the shapes in which it names it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_bolt.async_app import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.errors import ServiceUnavailable
from bot.slack.addressing import Place, addressed
from bot.slack.dispatch import dispatch
from bot.slack.switchboard import Line, Switchboard

Json = dict[str, Any]


def event(**changes: Any) -> Json:
    """An event as Slack's Events API wraps it, for the installation in T1."""
    auth = {"enterprise_id": "E1", "team_id": "T1", "is_enterprise_install": False}
    return {
        "type": "event_callback",
        "team_id": "T1",
        "event": {"type": "message"},
        "authorizations": [auth],
        **changes,
    }


def authorized(**changes: Any) -> list[Json]:
    return [{**event()["authorizations"][0], **changes}]


def click(**changes: Any) -> Json:
    return {
        "type": "block_actions",
        "team": {"id": "T1"},
        "enterprise": None,
        "is_enterprise_install": False,
        **changes,
    }


def command(**changes: Any) -> Json:
    return {"command": "/ask", "team_id": "T1", "is_enterprise_install": "false", **changes}


@pytest.mark.parametrize(
    ("body", "team_id"),
    [
        (event(), "T1"),
        (event(team_id="T2"), "T1"),
        (event(authorizations=authorized(team_id=None, is_enterprise_install=True)), "E1"),
        (event(authorizations=authorized(is_enterprise_install=True)), "E1"),
        (event(authorizations=[]), "T1"),
        (event(authorizations="nonsense"), "T1"),
        (event(authorizations=[None]), "T1"),
        (event(authorizations=authorized(team_id={"id": "T1"})), None),
        (event(authorizations=authorized(team_id=None)), None),
        ({"type": "event_callback", "enterprise_id": "E1", "event": {"type": "app_uninstalled"}}, "E1"),
        ({"type": "event_callback", "enterprise_id": "E1", "authorizations": [], "event": {"type": "x"}}, "E1"),
        ({"type": "event_callback", "enterprise_id": "E1", "authorizations": authorized(team_id=None)}, "E1"),
        ({"type": "event_callback", "enterprise_id": "E1", "team_id": "T1"}, "T1"),
        ({"type": "event_callback", "enterprise_id": "E1", "team_id": {"id": "T1"}}, None),
        ({"type": "app_rate_limited", "team_id": "T1"}, "T1"),
        (click(), "T1"),
        (click(enterprise={"id": "E1"}), "T1"),
        (click(enterprise={"id": "E1"}, is_enterprise_install=True), "E1"),
        (command(), "T1"),
        (command(enterprise_id="E1", is_enterprise_install="true"), "E1"),
        ({"type": "url_verification"}, None),
        ({}, None),
    ],
)
def test_it_is_for_the_installation_that_slack_means(body: Json, team_id: str | None) -> None:
    assert addressed(body) == team_id


@dataclass
class Office:
    """Some open workspaces, and what reached each."""

    open: tuple[str, ...] = ("T1", "T2", "E1")
    opening: tuple[str, ...] = ()
    heard: list[tuple[str, Json]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    status: int = 200
    statuses: dict[str, int] = field(default_factory=dict)
    rooms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    departed: list[tuple[str, datetime | None]] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)

    async def find(self, team_id: str) -> Line | None:
        if team_id in self.opening:
            raise ServiceUnavailable("opening")
        if team_id not in self.open:
            return None
        return Line(team_id, Desk(team_id, self), lambda: self.taken.append(team_id))

    async def sharing(self, team_id: str, place: Place) -> list[Line]:
        others = [other for other in self.rooms.get(place.channel_id or place.file_id or "", ()) if other != team_id]
        return [line for other in others if (line := await self.find(other)) is not None]

    async def depart(self, team_id: str, *, told_at: datetime | None) -> None:
        self.departed.append((team_id, told_at))

    async def receive(self, body: Json, *, form: bool = False) -> BoltResponse:
        text = urlencode(body) if form else json.dumps(body)
        return await dispatch(Switchboard(self), text, raw=text.encode(), headers={})


@dataclass
class Desk:
    team_id: str
    office: Office

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        self.office.heard.append((self.team_id, req.body))
        if req.context.get("is_copy"):
            self.office.copies.append(self.team_id)
        return BoltResponse(status=self.office.statuses.get(self.team_id, self.office.status), body="done")


async def test_each_gets_its_own_and_it_bears_its_id() -> None:
    office = Office()

    await office.receive(event())
    await office.receive(event(team_id="T2"))
    await office.receive(event(authorizations=authorized(team_id=None, is_enterprise_install=True)))
    await office.receive(command(team_id="T2"), form=True)
    await office.receive({"payload": json.dumps(click(enterprise={"id": "E1"}, is_enterprise_install=True))}, form=True)

    assert [team_id for team_id, _ in office.heard] == ["T1", "T1", "E1", "T2", "E1"]
    assert [body.get("team_id") or body["team"]["id"] for _, body in office.heard] == ["T1", "T1", "E1", "T2", "E1"]
    assert office.taken == ["T1", "T1", "E1", "T2", "E1"]


@pytest.mark.parametrize("kind", ["tokens_revoked", "app_uninstalled"])
async def test_the_farewells_reach_the_workspace_that_leaves(kind: str) -> None:
    office = Office()

    await office.receive(event(event={"type": kind}))

    assert [(team_id, body["event"]["type"]) for team_id, body in office.heard] == [("T1", kind)]


@pytest.mark.parametrize("office", [Office(open=()), Office(opening=("T1",))], ids=["discarded", "not open"])
async def test_the_farewell_of_a_workspace_that_isnt_open_is_kept(office: Office) -> None:
    answer = await office.receive(event(event={"type": "app_uninstalled"}, event_time=1_700_000_000))

    assert answer.status == 200
    assert office.departed == [("T1", datetime.fromtimestamp(1_700_000_001, UTC))]


async def test_a_token_that_was_taken_back_is_no_farewell_where_nobody_can_ask() -> None:
    office = Office(open=())

    await office.receive(event(event={"type": "tokens_revoked"}))

    assert office.departed == []


LEFT = {"type": "member_left_channel", "channel": "C1", "user": "U1"}
SAID = {"type": "message", "channel": "C1", "user": "U1"}


@pytest.mark.parametrize(
    "body",
    [
        event(event=LEFT, is_ext_shared_channel=False),
        event(event={"type": "channel_deleted", "channel": "C1"}),
        event(event={"type": "group_rename", "channel": {"id": "C1"}}),
        event(event=SAID, is_ext_shared_channel=True),
        event(event=SAID),
        event(event={"type": "file_deleted", "file_id": "F1"}),
    ],
)
async def test_what_changes_in_a_shared_channel_reaches_who_else_knows_it_under_its_own_id(body: Json) -> None:
    office = Office(rooms={"C1": ("T1", "T2"), "F1": ("T1", "T2")})

    await office.receive(body)

    assert [(team_id, heard["team_id"]) for team_id, heard in office.heard] == [("T1", "T1"), ("T2", "T2")]
    assert {heard["event"]["type"] for _, heard in office.heard} == {body["event"]["type"]}
    assert office.copies == ["T2"]
    assert office.taken == ["T1"], "that Slack reaches T2 isn't said by that"


@pytest.mark.parametrize(
    "body",
    [
        event(event={**SAID, "type": "app_mention"}, is_ext_shared_channel=True),
        event(event=SAID, is_ext_shared_channel=False),
        event(event={**LEFT, "channel": "C2"}),
        event(event={"type": "user_change", "user": {"id": "U1"}}),
        event(event={"type": "app_uninstalled"}),
        command(channel_id="C1"),
    ],
)
async def test_what_is_one_workspaces_own_stays_there(body: Json) -> None:
    office = Office(rooms={"C1": ("T1", "T2")})

    await office.receive(body, form="command" in body)

    assert [team_id for team_id, _ in office.heard] == ["T1"]


async def test_what_one_of_those_in_a_channel_couldnt_store_slack_sends_again() -> None:
    office = Office(rooms={"C1": ("T1", "T2")}, statuses={"T2": 503})

    answer = await office.receive(event(event=LEFT))

    assert (answer.status, office.taken) == (503, ["T1"])


async def test_what_is_for_nobody_is_taken_and_dropped() -> None:
    office = Office()

    answers = [await office.receive(body) for body in (event(authorizations=authorized(team_id="T9")), {"type": "x"})]

    assert [(answer.status, answer.body) for answer in answers] == [(200, "")] * 2
    assert office.heard == []
    assert office.taken == []


async def test_what_cant_be_taken_yet_is_left_to_slack() -> None:
    office = Office(opening=("T1",))

    answer = await office.receive(event())

    assert (answer.status, office.heard) == (503, [])


async def test_what_listeners_didnt_take_counts_as_not_heard() -> None:
    office = Office(status=503)

    answer = await office.receive(event())

    assert (answer.status, office.taken) == (503, [])


async def test_slack_is_shown_that_the_address_is_ours() -> None:
    answer = await Office().receive({"type": "url_verification", "challenge": "abc"})

    assert (answer.status, json.loads(answer.body)) == (200, {"challenge": "abc"})
