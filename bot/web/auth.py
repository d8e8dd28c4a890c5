"""Who is calling: the API key in the Authorization header."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from bot.errors import Unauthenticated
from bot.services.audience import AudienceService
from bot.services.users import Caller, Scope, UserService

Endpoint = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]
"""What answers a request, once it is known who asks."""


class Doorkeeper:
    """Lets a request through to its endpoint when its key is valid, and good for what the endpoint does.

    The key of somebody in Slack is valid as long as they are: it fails with Forbidden for who was deactivated there.
    """

    def __init__(self, users: UserService, audiences: AudienceService) -> None:
        self._users = users
        self._audiences = audiences

    def open_to(self, scope: Scope, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return a handler that asks for a key with this scope before anything of the request's body is read."""

        async def handle(request: web.Request) -> web.StreamResponse:
            caller = await self._users.authenticate(key_from(request))
            caller.require(scope)
            team_id, user_id = caller.account.team_id, str(caller.account.id)
            if caller.account.slack_user_id is not None:
                await self._audiences.asker(team_id, caller.account.slack_user_id)
            with structlog.contextvars.bound_contextvars(team_id=team_id, user_id=user_id):
                return await endpoint(request, caller)

        return handle


def key_from(request: web.Request) -> str:
    """Return the key of `Authorization: Bearer <key>`. Raises Unauthenticated."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        message = "This needs an API key: Authorization: Bearer rk_… (an administrator makes one: bot keys create)."
        raise Unauthenticated("no key", user_message=message)
    return key.strip()
