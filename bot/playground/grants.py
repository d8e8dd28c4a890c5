"""What people granted the app by OAuth: codes, tokens, and the tokens that come after them."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from bot.playground.installed import BOT_SCOPES
from bot.playground.local import LocalSlack
from bot.playground.refusal import ApiRefusal
from bot.playground.state import Json

CODE_LIFE_S = 600.0
TOKEN_LIFE_S = 12 * 60 * 60


@dataclass(frozen=True, slots=True)
class _Code:
    """A yes of somebody's, until the app fetches what it is worth."""

    slack: LocalSlack
    user_id: str
    redirect_uri: str
    made_at: float


@dataclass(slots=True)
class Grants:
    """Codes are good once, for ten minutes; refresh tokens once. With `rotates`, access tokens end after `lasts_s`."""

    rotates: bool = False
    lasts_s: float = TOKEN_LIFE_S
    _codes: dict[str, _Code] = field(default_factory=dict)
    _refresh: dict[str, LocalSlack] = field(default_factory=dict)
    _access: dict[str, LocalSlack] = field(default_factory=dict)

    def allow(self, slack: LocalSlack, user_id: str, redirect_uri: str) -> str:
        """Return the code that somebody's yes is worth."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Code(slack, user_id, redirect_uri, time.monotonic())
        return code

    def exchange(self, code: str, redirect_uri: str) -> Json:
        """Return what `oauth.v2.access` answers for a code. Raises `invalid_code`, `bad_redirect_uri`."""
        granted = self._codes.pop(code, None)
        if granted is None or time.monotonic() - granted.made_at > CODE_LIFE_S:
            raise ApiRefusal("invalid_code")
        if redirect_uri != granted.redirect_uri:
            raise ApiRefusal("bad_redirect_uri")
        granted.slack.install()
        return self._answer(granted.slack) | {"authed_user": {"id": granted.user_id}}

    def refresh(self, refresh_token: str) -> Json:
        """Return what `oauth.v2.access` answers for a refresh token. Raises `invalid_refresh_token`."""
        slack = self._refresh.pop(refresh_token, None)
        if slack is None:
            raise ApiRefusal("invalid_refresh_token")
        return self._answer(slack)

    def revoke(self, slack: LocalSlack) -> None:
        """Make every token of a workspace's worthless."""
        slack.tokens.grants.clear()
        self._refresh = {token: of for token, of in self._refresh.items() if of is not slack}

    def workspace_of(self, token: str) -> LocalSlack | None:
        """Return the workspace that a bot token is for, or was."""
        return self._access.get(token)

    def _answer(self, slack: LocalSlack) -> Json:
        store = slack.store
        token = f"{'xoxe.xoxb-1-' if self.rotates else 'xoxb-'}{secrets.token_hex(16)}"
        slack.tokens.grants[token] = time.monotonic() + self.lasts_s if self.rotates else None
        self._access[token] = slack
        answer: Json = {
            "access_token": token,
            "token_type": "bot",
            "scope": ",".join(sorted(BOT_SCOPES)),
            "bot_user_id": store.bot.id,
            "app_id": store.app_id,
            "team": {"id": store.team_id, "name": store.team_name},
            "enterprise": None,
            "is_enterprise_install": False,
        }
        if store.enterprise_id is not None:
            enterprise = {"id": store.enterprise_id, "name": store.team_name}
            answer |= {"team": None, "enterprise": enterprise, "is_enterprise_install": True}
        if self.rotates:
            refresh = f"xoxe-1-{secrets.token_hex(16)}"
            self._refresh[refresh] = slack
            answer |= {"refresh_token": refresh, "expires_in": int(self.lasts_s)}
        return answer
