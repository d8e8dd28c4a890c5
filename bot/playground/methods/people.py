"""auth.*, users.*, bots.*, team.*, apps.*, api.*: who is who."""

from __future__ import annotations

from bot.playground.call import Call, Method, Methods
from bot.playground.refusal import ApiRefusal
from bot.playground.shapes import bot_profile, user_json
from bot.playground.state import Json, User


def api_test(call: Call) -> Json:
    """Echo the arguments; an `error` argument comes back as the error."""
    if error := call.text("error"):
        raise ApiRefusal(error, args=call.args)
    return {"args": call.args}


def auth_test(call: Call) -> Json:
    """Say whose token this is."""
    store = call.store
    return {
        "url": f"{call.store.base_url}/",
        "team": store.team_name,
        "user": store.bot.handle,
        "team_id": store.team_id,
        "user_id": store.bot.id,
        "bot_id": store.bot_id,
        "is_enterprise_install": store.enterprise_id is not None,
        **({"enterprise_id": store.enterprise_id} if store.enterprise_id else {}),
    }


def connections_open(call: Call) -> Json:
    """Give out an address for one Socket Mode connection."""
    if call.backstage.sockets.disabled:
        raise ApiRefusal("socket_mode_not_enabled")
    if call.backstage.sockets.down:
        raise ApiRefusal("service_unavailable", status=503)
    base = call.store.base_url.replace("http", "ws", 1)
    return {"url": f"{base}/link/?ticket={call.backstage.sockets.new_ticket()}&app_id={call.store.app_id}"}


def users_info(call: Call) -> Json:
    """Describe one person."""
    user = call.store.users.get(call.required("user"))
    if user is None:
        raise ApiRefusal("user_not_found")
    return {"user": _shown(call, user)}


def users_list(call: Call) -> Json:
    """Describe everyone, a page at a time."""
    users, more = call.page([_shown(call, user) for user in call.store.users.values()], default=200)
    return {"members": users, **more}


def users_by_email(call: Call) -> Json:
    """Find the person with this address."""
    email = call.required("email").lower()
    for user in call.store.users.values():
        if user.email and user.email.lower() == email:
            return {"user": _shown(call, user)}
    raise ApiRefusal("users_not_found")


def bots_info(call: Call) -> Json:
    """Describe the app's bot."""
    if call.text("bot") not in ("", call.store.bot_id):
        raise ApiRefusal("bot_not_found")
    return {"bot": bot_profile(call.store) | {"user_id": call.store.bot.id}}


def team_info(call: Call) -> Json:
    """Describe the workspace."""
    store = call.store
    return {
        "team": {"id": store.team_id, "name": store.team_name, "domain": store.domain, "email_domain": "", "icon": {}}
    }


def _shown(call: Call, user: User) -> Json:
    shown = user_json(user, with_email="users:read.email" in call.backstage.scopes)
    enterprise_id = call.store.enterprise_id
    if enterprise_id is not None and user.team_id == call.store.team_id:
        shown["enterprise_user"] = {"id": user.id, "enterprise_id": enterprise_id, "teams": [user.team_id]}
    return shown


METHODS: Methods = {
    "api.test": Method(api_test, token="any"),  # noqa: S106 - a kind of token, not one
    "apps.connections.open": Method(connections_open, scope="connections:write", token="app"),  # noqa: S106
    "auth.test": Method(auth_test),
    "bots.info": Method(bots_info, scope="users:read"),
    "team.info": Method(team_info, scope="team:read"),
    "users.info": Method(users_info, scope="users:read"),
    "users.list": Method(users_list, scope="users:read"),
    "users.lookupByEmail": Method(users_by_email, scope="users:read.email"),
}
