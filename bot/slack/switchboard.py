"""The way from a request of Slack's to the listeners of the workspace it is for, one of several.

What reaches the listeners bears the id of the workspace that let us in, and never that of another in the same channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

import structlog
from slack_bolt.async_app import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.errors import ServiceUnavailable
from bot.slack.addressing import Place, addressed, copied_to, is_uninstalled, readdress, shared_place, told_at
from bot.slack.dispatch import Listeners, on_error
from bot.slack.payloads import Body

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Line:
    """An open workspace: its listeners, and what is called whenever they took something."""

    team_id: str
    listeners: Listeners
    on_taken: Callable[[], None]


class Exchange(Protocol):
    """What knows the workspaces."""

    async def find(self, team_id: str) -> Line | None:
        """Return the workspace, or organisation, of this id; None when it didn't let us in.

        Raises ServiceUnavailable for one that did, and isn't open yet.
        """
        ...

    async def sharing(self, team_id: str, place: Place) -> list[Line]:
        """Return the other open workspaces that know this place. Raises DatabaseUnavailable."""
        ...

    async def depart(self, team_id: str, *, told_at: datetime | None) -> None:
        """Store that the bot was uninstalled, from a workspace that isn't open here. Raises DatabaseUnavailable."""
        ...


class Switchboard:
    """Hands each request to the listeners of its workspace. What is for nobody here is taken, and dropped."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        """Return the listeners' answer; 200 for what is for nobody, since Slack would send it again for nothing."""
        body = req.body
        if body.get("type") == "url_verification":
            return BoltResponse(status=HTTPStatus.OK, body={"challenge": str(body.get("challenge") or "")})
        team_id = addressed(body)
        try:
            line = None if team_id is None else await self._find(team_id, body)
            others = await self._others(line, body)
        except ServiceUnavailable as error:
            return await on_error(error)
        if line is None:
            log.info("request.for_nobody", team_id=team_id, type=str(body.get("type"))[:40])
            return BoltResponse(status=HTTPStatus.OK)
        copies = [(other, _copy(req, other.team_id)) for other in others]
        readdress(body, line.team_id)
        response, *more = await asyncio.gather(*(_hand_over(*each) for each in ((line, req), *copies)))
        if response.status == HTTPStatus.OK:
            line.on_taken()
        # What one of them couldn't store Slack sends again, to all: who has it knows its id.
        return next((one for one in (response, *more) if one.status != HTTPStatus.OK), response)

    async def _find(self, team_id: str, body: Body) -> Line | None:
        """Return the way to a workspace; the farewell of one to which there is none is taken here."""
        line, leaves = None, is_uninstalled(body)
        try:
            line = await self._exchange.find(team_id)
        except ServiceUnavailable:
            if not leaves:
                raise
        if line is None and leaves:
            await self._exchange.depart(team_id, told_at=told_at(body))
        return line

    async def _others(self, line: Line | None, body: Body) -> list[Line]:
        """Return who else must know: Slack tells one of the workspaces in a channel, whoever is in it."""
        place = shared_place(body)
        return [] if line is None or place is None else await self._exchange.sharing(line.team_id, place)


async def _hand_over(line: Line, request: AsyncBoltRequest) -> BoltResponse:
    with structlog.contextvars.bound_contextvars(team_id=line.team_id):
        return await line.listeners.async_dispatch(request)


def _copy(request: AsyncBoltRequest, team_id: str) -> AsyncBoltRequest:
    """Return an event for another workspace; listeners find in its context that it is a copy."""
    context = {"raw": request.context["raw"], "is_copy": True}
    return AsyncBoltRequest(body=copied_to(request.body, team_id), context=context, mode="socket_mode")
