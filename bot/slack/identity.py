"""Who we are, for Bolt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from slack_bolt.authorization import AuthorizeResult


def authorize_as(
    *, team_id: str, url: str, bot_user_id: str, bot_id: str, token: Callable[[], str]
) -> Callable[..., Awaitable[AuthorizeResult]]:
    """Return what tells Bolt who we are, and which `token` is good now.

    Left to itself Bolt asks Slack at the first event, and takes that event for done when Slack doesn't answer.
    """

    async def authorize(user_id: str | None) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
            team_id=team_id,
            url=url,
            bot_user_id=bot_user_id,
            bot_id=bot_id,
            bot_token=token(),
            user_id=user_id,
        )

    return authorize
