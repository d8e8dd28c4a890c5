"""Which of several workspaces a request of Slack's is for, and the way to its listeners.

Slack says it by whose installation is meant: the `authorizations` of an event, the workspace of a command or a click, or
the organisation where that let us in as a whole. The workspace in which something happened may be another company's, in
a channel both share: what reaches the listeners bears the id of the one that let us in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from slack_bolt.async_app import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.errors import ServiceUnavailable
from bot.slack.dispatch import Listeners, on_error
from bot.slack.payloads import is_id

log = structlog.get_logger()

_TRUE = (True, "true")


@dataclass(frozen=True, slots=True)
class Line:
    """An open workspace: its listeners, and what is called whenever they took something."""

    team_id: str
    listeners: Listeners
    on_taken: Callable[[], None]


Find = Callable[[str], Awaitable[Line | None]]
"""Returns the workspace, or organisation, of this id; None when it didn't let us in.

Raises ServiceUnavailable for one that did, and isn't open yet.
"""


class Switchboard:
    """Hands each request to the listeners of its workspace. What is for nobody here is taken, and dropped."""

    def __init__(self, find: Find) -> None:
        self._find = find

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        """Return the listeners' answer; 200 for what is for nobody, since Slack would send it again for nothing."""
        body = req.body
        if body.get("type") == "url_verification":
            return BoltResponse(status=HTTPStatus.OK, body={"challenge": str(body.get("challenge") or "")})
        team_id = addressed(body)
        try:
            line = await self._find(team_id) if team_id is not None else None
        except ServiceUnavailable as error:
            return await on_error(error)
        if line is None:
            log.info("request.for_nobody", team_id=team_id, type=str(body.get("type"))[:40])
            return BoltResponse(status=HTTPStatus.OK)
        _readdress(body, line.team_id)
        with structlog.contextvars.bound_contextvars(team_id=line.team_id):
            response = await line.listeners.async_dispatch(req)
        if response.status == HTTPStatus.OK:
            line.on_taken()
        return response


def addressed(body: Mapping[str, Any]) -> str | None:
    """Return whose installation is meant: an organisation's where that let us in as a whole, else a workspace's."""
    flagged = _first_authorization(body) or body
    named = _id_of(flagged, "enterprise" if flagged.get("is_enterprise_install") in _TRUE else "team")
    return named if is_id(named) else None


def _first_authorization(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return whose installation an event is for: Slack names one, whoever else could see it too."""
    listed = body.get("authorizations")
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else None


def _id_of(body: Mapping[str, Any], what: str) -> object:
    """Return an id from a command's or event's flat field, or from a click's nested one."""
    inner = body.get(what)
    return inner.get("id") if isinstance(inner, dict) else body.get(f"{what}_id")


def _readdress(body: dict[str, Any], team_id: str) -> None:
    """Let a request bear the id of the workspace that it is for."""
    if "team_id" in body:
        body["team_id"] = team_id
    if isinstance(body.get("team"), dict):
        body["team"] = {**body["team"], "id": team_id}
