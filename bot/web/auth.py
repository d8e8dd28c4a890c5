"""Who is calling: the API key in the Authorization header."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from bot.errors import Forbidden, Unauthenticated
from bot.services.audience import AudienceService
from bot.services.limits import Kind, LimitService
from bot.services.users import Caller, Scope, UserService

Endpoint = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]
"""What answers a request, once it is known who asks."""


class Doorkeeper:
    """Lets a request through to its endpoint when its key is valid, and good for what the endpoint does.

    The key of somebody in Slack is valid as long as they are: it fails with Forbidden for who was deactivated there. It is
    an administrator's while they are one by Slack's word too, which is as old as a channel's members may be.
    """

    def __init__(self, users: UserService, audiences: Callable[[str], AudienceService], limits: LimitService) -> None:
        self._users = users
        self._audiences = audiences
        self._limits = limits

    def open_to(
        self, scope: Scope, endpoint: Endpoint, *, kind: Kind = Kind.REQUESTS
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return a handler that asks for a key with this scope before anything of the request's body is read.

        `kind` is what its owner's requests are counted as; beyond the limit they are refused.
        """

        async def handle(request: web.Request) -> web.StreamResponse:
            caller = await self._users.authenticate(key_from(request))
            account = caller.account
            team_id, user_id = account.team_id, str(account.id)
            await self._limits.admit(team_id, account.slack_user_id or user_id, kind)
            if account.slack_user_id is not None:
                caller = caller.lowered_to(await self._audiences(team_id).asker(team_id, account.slack_user_id))
            await self._require(caller, scope, request)
            with structlog.contextvars.bound_contextvars(team_id=team_id, user_id=user_id):
                return await endpoint(request, caller)

        return handle

    async def _require(self, caller: Caller, scope: Scope, request: web.Request) -> None:
        """Raise Forbidden unless the key is good for this; the attempt is in the audit log then."""
        try:
            caller.require(scope)
        except Forbidden:
            resource = request.match_info.route.resource
            await self._users.note_refusal(caller, f"{request.method} {resource.canonical if resource else ''}")
            raise


def key_from(request: web.Request) -> str:
    """Return the key of `Authorization: Bearer <key>`. Raises Unauthenticated."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        message = "This needs an API key: Authorization: Bearer rk_… (an administrator makes one: bot keys create)."
        raise Unauthenticated("no key", user_message=message)
    return key.strip()
